r"""A smaller student cut out of a larger one: whole layers, heads, neurons and channels, in the manner of Minitron.

::

    mashbill student prune smollm2-135m-instruct --plan runs/plans/salt-entigraph/3b71… --layers 20 --mlp-width 1024 \
        --to small

What does least on the rows of a plan goes (`train.importance`), and the rest is copied, so that the result is a Hugging
Face checkpoint of the same architecture with other sizes. It has forgotten something until it is trained: by
distillation from the model it was cut out of, with the distillation loss alone, as the paper does
(2407.14679, section 3). `pruning.json` says what stayed and what the loss on the rows was before and after.

The method's practice: width before depth up to 15B weights, at most about a third a round, and where the teacher's own
data is not at hand the teacher is first trained a little on the data of the distillation (2408.11796, section 2.1):
that is an ordinary arm whose student is the teacher.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from mashbill.disk import write_json
from mashbill.errors import BillError
from train.batches import PlanReader
from train.importance import Importance, importance
from train.student import Student, save_student

CALIBRATION_ROWS = 1024
"""Minitron's number of samples (2407.14679, section 2.2)."""
ROWS_AT_ONCE = 4
REPORT = "pruning.json"
_LAYER = re.compile(r"(.*\.layers\.)(\d+)\.(.*)")


@dataclass(frozen=True, kw_only=True)
class PruneSpec:
    """The sizes that are wanted; None leaves one as it is."""

    layers: int | None = None
    kv_heads: int | None = None
    """Key-value heads, each with its query heads."""
    mlp_width: int | None = None
    width: int | None = None
    """Channels of the residual stream."""
    calibration_rows: int = CALIBRATION_ROWS

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and value < 1:
                raise BillError(f"prune: {name} is {value}; at least 1 is wanted")


@dataclass(frozen=True)
class Kept:
    """What stays, by number, in the order it has."""

    layers: list[int]
    kv_heads: dict[int, list[int]]
    """By old layer."""
    neurons: dict[int, list[int]]
    channels: list[int]


def prune_student(student: Student, plan_dir: Path, spec: PruneSpec, out: Path) -> Student:
    """Cut a student down and write it; the calibration rows are the first ones of a plan of its tokens.

    Raises:
        BillError: when the plan has another tokenizer, or a size is not below what the student has.
    """
    reader = PlanReader(plan_dir)
    if reader.manifest.tokenizer and reader.manifest.tokenizer != student.tokenizer.identity:
        raise BillError(f"prune: {plan_dir} was planned with another tokenizer; give a plan of this student's tokens")
    _check_sizes(student.model, spec)
    rows = range(min(spec.calibration_rows, reader.manifest.rows))
    batches = [rows[at : at + ROWS_AT_ONCE] for at in range(0, len(rows), ROWS_AT_ONCE)]
    before = importance(student.model, (reader.batch(list(some)) for some in batches))
    kept = what_stays(before, spec)
    small = Student(cut(student.model, kept), student.tokenizer)
    after = importance(small.model, (reader.batch(list(some)) for some in batches))
    save_student(small, out)
    write_json(out / REPORT, _report(student.model, small.model, spec, kept, before, after, reader.manifest.hash))
    return small


def _check_sizes(model: PreTrainedModel, spec: PruneSpec) -> None:
    sizes = _sizes(model)
    wanted = {name: getattr(spec, name) for name in sizes}
    if not any(wanted.values()):
        raise BillError("prune: nothing is asked for; say layers, kv_heads, mlp_width or width")
    for name, size in wanted.items():
        if size is not None and size > sizes[name]:
            raise BillError(f"prune: {name} {size} is more than the {sizes[name]} that the student has")
    text = model.config.get_text_config()
    heads = text.num_attention_heads // sizes["kv_heads"] * (spec.kv_heads or sizes["kv_heads"])
    if (spec.width or sizes["width"]) % heads:
        raise BillError(
            f"prune: width {spec.width or sizes['width']} is no multiple of the {heads} query heads that stay, as "
            "transformers wants of a checkpoint; take another width or other kv_heads"
        )


def _sizes(model: PreTrainedModel) -> dict[str, int]:
    config = model.config.get_text_config()
    return {
        "layers": config.num_hidden_layers,
        "kv_heads": config.num_key_value_heads,
        "mlp_width": config.intermediate_size,
        "width": config.hidden_size,
    }


