"""How near each arm came to its teacher's probabilities, in the report: beside accuracy, with the arm that had none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mashbill.card import table

if TYPE_CHECKING:
    from train.intervals import Interval
    from train.signal_fidelity import SignalFidelity

Signals = Mapping[str, "Mapping[str, SignalFidelity]"]
"""Teacher -> arm -> what was measured."""
HEADS = (
    "arm", "next token right", "agrees with the teacher", "where the teacher is right", "where it is wrong",
    "KL from the teacher", "KL: teacher sure, less sure, unsure", "ECE", "loss",
)  # fmt: skip


def signal_section(signals: Signals) -> str:
    """The tables as Markdown; nothing where no arm had a teacher."""
    return "\n\n".join(_of_teacher(teacher, arms) for teacher, arms in signals.items() if arms)


def signal_json(signals: Signals) -> dict[str, Any]:
    """Everything that was measured."""
    return {"teachers": {name: {arm: one.as_json() for arm, one in arms.items()} for name, arms in signals.items()}}


def _of_teacher(teacher: str, arms: Mapping[str, SignalFidelity]) -> str:
    first = next(iter(arms.values()))
    intro = (
        f"Beside the probabilities of the teacher {teacher}, on {first.tokens:,} tokens of held-out documents, of "
        f"which it has {first.teacher_accuracy.value:.3f} right (ECE {first.teacher_ece:.3f}). An arm that ends with "
        "-ce had the same plan and no teacher. Agreement can rise while accuracy falls."
    )
    return f"{intro}\n\n{table(HEADS, [_row(name, one) for name, one in arms.items()])}"


def _row(name: str, one: SignalFidelity) -> list[object]:
    shares = (one.accuracy, one.agreement, one.agreement_where_right, one.agreement_where_wrong)
    thirds = ", ".join(f"{third:.3f}" for third in one.divergence_by_entropy)
    return [name, *map(_interval, shares), f"{one.divergence:.3f}", thirds, f"{one.ece:.3f}", f"{one.loss:.3f}"]


def _interval(one: Interval | None) -> str:
    return "–" if one is None else f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
