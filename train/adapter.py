"""LoRA through PEFT: attached to a student, brought out as an adapter and merged into its weights.

`out/adapter/` is what PEFT opens over the base student (``PeftModel.from_pretrained(base, "adapter")``), and
`out/model/` the whole student with the updates added. Both are made over a base that is loaded anew, so the base
weights cannot have changed, and the merge is in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers import PreTrainedModel

from mashbill.errors import BillError, UserError
from mashbill.fingerprint import seed_of
from mashbill.store import write_json
from train.checkpoint import trained
from train.recipe import Lora

_NAME = "default"


def attach(model: PreTrainedModel, lora: Lora) -> Any:
    """Put updates beside the linear layers of a model, in place: they alone are trained from here on.

    Returns:
        PEFT's `LoraModel` over the same model.

    Raises:
        BillError: when no layer has a name among `targets`.
        UserError: when PEFT is not installed.
    """
    try:
        from peft import LoraConfig, LoraModel
    except ImportError as error:
        raise UserError("LoRA needs PEFT, which is not installed; pip install 'mashbill[lora]'") from error
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) or "all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("lora", lora.seed))
        try:
            return LoraModel(model, config, _NAME)
        except ValueError as error:
            raise BillError(
                f"lora: targets {', '.join(lora.targets)} fit no layer of {type(model).__name__} ({error}); "
                "leave `targets` out to take every linear layer"
            ) from error


def trained_count(model: PreTrainedModel) -> int:
    """Weights that are trained."""
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def trained_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The updates, whole and on the CPU; every process of a sharded run calls it."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return trained(model, get_model_state_dict(model, options=options))


def merged(model: PreTrainedModel, lora: Lora, weights: Mapping[str, torch.Tensor], adapter: Path, base: str) -> None:
    """Write the adapter, and add the updates to a fresh base, in place: from here on it is a plain model again."""
    tuner = attach(model, lora)
    found = model.load_state_dict(dict(weights), strict=False)
    wanted = {name for name, weight in model.named_parameters() if weight.requires_grad}
    if found.unexpected_keys or wanted != set(weights):
        raise UserError(
            f"the trained updates are of other layers than this student's ({sorted(wanted ^ set(weights))[:3]}); "
            "train in a new directory"
        )
    _save_adapter(tuner, weights, adapter, base)
    tuner.merge_and_unload()
    model.requires_grad_(True)


def _save_adapter(tuner: Any, weights: Mapping[str, torch.Tensor], path: Path, base: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    # The names that PEFT's own files have: its wrapper's two levels before, the adapter's name out.
    named = {f"base_model.model.{name.replace(f'.{_NAME}.', '.')}": value for name, value in weights.items()}
    save_file({name: value.contiguous() for name, value in named.items()}, path / "adapter_model.safetensors")
    config = tuner.peft_config[_NAME].to_dict() | {"base_model_name_or_path": base, "inference_mode": True}
    # Sets have no order from one process to the next.
    write_json(
        path / "adapter_config.json",
        {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()},
    )