def what_stays(found: Importance, spec: PruneSpec) -> Kept:
    """The most important of each kind, in the order they have; of two alike the first."""
    layers = _top(torch.tensor(found.layers), spec.layers)
    return Kept(
        layers=layers,
        kv_heads={at: _top(found.kv_heads[at], spec.kv_heads) for at in layers},
        neurons={at: _top(found.neurons[at], spec.mlp_width) for at in layers},
        channels=_top(found.channels, spec.width),
    )


def _top(values: torch.Tensor, count: int | None) -> list[int]:
    order = torch.argsort(values, descending=True, stable=True)
    return sorted(order[: len(values) if count is None else count].tolist())


def cut(model: PreTrainedModel, kept: Kept) -> PreTrainedModel:
    """A model of the sizes that stay, with the weights that stay."""
    config = copy.deepcopy(model.config)
    text = config.get_text_config()
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    share = text.num_attention_heads // text.num_key_value_heads
    first = kept.layers[0]
    text.head_dim = head  # no longer the width over the number of heads
    text.num_hidden_layers = len(kept.layers)
    text.num_key_value_heads = len(kept.kv_heads[first])
    text.num_attention_heads = share * text.num_key_value_heads
    text.intermediate_size = len(kept.neurons[first])
    text.hidden_size = len(kept.channels)
    if getattr(text, "layer_types", None):
        text.layer_types = [text.layer_types[at] for at in kept.layers]
    small = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=_attention(model))
    small.load_state_dict(_weights(model.state_dict(), kept, head, share), strict=True)
    return small


def _attention(model: PreTrainedModel) -> str:
    return str(getattr(model.config, "_attn_implementation", "sdpa"))


def _weights(state: Mapping[str, torch.Tensor], kept: Kept, head: int, share: int) -> dict[str, torch.Tensor]:
    number = {old: new for new, old in enumerate(kept.layers)}
    made = {}
    for name, weight in state.items():
        found = _LAYER.fullmatch(name)
        if found is None:
            made[name] = _take(weight, {weight.ndim - 1: kept.channels})
            continue
        old = int(found[2])
        if old in number:
            dims = _dims(found[3], kept, old, head, share)
            made[f"{found[1]}{number[old]}.{found[3]}"] = _take(weight, dims)
    return made


def _dims(name: str, kept: Kept, layer: int, head: int, share: int) -> dict[int, list[int]]:
    """Which indices of which dimension of one weight of a layer stay."""
    groups = kept.kv_heads[layer]
    keys = [one * head + at for one in groups for at in range(head)]
    queries = [(one * share + query) * head + at for one in groups for query in range(share) for at in range(head)]
    neurons, channels = kept.neurons[layer], kept.channels
    part = name.rsplit(".", 2)[-2]
    into = {"q_proj": queries, "k_proj": keys, "v_proj": keys, "gate_proj": neurons, "up_proj": neurons}
    if part in into:
        return {0: into[part], 1: channels}
    if part in ("o_proj", "down_proj"):
        return {0: channels, 1: queries if part == "o_proj" else neurons}
    if part in ("input_layernorm", "post_attention_layernorm"):
        return {0: channels}
    if part in ("q_norm", "k_norm"):  # of one head's width, which stays
        return {}
    raise BillError(f"prune: a layer has {name}, and what of it would stay is not known; this model cannot be pruned")


def _take(weight: torch.Tensor, dims: Mapping[int, list[int]]) -> torch.Tensor:
    for dim, indices in dims.items():
        if dim < weight.ndim:  # a bias has the first alone
            weight = weight.index_select(dim, torch.tensor(indices, device=weight.device))
    return weight.clone()


def _report(
    model: PreTrainedModel,
    small: PreTrainedModel,
    spec: PruneSpec,
    kept: Kept,
    before: Importance,
    after: Importance,
    plan: str,
) -> dict[str, object]:
    return {
        "asked": asdict(spec),
        "plan": plan,
        "rows": before.rows,
        "sizes": {"before": _sizes(model), "after": _sizes(small)},
        "parameters": {"before": int(model.num_parameters()), "after": int(small.num_parameters())},
        "loss": {"before": before.loss, "after": after.loss},
        "layers_kept": kept.layers,
        "layer_importance": before.layers,
    }
