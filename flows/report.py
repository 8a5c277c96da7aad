"""The report of a run: did this data help, against what, at equal tokens.

``report.json`` holds the numbers, ``report.md`` reads them out, ``benefit.png`` draws them. The release's card gets the
same table, so that whoever finds the dataset finds what it did.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.ablation import gains_section
from flows.cell_section import CELLS, CellScores, cell_scores, cell_table, draw_cells
from flows.dataset_section import HEAD, dataset_rows, dataset_section
from flows.signal_report import signal_json, signal_section
from flows.training_section import BASE
from flows.written_report import RELIABILITY, beside_json, beside_section, reliability_chart
from mashbill.card import render_card, table
from mashbill.disk import write_bytes, write_json
from mashbill.release_manifest import ReleaseManifest
from train.model_card import CARD, NOT_EVALUATED, TrainedOn, model_card

if TYPE_CHECKING:
    from flows.arms import Arm, Measured
    from train.evaluate import EvalResult

REPORT, READABLE, CHART = "report.json", "report.md", "benefit.png"


def finished_report(folder: Path, release: Path) -> list[str] | None:
    """The lines of a finished report, or None; a release that was made anew since gets its measurement back."""
    if not ((folder / REPORT).is_file() and (folder / READABLE).is_file()):
        return None
    page = (folder / READABLE).read_text(encoding="utf-8").split("\n\n", 1)[1]
    benefit = page.split(f"\n\n{HEAD}", 1)[0].rstrip("\n")  # the card has the dataset's counts already
    card = release / "README.md"
    if benefit not in card.read_text(encoding="utf-8"):
        write_bytes(card, render_card(ReleaseManifest.read(release), benefit).encode())
    return list(json.loads((folder / REPORT).read_bytes())["lines"])


def write_report(folder: Path, identity: Mapping[str, object], measured: Measured) -> list[str]:
    """Write the report, its chart and the release's card; the JSON last.

    Returns:
        The lines to print at the end of a run.
    """
    cells = _cells(measured)
    benefit = benefit_section(measured, cells)
    page = f"# {measured.release.name}: did the data help?\n\n{benefit}\n\n{dataset_section(measured.release)}\n"
    write_bytes(folder / READABLE, page.encode())
    if measured.evaluations:
        _chart(folder / CHART, measured.evaluations)
    if cells is not None:
        draw_cells(cells, folder / CELLS)
    if measured.beside is not None:
        reliability_chart(folder / RELIABILITY, measured.beside.fidelity)
    write_bytes(measured.release_dir / "README.md", render_card(measured.release, benefit).encode())
    _write_model_cards(measured)
    lines = _lines(measured)
    arms = {name: _arm_json(arm) for name, arm in measured.arms.items()}
    evaluations = {name: _evaluation_json(one) for name, one in measured.evaluations.items()}
    others = {} if measured.beside is None else beside_json(measured.beside)
    others |= signal_json(measured.signals) if measured.signals else {}
    others |= {} if cells is None else cells.as_json()
    gains = {"gains": [dataclasses.asdict(one) for one in measured.gains]} if measured.gains else {}
    write_json(
        folder / REPORT,
        {
            "identity": identity,
            "dataset": dataset_rows(measured.release),
            "arms": arms,
            "evaluations": evaluations,
            **others,
            **gains,
            "lines": lines,
        },
    )
    return lines


def _write_model_cards(measured: Measured) -> None:
    """Each student's card again, now with the release it was measured beside and what its training did to it."""
    from train.compare import compare

    if measured.training is None:
        return
    base = measured.evaluations.get(BASE)
    for name, arm in measured.arms.items():
        path = arm.result.model_dir / CARD
        if base is None and path.is_file() and NOT_EVALUATED not in path.read_text(encoding="utf-8"):
            continue  # the same student, measured by an earlier form of the bill
        card = model_card(
            arm.result,
            arm.plan,
            measured.training.student,
            measured.training.recipe,
            lora=measured.training.lora,
            distill=measured.training.distills.get(name),
            data=_trained_on(arm, measured.release),
            evaluation=() if base is None else compare(base, measured.evaluations[name]).table(),
        )
        write_bytes(path, card.encode())


def _trained_on(arm: Arm, release: ReleaseManifest) -> TrainedOn:
    curated = {stream.steps[-1].fingerprint: stream for stream in release.streams.values()}
    released = {name: curated[digest] for name, digest in arm.streams.items() if digest in curated}
    return TrainedOn(
        streams=arm.streams,
        release=release.fingerprint,
        released=frozenset(name for name, stream in released.items() if not stream.over_share),
        released_in_part=frozenset(name for name, stream in released.items() if stream.over_share),
    )


def _cells(measured: Measured) -> CellScores | None:
    """The scores by discipline and difficulty, where questions have both."""
    if measured.questions is None or not measured.evaluations:
        return None
    answered = {name: {row.id: row.correct for row in one.rows} for name, one in measured.evaluations.items()}
    written = {} if measured.beside is None else measured.beside.written
    for name, result in written.items():
        answered[name] = {row.id: row.right for row in result.rows if row.draw == -1}
    return cell_scores(measured.questions, answered)


