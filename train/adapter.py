"""LoRA through PEFT: attached to a student, brought out as an adapter and merged into its weights.

`out/adapter/` is what PEFT opens over the base student (``PeftModel.from_pretrained(base, "adapter")``), and
`out/model/` the whole student with the updates added. Both are made over a base that is loaded anew, so the base
weights cannot have changed, and the merge is in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.nn import functional
from transformers import PreTrainedModel

from mashbill.disk import write_json
from mashbill.errors import BillError, UserError
from mashbill.fingerprint import seed_of
from train.checkpoint import trained
from train.lora_start import all_linear, low_rank, prepare, start_options
from train.recipe import Lora

_NAME = "default"


def attach(model: PreTrainedModel, lora: Lora, plan_dir: Path | None = None) -> Any:
    """Put updates beside the linear layers of a model, in place: they alone are trained from here on.

    `plan_dir` is the plan whose rows a start that looks at data looks at.

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
        target_modules=list(lora.targets) or all_linear(model, lora),
        task_type="CAUSAL_LM",
        **start_options(lora),
    )
    prepare(model, lora, config, plan_dir)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("lora", lora.seed))
        try:
            return LoraModel(model, config, _NAME)
        except ValueError as error:
            if "requires `r`" in str(error):
                raise BillError(f"lora: r is {lora.r}, too large for start {lora.start} ({error})") from error
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


def penalty_of(tuner: Any, lora: Lora) -> Callable[[], torch.Tensor] | None:
    """What KaSA adds to the loss of a step; None for the other starts."""
    return tuner._get_kasa_loss if lora.start == "kasa" else None


def merged(
    model: PreTrainedModel,
    lora: Lora,
    weights: Mapping[str, torch.Tensor],
    adapter: Path,
    base: str,
    plan_dir: Path | None = None,
) -> None:
    """Write the adapter, and add the updates to a fresh base, in place: from here on it is a plain model again."""
    before = {} if lora.start == "zero" else {name: value.clone() for name, value in model.state_dict().items()}
    tuner = attach(model, lora, plan_dir)
    found = model.load_state_dict(dict(weights), strict=False)
    wanted = {name for name, weight in model.named_parameters() if weight.requires_grad}
    if found.unexpected_keys or wanted != set(weights):
        raise UserError(
            f"the trained updates are of other layers than this student's ({sorted(wanted ^ set(weights))[:3]}); "
            "train in a new directory"
        )
    targets = [name for name, module in model.named_modules() if hasattr(module, "lora_A")]
    tuner.merge_and_unload()
    config = tuner.peft_config[_NAME].to_dict()
    if before:
        after = model.state_dict()
        changed = {name: after[f"{name}.weight"] - before[f"{name}.weight"] for name in targets}
        weights, config = _ordinary(changed, lora, config)
    _save_adapter(config, weights, adapter, base)
    model.requires_grad_(True)


def _ordinary(
    changed: Mapping[str, torch.Tensor], lora: Lora, config: Mapping[str, Any]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """What was changed as an adapter that starts at zero, over the student as it was; its scale is 1."""
    weights, rank = {}, 2 * lora.r
    for name, difference in changed.items():
        most = min(rank, *difference.shape)
        down, up = low_rank(difference, most)
        # Filled up with zeros where a layer is narrower than the rank: PEFT has one rank for all layers.
        weights[f"{name}.lora_A.{_NAME}.weight"] = functional.pad(down, (0, 0, 0, rank - most))
        weights[f"{name}.lora_B.{_NAME}.weight"] = functional.pad(up, (0, rank - most))
    plain = {"init_lora_weights": True, "corda_config": None, "kasa_config": None, "r": rank, "lora_alpha": rank}
    return weights, {**config, **plain}


def _save_adapter(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], path: Path, base: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    # The names that PEFT's own files have: its wrapper's two levels before, the adapter's name out.
    named = {f"base_model.model.{name.replace(f'.{_NAME}.', '.')}": value for name, value in weights.items()}
    save_file({name: value.contiguous() for name, value in named.items()}, path / "adapter_model.safetensors")
    config = {**config, "base_model_name_or_path": base, "inference_mode": True}
    # Sets have no order from one process to the next.
    write_json(
        path / "adapter_config.json",
        {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()},
    )
