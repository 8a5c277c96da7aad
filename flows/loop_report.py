"""The report of a loop: what each round gave, against the control, and what the chosen student does on the test.

``loop.json`` holds the numbers, ``report.md`` reads them out; ``curve.png``, ``groups.png`` and ``recipes.png`` draw
them. The test is read here, once, when `choice.json` is on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.budget import partial_lines
from flows.kitchen import Kitchen, Outcome
from flows.loop_costs import costs_section, spent_in, spent_line
from flows.loop_plot import draw_curve, draw_groups, draw_recipes
from flows.loop_questions import SealedTest, question_key, repeated
from flows.loop_round import Round
from flows.loop_rounds import Rounds
from flows.loop_section import Loop
from flows.loop_student import asked
from mashbill.card import table
from mashbill.disk import file_digest, write_bytes, write_json
from mashbill.fingerprint import fingerprint
from mashbill.intervals import Interval, wilson
from mashbill.prices import PriceTable
from mashbill.records import schema_of
from mashbill.release_manifest import ReleaseManifest
from mashbill.weakness import group_scores
from train.questions import read_questions

if TYPE_CHECKING:
    from train.evaluate import EvalResult

CHOICE, REPORT, READABLE = "choice.json", "loop.json", "report.md"
CURVE, GROUPS, RECIPES = "curve.png", "groups.png", "recipes.png"


@dataclass(frozen=True)
class Tested:
    """A chosen student on the test."""

    name: str
    round: int
    result: EvalResult

    @property
    def accuracy(self) -> Interval:
        """With Wilson's 95 % interval."""
        return wilson(sum(row.correct for row in self.result.rows), len(self.result.rows))


async def write_loop_report(
    kitchen: Kitchen, loop: Loop, runs: Sequence[Rounds], sealed: SealedTest, choice: Path
) -> Outcome:
    """Ask the chosen students the test, and write everything down."""
    kitchen.check()
    test = await asyncio.to_thread(sealed.unseal, choice, choice.with_name("test.jsonl"))
    tested = [Tested(one.name, one.best.number, await asked(kitchen, loop, one.best.model, test)) for one in runs]
    identity = (runs[0].folder.name, file_digest(test), bool(loop.spec.control))
    folder = kitchen.root / "reports" / f"{loop.name}-loop" / fingerprint(identity)
    await asyncio.to_thread(_write, folder, kitchen, loop, runs, tested, test)
    main = runs[0]
    lines = [f"round {main.best.number} of {len(main.done) - 1} chosen: {main.best.model}"]
    lines += [f"{one.name}: {one.accuracy} on the test, round {one.round}" for one in tested]
    lines += [line for one in runs if (line := spent_line(one, kitchen.prices))]
    lines += [f"{one.name} stopped after round {one.done[-1].number}: {one.ended}" for one in runs if one.ended]
    if (last := main.done[-1].release) is not None:
        lines += partial_lines(ReleaseManifest.read(last))
    return Outcome(main.best.release, folder, "\n".join(lines))


def _write(
    folder: Path, kitchen: Kitchen, loop: Loop, runs: Sequence[Rounds], tested: Sequence[Tested], test: Path
) -> None:
    seen = standing_in_rows(runs[0], test)
    draw_curve(runs, tested, folder / CURVE)
    if any(one.allocation for one in runs[0].done):
        draw_groups(runs[0], folder / GROUPS)
        draw_recipes(runs[0], folder / RECIPES)
    write_bytes(folder / READABLE, _readable(loop, runs, tested, seen, kitchen.prices).encode())
    write_json(
        folder / REPORT,
        {
            "name": loop.name,
            "unit": loop.spec.unit,
            "budget": loop.spec.budget,
            "currency": "" if kitchen.prices is None else kitchen.prices.currency,
            "runs": {
                one.name: {
                    "rounds": [each.plain(kitchen.root) for each in one.done],
                    "chosen": one.best.number,
                    "ended": one.ended,
                    "costs": [each.plain(kitchen.prices) for each in spent_in(one)],
                }
                for one in runs
            },
            "test": {one.name: _tested(one) for one in tested},
            "test_questions_in_rows": seen,
        },
    )


def _tested(one: Tested) -> dict[str, Any]:
    sure = one.accuracy
    return {
        "round": one.round,
        "questions": len(one.result.rows),
        "accuracy": sure.value,
        "low": sure.low,
        "high": sure.high,
        "chance": one.result.chance,
    }


def standing_in_rows(run: Rounds, test: Path) -> list[str]:
    """Ids of the test's questions that stand word for word in a row that was learned.

    Found at the end, since nothing before it may look at the test.
    """
    asked = {question_key(one.question, one.context): one.id for one in read_questions(test)}
    found = set[str]()
    for stored in (one for each in run.done for one in each.kept):
        names = [name for name in ("question", "context", "text") if name in schema_of(stored.kind).names]
        for index in range(len(stored)):
            for row in stored.table(index, names).to_pylist():
                found.update(asked[key] for key in repeated(row, asked))
    return sorted(found)