def benefit_section(measured: Measured, cells: CellScores | None = None) -> str:
    """The measurement as Markdown, for the report and the card."""
    parts = []
    if measured.arms:
        arm = next(iter(measured.arms.values()))
        asked = ", then asked held-out questions without the documents (closed book)" if measured.evaluations else ""
        parts.append(
            f"Each arm is {arm.result.student} ({arm.result.parameters:,} weights) trained on its own mix for the same "
            f"number of tokens{asked}."
        )
        parts.append(
            table(["arm", "tokens", "mix by tokens", "exposures of a row", "final loss"], _training_rows(measured.arms))
        )
    if measured.evaluations:
        first = next(iter(measured.evaluations.values()))
        chance = "" if first.chance is None else f" Guessing gives {first.chance:.2f} on the choices."
        parts.append(f"Accuracy with 95 % intervals; questions: {first.overall.questions}.{chance}")
        parts.append(table(["arm", *_HEADS], [[name, *_measures(one)] for name, one in measured.evaluations.items()]))
        parts.append(_differences(measured.evaluations))
    if cells is not None:
        parts.append(cell_table(cells))
    if measured.beside is not None:
        parts.append(beside_section(measured.beside))
    parts.append(signal_section(measured.signals))
    if measured.gains and measured.training and measured.training.ablation:
        parts.append(gains_section(measured.gains, measured.training.ablation.arm))
    return "\n\n".join(part for part in parts if part)


_HEADS = ("multiple choice", "short answer, exact", "log-likelihood of the answer per token")


def _measures(result: EvalResult) -> list[str]:
    overall = result.overall
    return [_interval(one) for one in (overall.choice_accuracy, overall.short_exact, overall.gold_logprob)]


def _interval(one: Any) -> str:
    return "–" if one is None else f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _training_rows(arms: Mapping[str, Arm]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name, arm in arms.items():
        mix = ", ".join(f"{stream} {one.share:.0%}" for stream, one in arm.plan.streams.items())
        seen = ", ".join(
            f"{stream} {one.exposures.min:.1f}–{one.exposures.max:.1f}" for stream, one in arm.plan.streams.items()
        )
        rows.append([name, arm.plan.tokens, mix, seen, f"{arm.result.final_loss:.3f}"])
    return rows


def _differences(evaluations: Mapping[str, EvalResult]) -> str:
    """Every arm against the one before it: base, then in the order of the bill."""
    from train.compare import compare

    names = list(evaluations)
    rows = []
    for before, after in itertools.pairwise(names):
        for one in compare(evaluations[before], evaluations[after]).differences:
            if one.measure in ("choice_accuracy", "short_exact", "gold_logprob"):
                rows.append([f"{before} → {after}", *one.row()])
    if not rows:
        return ""
    return "Paired differences, each arm against the one above it:\n\n" + table(
        ["arms", "measure", "before", "after", "difference", "95 % interval"], rows
    )


def _lines(measured: Measured) -> list[str]:
    if not measured.evaluations:
        results = {name: (one.result, one.plan.tokens) for name, one in measured.arms.items()}
        return [
            f"{name:<12} loss {one.first_loss:.3f} → {one.final_loss:.3f} after {tokens:,} tokens"
            for name, (one, tokens) in results.items()
        ]
    lines = []
    for name, result in measured.evaluations.items():
        trained = "" if name == BASE else f" after {measured.arms[name].plan.tokens:,} tokens"
        choice, short, likely = _measures(result)
        lines.append(
            f"{name:<12} choice {choice}  short {short}  log-likelihood {likely}{_written(measured, name)}{trained}"
        )
    return lines


def _written(measured: Measured, name: str) -> str:
    found = None if measured.beside is None else measured.beside.written.get(name)
    return "" if found is None else f"  written {_interval(found.overall.accuracy)}"


def _arm_json(arm: Arm) -> dict[str, Any]:
    # Speeds are the student's own `result.json`'s: they differ between two runs of one bill.
    result = arm.result.model_dump(
        mode="json", exclude={"out", "tokens_per_second", "mfu", "step_seconds", "peak_memory_gb"}
    )
    return {"plan": arm.plan.model_dump(mode="json"), "result": result}


def _evaluation_json(result: EvalResult) -> dict[str, Any]:
    return {
        "questions": result.questions,
        "chance": result.chance,
        "overall": dataclasses.asdict(result.overall),
        "slices": [dataclasses.asdict(one) for one in result.slices],
    }


def _chart(path: Path, evaluations: Mapping[str, EvalResult]) -> None:
    """Accuracy of each arm with its interval and the line of chance; left out where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    from mashbill.disk import replacing

    figure = Figure(figsize=(1.4 + 1.1 * len(evaluations), 3.2), layout="constrained")
    axes = figure.add_subplot()
    _bars(axes, evaluations)
    with replacing(path) as aside:
        figure.savefig(aside, format="png", dpi=150)


def _bars(axes: Any, evaluations: Mapping[str, EvalResult]) -> None:
    shown = {name: one.overall.choice_accuracy for name, one in evaluations.items()}
    points = [(name, one) for name, one in shown.items() if one is not None]
    names: Sequence[str] = [name for name, _ in points]
    values = [one.value for _, one in points]
    errors = [[one.value - one.low for _, one in points], [one.high - one.value for _, one in points]]
    axes.bar(names, values, yerr=errors, capsize=4, color="#7a9e9f", ecolor="#333333", width=0.6)
    chance = next(iter(evaluations.values())).chance
    if chance is not None:
        axes.axhline(chance, color="#b5651d", linestyle="--", linewidth=1, label="guessing")
        axes.legend(frameon=False)
    axes.set_ylabel("multiple-choice accuracy, 95 % interval")
    axes.set_ylim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
