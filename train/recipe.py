"""What a training run is: the student it starts from and the recipe it follows.

Every field here enters the run's fingerprint, save the ones marked as a place. How it runs (device, micro-batch,
compilation) is `train.hardware.Hardware` and never does. The data, its order, the token budget, the sequence length
and the batch are identity too, and live in the plan (`train.plan.PlanSpec`): the plan's hash stands for them.

>>> TrainRecipe(learning_rate=5e-6, warmup_share=0.05).final_lr_share
0.0
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mashbill.errors import BillError

EMBEDDED = "smollm2-135m-instruct"
"""The one student that needs no download: `mashbill.embedded` holds it."""

BYTES = "bytes"
"""The byte tokenizer: 258 entries, no file."""


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """A student with random weights: small on purpose, for tests and for learning curves."""

    architecture: str = "llama"
    """A `model_type` that transformers knows."""
    layers: int = 4
    width: int = 256
    heads: int = 4
    kv_heads: int | None = None
    """Fewer than `heads` shares keys and values (grouped-query attention)."""
    mlp_width: int | None = None
    """Four times the width when not said."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.layers, self.width, self.heads, self.kv_heads or 1, self.mlp_width or 1) < 1:
            raise BillError(f"student: layers, width and heads must be at least 1; found {self}")
        if self.width % self.heads:
            raise BillError(
                f"student: width {self.width} does not divide into {self.heads} heads; take a multiple of {self.heads}"
            )
        if self.heads % (self.kv_heads or self.heads):
            raise BillError(f"student: {self.heads} heads do not share {self.kv_heads} kv_heads evenly")


@dataclass(frozen=True, kw_only=True)
class StudentSpec:
    """The model to train: embedded by name, a Hugging Face directory by path, or random weights.

    >>> StudentSpec(scratch=Scratch(layers=2, width=64)).name
    'scratch'
    >>> StudentSpec(path=Path("models/qwen3-0.6b")).name
    'qwen3-0.6b'
    """

    model: str = ""
    """A name: ``smollm2-135m-instruct``."""
    path: Path | None = field(default=None, metadata={"identity": False})
    """A directory that `save_pretrained` wrote; its files' digests are the identity, not the place."""
    scratch: Scratch | None = None
    tokenizer: Path | str | None = field(default=None, metadata={"identity": False})
    """For `scratch` only: a directory with a tokenizer, or ``bytes`` (the default)."""

    def __post_init__(self) -> None:
        said = [name for name in ("model", "path", "scratch") if getattr(self, name)]
        if len(said) != 1:
            raise BillError(
                f"student: exactly one of model, path and scratch is wanted, found {' and '.join(said) or 'none'}"
            )
        if self.model and self.model != EMBEDDED:
            raise BillError(
                f"student: no embedded model is named {self.model!r}; say model: {EMBEDDED}, or give `path` "
                "for a directory with a Hugging Face checkpoint"
            )

    @property
    def name(self) -> str:
        """For messages and the model card."""
        return self.model or (self.path.name if self.path else "scratch")


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Train low-rank updates of the linear layers (2106.09685) and leave every weight of the student as it is.

    Two recipes from the field: r 16, alpha 16, dropout 0.05 for a student that learns to reason from paths of a graph
    (2507.13966), which is the default but for the dropout; r 8, alpha 128, dropout 0 at a learning rate of 3e-4 for
    answers of a teacher (Azure's distillation pipeline, after 2410.18588). A rate some ten times that of full training
    is usual, since the updates start at zero.
    """

    r: int = 16
    """Rank of an update: two matrices of r rows for each layer."""
    alpha: int = 16
    """The update is multiplied with alpha / r."""
    dropout: float = 0.0
    """On the input of the update."""
    targets: tuple[str, ...] = field(default_factory=tuple)
    """Names of the layers to update, such as q_proj; empty takes every linear layer but the output head."""
    seed: int = 0
    """Of the first of the two matrices; the second starts at zero."""
    start: Literal["zero", "pissa", "corda_kpm", "corda_ipm", "kasa"] = "zero"
    """What the updates start from (`train.lora_start`)."""

    def __post_init__(self) -> None:
        for name, good, wanted in (
            ("r", self.r >= 1, "at least 1"),
            ("alpha", self.alpha > 0, "a number above 0"),
            ("dropout", 0 <= self.dropout < 1, "a share in [0, 1)"),
        ):
            if not good:
                raise BillError(f"lora: {name} is {getattr(self, name)}; {wanted} is wanted")


@dataclass(frozen=True, kw_only=True)
class TrainRecipe:
    """Optimiser and schedule.

    AdamW with beta (0.9, 0.95), weight decay 0.1 on matrices only and a clip at 1.0 are the settings of GPT-3
    (2005.14165, appendix B) that continued pretraining has kept. EntiGraph (2409.07431, section 4.1) trained an 8B
    model at 5e-6 with 5 % warm-up and cosine decay; small students want more, hence 1e-4.
    """

    learning_rate: float = 1e-4
    warmup_share: float = 0.05
    """Share of the steps over which the rate climbs in a line from 0."""
    final_lr_share: float = 0.0
    """The decay ends at this share of `learning_rate`."""
    schedule: Literal["cosine", "wsd", "constant", "decay"] = "cosine"
    """After the warm-up: ``cosine`` down to the end; ``wsd``, flat and then down over the last `decay_share`
    (warm-up, stable, decay: 2404.06395), which can be cut off anywhere and forked; ``constant``; ``decay``, down from
    the first step, for what goes on from a flat part."""
    decay_share: float = 0.2
    """Of ``wsd``: the share of the steps that go down, as one minus a square root; 10 to 20 % of them do what a cosine
    of the whole length does, and that shape did best (2405.18392, section 3 and figure 5)."""
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    ema: float = 0.0
    """Decay of an average of the weights (`train.average`), which is then the student that is written; 0 for none."""
    clip: float = 1.0
    """Largest gradient norm; 0 leaves gradients as they are."""
    seed: int = 0
    """For dropout alone: the order of the data has its own seed in the plan."""

    def __post_init__(self) -> None:
        between: Callable[[float], bool] = lambda value: 0 <= value < 1  # noqa: E731
        checks = {
            "learning_rate": self.learning_rate > 0,
            "warmup_share": between(self.warmup_share),
            "final_lr_share": 0 <= self.final_lr_share <= 1,
            "decay_share": 0 < self.decay_share <= 1,
            "ema": between(self.ema),
            "weight_decay": self.weight_decay >= 0,
            "beta1": between(self.beta1),
            "beta2": between(self.beta2),
            "epsilon": self.epsilon > 0,
            "clip": self.clip >= 0,
        }
        for name, good in checks.items():
            if not good:
                raise BillError(f"recipe: {name} cannot be {getattr(self, name)}; a share lies in [0, 1)")
