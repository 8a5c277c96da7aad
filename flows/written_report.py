"""Written answers and fidelity in the report: tables, numbers for JSON, and a picture of how reliable each arm is."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashbill.card import table
from mashbill.disk import replacing

if TYPE_CHECKING:
    from flows.written_arms import Beside
    from mashbill.calibration import Calibration
    from train.fidelity import Fidelity
    from train.generate_eval import WriteResult
    from train.intervals import Interval

RELIABILITY = "reliability.png"


def beside_section(beside: Beside) -> str:
    """The tables as Markdown; nothing where nothing was measured."""
    parts = []
    if beside.written:
        parts += [_written(beside.written), _written_differences(beside.written), _outcomes(beside.written)]
    if beside.fidelity:
        parts += [_fidelity(beside.fidelity), _calibrations(beside.fidelity)]
    return "\n\n".join(part for part in parts if part)


def beside_json(beside: Beside) -> dict[str, Any]:
    """Everything that was measured; rows are in the students' own directories."""
    return {
        "written": {name: dataclasses.asdict(one.overall) for name, one in beside.written.items()},
        "fidelity": {name: dataclasses.asdict(one) for name, one in beside.fidelity.items()},
    }


def _written(written: Mapping[str, WriteResult]) -> str:
    first = next(iter(written.values())).overall
    heads = ["arm", "accuracy", *(f"pass@{k}" for k in first.pass_at), *(f"majority@{k}" for k in first.majority_at)]
    rows = []
    for name, one in written.items():
        overall = one.overall
        shares = [overall.accuracy, *overall.pass_at.values(), *overall.majority_at.values()]
        tokens = "–" if overall.tokens is None else f"{overall.tokens.value:.1f}"
        rows.append([name, *(_interval(share) for share in shares), tokens])
    intro = f"Answers that were written, to {first.questions} questions; accuracy is that of the greedy answer."
    return f"{intro}\n\n{table([*heads, 'tokens an answer'], rows)}"


def _written_differences(written: Mapping[str, WriteResult]) -> str:
    from train.compare import compare_written

    rows = []
    for before, after in itertools.pairwise(written):
        difference = compare_written(written[before], written[after])
        if difference is not None:
            rows.append([f"{before} → {after}", *difference.row()])
    if not rows:
        return ""
    heads = ["arms", "measure", "before", "after", "difference", "95 % interval"]
    return f"Paired differences, each arm against the one above it:\n\n{table(heads, rows)}"


def _outcomes(written: Mapping[str, WriteResult]) -> str:
    """Why answers do not count, for whoever would raise `most_tokens` or change the template."""
    shares = {name: one.overall.outcomes or one.overall.sample_outcomes for name, one in written.items()}
    names = list(dict.fromkeys(name for one in shares.values() for name in one))
    rows = [[arm, *(f"{one.get(name, 0.0):.1%}" for name in names)] for arm, one in shares.items()]
    return f"What became of the answers:\n\n{table(['arm', *names], rows)}"


def _fidelity(found: Mapping[str, Fidelity]) -> str:
    heads = [
        "arm", "accuracy", "teacher's accuracy", "agreement", "where the teacher is right", "where it is wrong",
        "right where it is wrong", "kappa", "kappa of right and wrong",
    ]  # fmt: skip
    rows = [
        [
            name,
            *map(_interval, (one.student_accuracy, one.teacher_accuracy, one.agreement)),
            *map(_interval, (one.agreement_where_right, one.agreement_where_wrong, one.corrected)),
            *map(_number, (one.kappa, one.kappa_right)),
        ]
        for name, one in found.items()
    ]
    first = next(iter(found.values()))
    missing = f"; the teacher answered {first.missing} others not at all" if first.missing else ""
    intro = (
        f"Fidelity to the teacher on {first.questions} questions{missing}. Agreement is with the teacher and accuracy "
        "with the right answers: the one can rise while the other falls."
    )
    return f"{intro}\n\n{table(heads, rows)}"


def _calibrations(found: Mapping[str, Fidelity]) -> str:
    known = {name: one.student_calibration for name, one in found.items() if one.student_calibration is not None}
    teacher = next((one.teacher_calibration for one in found.values() if one.teacher_calibration is not None), None)
    lines = {**known, **({"the teacher": teacher} if teacher is not None else {})}
    if not lines:
        return ""
    bins = len(next(iter(lines.values())).bins)
    rows = [
        [name, one.questions, f"{one.confidence:.3f}", f"{one.accuracy:.3f}", f"{one.ece:.3f}", f"{one.brier:.3f}"]
        for name, one in lines.items()
    ]
    heads = ["arm", "answers", "mean confidence", "accuracy", f"ECE, {bins} bins", "Brier score"]
    return f"How sure they are, and how right:\n\n{table(heads, rows)}"


def reliability_chart(path: Path, found: Mapping[str, Fidelity]) -> None:
    """Accuracy by confidence for each arm; left out where confidences are not known or matplotlib is not installed."""
    known = {name: one.student_calibration for name, one in found.items() if one.student_calibration is not None}
    if not known:
        return
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(4.2, 3.8), layout="constrained")
    axes = figure.add_subplot()
    _curves(axes, known)
    with replacing(path) as aside:
        figure.savefig(aside, format="png", dpi=150)


def _curves(axes: Any, known: Mapping[str, Calibration]) -> None:
    axes.plot([0, 1], [0, 1], color="#999999", linestyle="--", linewidth=1, label="as right as sure")
    for name, one in known.items():
        points = [(each.confidence, each.accuracy) for each in one.bins if each.count]
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", markersize=4, linewidth=1.2, label=name)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _interval(one: Interval | None) -> str:
    return "–" if one is None else f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _number(one: float | None) -> str:
    return "–" if one is None else f"{one:.3f}"
