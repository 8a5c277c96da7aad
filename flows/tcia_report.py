"""What a run of task-centric instructions came to, beside its baselines: hop by hop, step by step, with a chart.

``tcia=best_response/5f0c evolved=best_response/a1b2`` -> ``report.md``, ``report.json`` and ``report.png`` in a folder.
Each arm is a finished step of instructions, or a release, whose streams are the arms. The way back to the source is in
the manifests, so every step's yield and reasons are there without asking for them.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.stored import the_thing
from mashbill.card import table
from mashbill.disk import write_bytes, write_json
from mashbill.embedding import load_embedder
from mashbill.errors import InputError, StoreError
from mashbill.records import Instruction, from_table
from mashbill.release_manifest import ReleaseManifest
from mashbill.store import Stored
from synth.hop_measures import Centres, HopMeasure, centres_of, measure

PAIRED = ("pair_contexts", "best_response", "tcia")
"""From these steps on the text holds an input, which is no part of the instruction's variety."""
MOST = 500
"""Instructions of one arm at one hop that are embedded and compared."""
NOTED = ("rounds", "marks", "on_task", "judge_errors", "wins")


@dataclass(frozen=True)
class ArmSteps:
    """The finished steps of one arm, from its source on."""

    name: str
    steps: tuple[Stored, ...]

    @property
    def measured(self) -> Stored:
        """The last step before inputs are put in."""
        before = [one for one in self.steps if one.manifest.step not in PAIRED and _has_texts(one)]
        return before[-1] if before else self.steps[-1]


def tcia_report(
    things: Sequence[str], root: Path, *, database: str = "", embedder: str = "", out: Path, most: int = MOST
) -> str:
    """Write the report and return its Markdown.

    Raises:
        StoreError: for an arm that is no finished step of instructions.
        InputError: when no arm has an instruction with a text.
    """
    arms = arms_of(things, root)
    rows = {arm.name: _rows(arm.measured) for arm in arms}
    if not any(rows.values()):
        raise InputError(
            f"none of {', '.join(rows)} has an instruction with a text; put compose_instruction on its way"
        )
    centres = centres_of(Stored.open(the_thing(database, root, ["step"]).path)) if database else None
    name = embedder or (centres.embedder if centres else "hashed_ngrams")
    if centres is not None and name != centres.embedder:
        raise InputError(
            f"--embedder is {name}, but the database's vectors are of {centres.embedder}; leave it out, or build the "
            "database with the same"
        )
    measured = measure(rows, load_embedder(name), centres, most)
    said = render(arms, measured, name, centres)
    notes = {arm.name: {one.manifest.step: _noted(one) for one in arm.steps if _noted(one)} for arm in arms}
    yields = {arm.name: [_yield(one) for one in arm.steps] for arm in arms}
    everything = {"embedder": name, "hops": [dataclasses.asdict(one) for one in measured]}
    write_json(out / "report.json", {**everything, "yields": yields, "notes": notes})
    write_bytes(out / "report.md", said.encode())
    chart(out / "report.png", measured)
    return said


def arms_of(things: Sequence[str], root: Path) -> list[ArmSteps]:
    """The arms that are named, each with its steps.

    Raises:
        StoreError: for what is no finished step of instructions, or a name given twice.
    """
    found = list[ArmSteps]()
    for said in things:
        name, equals, step = said.partition("=")
        thing = the_thing(step if equals else said, root, ["step"] if equals else ["step", "release"])
        if thing.sort == "step":
            found.append(_arm(name if equals else thing.name, Stored.open(thing.path), root))
            continue
        for stream, counts in ReleaseManifest.read(thing.path).streams.items():
            last = counts.steps[-1]
            found.append(
                _arm(stream, Stored.open(the_thing(f"{last.step}/{last.fingerprint}", root, ["step"]).path), root)
            )
    if twice := [name for name, count in Counter(arm.name for arm in found).items() if count > 1]:
        raise StoreError(f"two arms are called {twice[0]!r}; name them, as in tcia={things[0]}")
    return found


def _arm(name: str, last: Stored, root: Path) -> ArmSteps:
    if not issubclass(last.kind, Instruction):
        raise StoreError(f"{last.path}: its rows are {last.manifest.kind}; a report is of instructions")
    steps = [last]
    while steps[0].manifest.inputs:
        place = root / next(iter(steps[0].manifest.inputs))
        if not Stored.finished(place):
            break  # it lies under another root: what is known of it are its rows, which were read
        steps.insert(0, Stored.open(place))
    return ArmSteps(name, tuple(steps))


def _has_texts(stored: Stored) -> bool:
    return issubclass(stored.kind, Instruction) and any(
        any(text for text in part["text"].to_pylist()) and "query_vector" not in part.column_names for part in stored
    )


def _rows(stored: Stored) -> list[Instruction]:
    return [row for part in stored for row in from_table(part, Instruction) if row.text.strip()]


