"""What a student learns from a teacher's probabilities, as a bill says it. No torch here.

::

    distill:
      teacher: {path: models/qwen3-4b}     # or {model: smollm2-135m-instruct}, {base: true}, {endpoint: http://…}
      encoding: top_k                      # stored: top_k or sampled; or live
      k: 64
      weight: 0.5                          # of the teacher; the rest is the text's
      temperature: 1.0

Stored signals are computed once, by ``mashbill teach``, and serve every epoch, seed and arm; a live teacher runs
beside the student. Learning from a teacher's *text* needs nothing of this: it is ordinary training on that text.

>>> Distill(teacher=TeacherSpec(base=True), encoding="sampled", draws=50).stored
True
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mashbill.errors import BillError
from train.recipe import EMBEDDED, StudentSpec

MIXED = ("jsd", "skew_kl")


@dataclass(frozen=True, kw_only=True)
class TeacherSpec:
    """The model that teaches: one of the student's tokenizer, wherever it comes from."""

    model: str = ""
    """A name: ``smollm2-135m-instruct``."""
    path: Path | None = field(default=None, metadata={"identity": False})
    """A Hugging Face directory; its files' digests are the identity."""
    base: bool = False
    """The student before training: against forgetting, on general text."""
    endpoint: str = field(default="", metadata={"identity": False})
    """A vLLM server's address, up to ``/v1``: top entries only. `served` says what it serves."""
    served: str = ""
    """The name and the revision that the server has the model under: ``qwen3-4b`` or ``qwen3-4b@9c92``."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What it computes in; logits are float32 in any case."""

    def __post_init__(self) -> None:
        said = [name for name in ("model", "path", "base", "endpoint") if getattr(self, name)]
        if len(said) != 1:
            raise BillError(
                "teacher: exactly one of model, path, base and endpoint is wanted, "
                f"found {' and '.join(said) or 'none'}"
            )
        if self.model and self.model != EMBEDDED:
            raise BillError(
                f"teacher: no embedded model is named {self.model!r}; say model: {EMBEDDED}, or give `path`"
            )
        if bool(self.endpoint) != bool(self.served):
            raise BillError(
                "teacher: an `endpoint` needs `served`, the name of the model there, and nothing else has it"
            )

    def spec(self, student: StudentSpec) -> StudentSpec:
        """The teacher as a model to load."""
        return student if self.base else StudentSpec(model=self.model, path=self.path)


@dataclass(frozen=True, kw_only=True)
class Generic:
    """A first stage that matches hidden states and knows no task (G2SD, 2302.14771, for images)."""

    share: float = 0.5
    """Of the steps; after them the student learns from probabilities and text."""
    beta: float = 1.0
    """Where the smooth L1 loss turns from square to straight."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or self.beta <= 0:
            raise BillError(
                f"generic: share {self.share} lies in (0, 1) and beta {self.beta} above 0, or leave `generic` out"
            )


@dataclass(frozen=True, kw_only=True)
class Distill:
    """A teacher and what is taken from it."""

    teacher: TeacherSpec
    encoding: Literal["top_k", "sampled", "live"] = "top_k"
    """``top_k``: the top entries and the mass of all others; ``sampled``: entries drawn from the distribution, which is
    unbiased; ``live``: all of it, from a teacher that runs beside the student."""
    k: int = 64
    """Entries of ``top_k``."""
    draws: int = 50
    """Of ``sampled``, at each token; some 12 different entries are stored for 50 (2503.16870, table 1)."""
    weight: float = 0.5
    """Of the teacher; the text's labels have the rest. 1 learns from the teacher alone (Minitron, 2407.14679)."""
    temperature: float = 1.0
    """Above 1 the distributions are flatter, the teacher's and the student's."""
    divergence: Literal["forward_kl", "reverse_kl", "jsd", "skew_kl", "tvd"] = "forward_kl"
    """What is made small; stored signals know the first alone."""
    mix: float | None = None
    """The teacher's share in the mixture of ``jsd`` (0.5) and ``skew_kl`` (0.1)."""
    swap: bool = False
    """Exchange the teacher's first choice and the true token before learning (logit swap of Mix-CPT, 2407.10804)."""
    streams: tuple[str, ...] = ()
    """Streams whose tokens are learned from the teacher too; empty takes all. The others learn from their text."""
    generic: Generic | None = None
    """With a live teacher only."""
    control: bool = field(default=True, metadata={"identity": False})
    """Train the same student on the same plan without the teacher too: without it nobody knows what it was good for."""

    def __post_init__(self) -> None:
        for name, good, wanted in (
            ("k", self.k >= 1, "at least 1"),
            ("draws", 1 <= self.draws <= 255, "from 1 to 255, since counts are stored as bytes"),
            ("weight", 0 < self.weight <= 1, "a share in (0, 1]"),
            ("temperature", self.temperature > 0, "above 0"),
            ("mix", self.mix is None or 0 < self.mix < 1, "a share in (0, 1)"),
        ):
            if not good:
                raise BillError(f"distill: {name} is {getattr(self, name)}; {wanted} is wanted")
        for said, good, why in (
            (f"divergence {self.divergence}", not self.stored or self.divergence == "forward_kl",
             "needs all of the teacher's distribution; say encoding: live"),
            ("mix", self.mix is None or self.divergence in MIXED, f"belongs to {' and '.join(MIXED)}"),
            ("swap", not self.swap or self.encoding == "top_k", "exchanges top entries; say encoding: top_k"),
            ("generic", self.generic is None or not self.stored, "reads hidden states, which are not stored; "
             "say encoding: live"),
            ("a served teacher", not self.teacher.endpoint or self.encoding == "top_k", "gives top entries alone; "
             "say encoding: top_k"),
            ("a temperature", not self.teacher.endpoint or self.temperature == 1, "is the server's; only 1 is offered"),
        ):  # fmt: skip
            if not good:
                raise BillError(f"distill: {said} {why}")

    @property
    def stored(self) -> bool:
        """Whether the teacher's signal is read from columns."""
        return self.encoding != "live"


@dataclass(frozen=True)
class Teaching:
    """What a run learns from a teacher, and where the teacher's signals lie."""

    spec: Distill
    student: StudentSpec
    """The student before training: it may be the teacher."""
    columns: Mapping[str, Path]
    """Stream -> its teacher columns; none for a live teacher."""