def _readable(
    loop: Loop, runs: Sequence[Rounds], tested: Sequence[Tested], seen: Sequence[str], prices: PriceTable | None
) -> str:
    main, what = runs[0], f"{loop.spec.budget:,} new {loop.spec.unit} a round"
    trained = loop.training.plans["made"].tokens
    parts = [
        f"# {loop.name}: rounds of a loop",
        f"{what}; each round's student learns from {trained:,} tokens, from the {loop.spec.start} student on. Weak by "
        f"{', '.join(loop.weak.by)}, gamma {loop.weak.gamma:g}. Intervals are of 95 %, over questions (Wilson).",
        _rounds_table(runs),
        f"![Accuracy by round]({CURVE})",
        *[f"{one.name} stopped after round {one.done[-1].number}: {one.ended}." for one in runs if one.ended],
        "## On the test",
        _test_table(tested),
        *_paired(tested),
        _seen(seen, tested),
        "## Groups",
        f"Of {main.name}: the share that each round's student got right, and the {loop.spec.unit} that each round was "
        "to make of the group.",
        _groups_table(main),
        *_pictured(main, "Groups by round", GROUPS),
        "## Recipes",
        _EXPLAINED,
        _recipes_table(main),
        *_pictured(main, "Recipes by round", RECIPES),
        *costs_section(runs, prices),
        *_notes(runs),
    ]
    return "\n\n".join(parts) + "\n"


_EXPLAINED = (
    "The recipe's share of the round's budget; the records it wrote from; the rows made, those of them that no earlier "
    "row is like, and those kept within the budget, with their tokens; the tokens that models read and wrote for it; "
    "its gain in validation accuracy; and its reward, from 0 to 1, by which the next round shares its budget."
)


def _pictured(run: Rounds, what: str, picture: str) -> list[str]:
    return [f"![{what}]({picture})"] if any(one.allocation for one in run.done) else []


def _rounds_table(runs: Sequence[Rounds]) -> str:
    longest = max(len(one.done) for one in runs)
    heads = ["round", *(f"{one.name}{head}" for one in runs for head in (": new rows", ": new tokens", ": validation"))]
    rows = []
    for number in range(longest):
        row: list[object] = [number]
        for one in runs:
            found = one.done[number] if number < len(one.done) else None
            row += ["", "", ""] if found is None else [found.new_rows, found.new_tokens, found.accuracy]
        rows.append(row)
    return table(heads, rows)


def _test_table(tested: Sequence[Tested]) -> str:
    heads = ["", "round chosen by validation", "questions", "accuracy", "chance"]
    rows: list[list[object]] = [
        [
            one.name,
            one.round,
            len(one.result.rows),
            one.accuracy,
            "" if (by := one.result.chance) is None else f"{by:.2f}",
        ]
        for one in tested
    ]
    return table(heads, rows)


def _paired(tested: Sequence[Tested]) -> list[str]:
    """The loop less its control, question by question."""
    if len(tested) < 2:
        return []
    from train.intervals import bootstrap

    main, control = tested[:2]
    pairs = zip(main.result.rows, control.result.rows, strict=True)
    gap = bootstrap([float(one.correct) - float(other.correct) for one, other in pairs], seed=0)
    return [
        f"{main.name} less {control.name}: {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}], paired by question; one "
        "seed, so it says nothing of other worlds or orders."
    ]


def _seen(seen: Sequence[str], tested: Sequence[Tested]) -> str:
    asked = len(tested[0].result.rows)
    if not seen:
        return f"None of the {asked} questions of the test stands word for word in a row that was learned."
    shown = ", ".join(seen[:5]) + (" …" if len(seen) > 5 else "")
    return (
        f"**{len(seen)} of the {asked} questions of the test stand word for word in rows that were learned** "
        f"({shown}): the accuracy above is too high by what was learned by heart."
    )


def _groups_table(run: Rounds) -> str:
    """Accuracy and what was asked for, group by group."""
    rounds = [one for one in run.done if one.allocation is not None]
    heads = [
        "group",
        "questions",
        *(f"right {one.number}" for one in run.done),
        *(f"for {one.number}" for one in rounds),
    ]
    by_round = [{each.name: each for each in scores_of(one)} for one in run.done]
    names = sorted({name for scores in by_round for name in scores} | {n for one in rounds for n in _wanted(one)})
    rows: list[list[object]] = []
    for name in names:
        asked = next((scores[name].asked for scores in by_round if name in scores), 0)
        right = [f"{scores[name].accuracy:.2f}" if name in scores else "" for scores in by_round]
        rows.append([name or "(none)", asked, *right, *(_wanted(one).get(name, 0) for one in rounds)])
    return table(heads, rows)


def scores_of(one: Round) -> list[Any]:
    """The groups of a round's student."""
    return list(group_scores(one.validated.answers, smoothing=0))


def _wanted(one: Round) -> Mapping[str, int]:
    return {} if one.allocation is None else one.allocation.by_group


def _recipes_table(run: Rounds) -> str:
    heads = ["round", "recipe", "share", "records", "made", "new", "kept", "tokens", "asked tokens", "gain", "reward"]
    rows: list[list[object]] = []
    for one in run.done:
        if one.allocation is None:
            continue
        for name, made in one.made.items():
            worth = one.worth[name]
            gain = "not measured" if worth.measured_gain is None else f"{worth.measured_gain:+.3f}"
            rows.append(
                [one.number, name, f"{one.allocation.shares[name]:.2f}", made.records, made.generated, made.novel,
                 made.rows, made.tokens, made.asked_tokens, gain, f"{worth.reward:.2f}"]
            )  # fmt: skip
    return table(heads, rows)


def _notes(runs: Sequence[Rounds]) -> list[str]:
    lines = [f"- {run.name}, round {one.number}: {note}" for run in runs for one in run.done for note in one.notes]
    return ["## Notes", "\n".join(lines)] if lines else []