def render(arms: Sequence[ArmSteps], measured: Sequence[HopMeasure], embedder: str, centres: Centres | None) -> str:
    """The report as Markdown."""
    centroid = "" if centres is None else " On task by centroid: nearest to its own cluster of the database."
    parts = [
        "# Instructions hop by hop\n",
        f"Diversity is 1 - the mean cosine of all pairs, with {embedder}; equal count at each hop.{centroid}\n",
        table(
            [
                "arm",
                "hop",
                "rows",
                "different",
                "diversity",
                "of those on task",
                "on task, judge",
                "judged",
                "on task, centroid",
                "rounds",
            ],
            [_hop_row(one) for one in measured],
        ),
        "\n## Yield of each step\n",
        table(
            ["arm", "step", "read", "kept", "rejected", "reasons"],
            [[arm.name, *_yield_row(one)] for arm in arms for one in arm.steps],
        ),
        "\n## What was lost, by hop\n",
        table(["arm", "step", "hop", "kept", "rejected", "reasons"], [row for arm in arms for row in _by_hop(arm)]),
    ]
    noted = [
        (arm.name, one.manifest.step, name, value)
        for arm in arms
        for one in arm.steps
        for name, value in _noted(one).items()
    ]
    if noted:
        parts.append("\n## What the steps noted\n")
        parts.append(table(["arm", "step", "measure", "counts"], [[*row[:3], _plain(row[3])] for row in noted]))
    return "\n".join(parts) + "\n"


def _hop_row(one: HopMeasure) -> list[object]:
    shares = [one.diversity, one.diversity_on_task, one.on_task_judge, one.judged, one.on_task_centroid, one.rounds]
    return [one.arm, one.hop, one.rows, one.texts, *(_share(value) for value in shares)]


def _share(value: float | int | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _yield(stored: Stored) -> dict[str, Any]:
    counts = stored.manifest.counts
    reasons = dict(sorted(counts.rejected.items(), key=lambda pair: (-pair[1], pair[0])))
    return {"step": stored.manifest.step, "read": counts.read, "kept": counts.kept, "rejected": reasons}


def _yield_row(stored: Stored) -> list[object]:
    found = _yield(stored)
    return [found["step"], found["read"], found["kept"], sum(found["rejected"].values()), _plain(found["rejected"])]


def _by_hop(arm: ArmSteps) -> list[list[object]]:
    """Kept and rejected of each step that reads instructions, by the hop of the row."""
    found = list[list[object]]()
    for stored in arm.steps[1:]:
        if stored.kind is not Instruction:
            continue
        kept, reasons = Counter[int](), dict[int, Counter[str]]()
        for index in range(len(stored)):
            kept.update(stored.table(index, ["hop"])["hop"].to_pylist())
            rejects = stored.rejects(index).select(["record", "reason"]).to_pylist()
            for reject in rejects:
                hop = int(json.loads(reject["record"] or "{}").get("hop", 0))
                reasons.setdefault(hop, Counter())[reject["reason"]] += 1
        for hop in sorted({*kept, *reasons}):
            own = reasons.get(hop, Counter())
            found.append([arm.name, stored.manifest.step, hop, kept[hop], own.total(), _plain(dict(own.most_common()))])
    return found


def _noted(stored: Stored) -> dict[str, Any]:
    return {name: stored.manifest.notes[name] for name in NOTED if stored.manifest.notes.get(name)}


def _plain(value: Mapping[str, Any]) -> str:
    """Counts as a reader has them: ``truncated 3, empty 1``."""
    return ", ".join(
        f"{name}: {_plain(one)}" if isinstance(one, Mapping) else f"{name} {'–' if one is None else one}"
        for name, one in value.items()
    )


def chart(path: Path, measured: Sequence[HopMeasure]) -> None:
    """Both properties over hops, a line an arm; left out where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    from mashbill.disk import replacing

    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _panel(left, measured, "diversity", "diversity (dashed: of those on task)")
    judge = any(one.on_task_judge is not None for one in measured)
    _panel(
        right,
        measured,
        "on_task_judge" if judge else "on_task_centroid",
        f"on task, by {'judge' if judge else 'centroid'}",
    )
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=max(1, len(names)), frameon=False)
    with replacing(path) as aside:
        figure.savefig(aside, format="png", dpi=150)


COLOURS = ("#1f6f78", "#b5651d", "#6b6b6b", "#7a4e9f", "#4c8c4a")
MARKS = ("o", "s", "^", "D", "v")
"""Told apart without colour too."""


def _panel(axes: Any, measured: Sequence[HopMeasure], field: str, title: str) -> None:
    arms = list(dict.fromkeys(one.arm for one in measured))
    for at, arm in enumerate(arms):
        points = [(one.hop, getattr(one, field)) for one in measured if one.arm == arm]
        points = [(hop, value) for hop, value in points if value is not None]
        style = {"color": COLOURS[at % len(COLOURS)], "marker": MARKS[at % len(MARKS)], "label": arm}
        axes.plot([hop for hop, _ in points], [value for _, value in points], markersize=5, linewidth=1.5, **style)
        if field == "diversity":
            own = [(one.hop, one.diversity_on_task) for one in measured if one.arm == arm]
            own = [(hop, value) for hop, value in own if value is not None]
            dashed = {"color": style["color"], "linestyle": "--", "linewidth": 1}
            axes.plot([hop for hop, _ in own], [value for _, value in own], **dashed)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel("hop")
    axes.set_xticks(sorted({one.hop for one in measured}))
    axes.set_ylim(-0.03, 1.03)
    axes.spines[["top", "right"]].set_visible(False)
