"""What training changed, as a small file: the difference of two students, module by module, at low rank and few bits.

::

    mashbill student delta smollm2-135m-instruct runs/students/salt-entigraph/90ac…/model --rank 64 --to salt.delta

Matrices of attention and MLP are cut to their largest singular vectors; of these the first few, which hold most, are
kept in 8 bits and the rest in 4; norms and biases are kept whole, and what happened to embeddings and head is left out
unless it is asked for, as SkillPack does (2505.18502, section 3.3: it quantises to 8, 3 and 2 bits by GPTQ, here it is
rounding to the nearest and 4 bits). The file is a safetensors file whose metadata says to which base it belongs. How
much of the change is left at a rank is measured, not promised: `rank_curve`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from mashbill.disk import replacing
from mashbill.errors import BillError, InputError
from train.few_bits import Packed, pack, unpack

FORMAT = "1"
State = Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class DeltaSpec:
    """How small."""

    rank: int = 64
    """Singular vectors of each matrix."""
    fine: int = 2
    """Of these, the first so many are kept in 8 bits and the others in 4 (SkillPack's top two)."""
    embeddings: bool = False
    """Keep the change of embeddings and head too. A small student that shares one table for both changes much there."""

    def __post_init__(self) -> None:
        if self.rank < 1 or self.fine < 0:
            raise BillError(f"delta: rank is {self.rank} and fine {self.fine}; at least 1 and 0 are wanted")


@dataclass(frozen=True)
class Point:
    """One rank of a curve."""

    rank: int
    bytes: int
    score: float
    """Of the base with the delta at this rank."""
    share: float
    """Of what the whole change did to the score; 1 is all of it."""


def delta_of(base: State, tuned: State, spec: DeltaSpec) -> dict[str, torch.Tensor]:
    """The tensors of a delta.

    Raises:
        BillError: when the two are not of one shape.
    """
    other = sorted({*base} ^ {*tuned}) or [name for name in base if base[name].shape != tuned[name].shape]
    if other:
        raise BillError(f"delta: the two students differ in {other[0]}; a delta is between two of one architecture")
    made: dict[str, torch.Tensor] = {}
    for name, before in base.items():
        change = tuned[name].float() - before.float()
        if (in_vocabulary(name) and not spec.embeddings) or not change.any():
            continue
        if change.ndim != 2:
            made[name] = change
            continue
        left, values, right = torch.linalg.svd(change, full_matrices=False)
        root = values[: spec.rank].sqrt()
        made |= pack(f"{name}.up", (left[:, : spec.rank] * root).T, spec.fine).tensors()
        made |= pack(f"{name}.down", root[:, None] * right[: spec.rank], spec.fine).tensors()
    return made


def in_vocabulary(name: str) -> bool:
    """Whether a weight has a row for each token: embeddings and head.

    >>> in_vocabulary("model.embed_tokens.weight"), in_vocabulary("model.layers.0.mlp.up_proj.weight")
    (True, False)
    """
    return "embed" in name or name.startswith("lm_head")


def with_delta(base: State, delta: State) -> dict[str, torch.Tensor]:
    """The weights of the base with a delta added."""
    made = {}
    for name, weight in base.items():
        change = delta.get(name)
        if change is None and (up := Packed.found(f"{name}.up", delta)) is not None:
            down = Packed.found(f"{name}.down", delta)
            assert down is not None
            change = unpack(up).T @ unpack(down)
        made[name] = weight if change is None else (weight.float() + change).to(weight.dtype)
    return made


def write_delta(path: Path, delta: State, *, base: str, spec: DeltaSpec) -> None:
    """Write a delta with the identity of the base that it belongs to."""
    about = {"format": FORMAT, "base": base, "spec": json.dumps(asdict(spec))}
    with replacing(path) as aside:
        save_file({name: value.contiguous() for name, value in delta.items()}, aside, metadata=about)


def read_delta(path: Path, *, base: str) -> dict[str, torch.Tensor]:
    """The tensors of a delta.

    Raises:
        InputError: when it is no delta, or one of another base.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            about = file.metadata() or {}
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise InputError(f"is no delta ({error}); `mashbill student delta` writes one", path=path) from error
    if about.get("format") != FORMAT:
        raise InputError(f"is no delta of format {FORMAT}; `mashbill student delta` writes one", path=path)
    if about["base"] != base:
        raise InputError(
            f"belongs to the base {about['base'][:8]} and this one is {base[:8]}: added to other weights it would be "
            "noise; give the student that it was made from",
            path=path,
        )
    return found


def rank_curve(
    model: PreTrainedModel,
    base: State,
    tuned: State,
    ranks: Sequence[int],
    score: Callable[[PreTrainedModel], float],
    spec: DeltaSpec | None = None,
) -> tuple[float, float, list[Point]]:
    """The score of the base, of the tuned student, and of the base with a delta at each rank.

    `model` is any of the two; its weights are put in place again and again, and are the base's afterwards.
    """
    keep = {name: value.clone() for name, value in base.items()}
    scores = []
    for weights in (keep, tuned):
        model.load_state_dict(dict(weights))
        scores.append(score(model))
    before, after = scores
    points = []
    for rank in ranks:
        delta = delta_of(keep, tuned, replace(spec or DeltaSpec(), rank=rank))
        model.load_state_dict(with_delta(keep, delta))
        found = score(model)
        size = sum(value.numel() * value.element_size() for value in delta.values())
        share = (found - before) / (after - before) if after != before else 1.0
        points.append(Point(rank, size, found, share))
    model.load_state_dict(keep)
    return before, after, points
