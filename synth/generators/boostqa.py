r"""New questions where a student is weak: for several grades, as hard as wanted, with answers that draws agree on.

Labelled seeds of which some were tried by the student -> exactly the budget of each cell of discipline and difficulty::

    boostqa: {budget: {total: 2000, gamma: 2}, refiner: editor, annotator: {engine: judge}}

    {"question": "A rectangle is to be fenced …", "answer": "450 m^2", "rationale": "…", "grade": "high",
     "discipline": "mathematics/calculus", "difficulty": 4, "knowledge_points": ["optimisation", "perimeter"],
     "verdicts": [{"name": "self_consistency", "outcome": "pass"}, {"name": "refinement", "outcome": "pass"}, …],
     "scores": [{"name": "target_difficulty", "value": 4}, {"name": "seed_difficulty", "value": 3}, …], …}

After BoostQA (arXiv 2508.01326): annotate, probe, synthesise for several grades and at high difficulty, refine the
answers. Only its abstract is public, so the budget, the checks, the loop of re-annotation and rewriting, the votes and
the guard on refined answers are ours. What each does can be switched off, to be measured.

The next attempts depend on what was accepted, so this is a step over all seeds. Attempts go in waves: a wave is drawn
from what is known of those before, all of it is awaited, and its outcomes are counted in the order of its targets. So
the rows do not depend on which reply came first, and a killed run replays to the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from mashbill.ask import Ask
from mashbill.errors import BadReply, BillError
from mashbill.generator_run import reject_of
from mashbill.records import QA, Reject, from_table, to_table
from mashbill.registry import nearest
from mashbill.step import DatasetGenerator, PartOutput, Parts, settle
from mashbill.store import Stored
from synth.boostqa_answers import Answering
from synth.boostqa_cells import CellRun, yield_of
from synth.boostqa_likeness import wording_of
from synth.boostqa_report import boostqa_report, count_cells, count_trail
from synth.boostqa_target import CellKey, Target, seeds_of, targets
from synth.boostqa_trail import Trail
from synth.boostqa_writing import Writing
from synth.budget import READS, Budget, BudgetSpec, budget_of
from synth.graders import roles

SPEC = BudgetSpec()


@dataclass(frozen=True, kw_only=True)
class Boostqa(Writing, Answering, DatasetGenerator[QA, QA]):
    """Writes questions for the cells that a budget names until each has what it wants."""

    budget: BudgetSpec = SPEC
    """How much for which cell: ``{total: 2000, by: weakness, gamma: 1}``; with ``unit: tokens`` so many tokens."""
    group: int = 1
    """Seeds of one discipline that a question starts from, 1 to 3."""
    repeats: int = 3
    """How often each seed is asked about for each grade before a cell counts as used up."""
    wave: int = 64
    """Attempts in work at once. More is faster, and draws further ahead of what is known of the last ones."""
    give_up: int = 60
    """A cell ends when so many of its attempts, one after another, gave no row."""
    part_rows: int = 500
    """Rows in a stored part."""
    seed: int = 42
    """Orders the seeds of a cell."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        Writing.__post_init__(self)
        Answering.__post_init__(self)
        for name in ("repeats", "wave", "give_up", "part_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 1 <= self.group <= 3:
            raise ValueError(f"group is {self.group}; a question starts from 1 to 3 seeds")
        if self.repeats > 1 and self.writing.temperature == 0:
            raise ValueError(
                f"repeats is {self.repeats} at temperature 0, where every draft of a seed is the same; raise "
                "writing.temperature, or set repeats: 1"
            )

    def engines(self) -> Sequence[str]:
        """The roles that write, label, answer, grade and edit, besides the main engine."""
        labelling = self.annotator.roles() if self.reannotate else ()
        return roles((self.writer,), labelling, Answering.engines(self))

    async def make(self, parts: Parts, ask: Ask) -> AsyncIterator[PartOutput]:
        """Parts of accepted rows, with the rejects on the way to them."""
        seeds, budget, unlabelled, seen = _read(parts, self.budget)
        cells = self._cells(seeds, budget)
        tray = Tray(self.name, noted=Counter(seeds_without_labels=unlabelled), seen=seen)
        while wave := self._wave(cells):
            trails = [Trail() for _ in wave]
            rows = (
                self._row(target, ask.of(target.id), trail) for (_, target), trail in zip(wave, trails, strict=True)
            )
            outcomes = await settle(rows, apart=True)
            for (run, target), trail, outcome in zip(wave, trails, outcomes, strict=True):
                tray.take(run, target, trail, outcome)
            if ask.over_budget:
                break  # nothing that follows could be paid for
            if len(tray.rows) >= self.part_rows:
                yield tray.part()
        tray.noted.update(count_cells(cells))
        yield tray.part()

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """The budget, what came of each cell, difficulty before and after, and what the editor did."""
        budget = budget_of(_labels(source), self.budget)
        return {
            "budget": budget.plain(),
            **boostqa_report(made.manifest.counts.noted, self.budget.unit),
        }

    def _cells(self, seeds: Sequence[QA], budget: Budget) -> list[CellRun]:
        cells = []
        for key, wanted in budget.wanted().items():
            self._check_known(key)
            left = targets(
                key,
                seeds_of(seeds, key, hard=self._hard(key), seed=self.seed),
                grades=self.grades if self.grade_conditioning else ("",),
                styles=self.styles if self._hard(key) else (),
                group=self.group,
                draws=self.repeats,
                seed=self.seed,
            )
            tokens = self.budget.unit == "tokens"
            cells.append(CellRun(cell=key, wanted=wanted, tokens=tokens, left=left, give_up=self.give_up))
        return cells

    def _hard(self, cell: CellKey) -> bool:
        return cell[1] >= self.hard_from

    def _check_known(self, cell: CellKey) -> None:
        """Refuse a discipline that the annotator has no word for: every draft would be of another one."""
        if not self.reannotate:
            return
        taxonomy = self.annotator.disciplines()
        known = {*taxonomy.by_label, *taxonomy.fields}
        if cell[0] not in known:
            raise BillError(
                f"boostqa: seeds are of the discipline {cell[0]!r}{nearest(cell[0], known)}, which the annotator's "
                f"taxonomy {taxonomy.name} does not have; label the seeds with `annotate`, or give the annotator their "
                "taxonomy"
            )

    def _wave(self, cells: Sequence[CellRun]) -> list[tuple[CellRun, Target]]:
        """The next targets: of the first cells that still want something, as many as may be in work at once."""
        wave, everywhere = list[tuple[CellRun, Target]](), yield_of(cells)
        for run in cells:
            if not run.ended:
                wave += [(run, target) for target in run.draw(self.wave - len(wave), everywhere)]
        return wave

    async def _row(self, target: Target, ask: Ask, trail: Trail) -> QA:
        record, draft = await self.written(target, ask, trail)
        row = await self.answered(record, draft.tests, ask, trail)
        *before, last = trail.answers
        return replace(row, made=last.made(*before)).identified()


@dataclass
class Tray:
    """What the waves gave since the last part."""

    step: str
    noted: Counter[str]
    seen: set[tuple[str, ...]]
    """The words of every question read and every row kept, to know one that is asked again."""
    rows: list[QA] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def take(self, run: CellRun, target: Target, trail: Trail, outcome: QA | BadReply) -> None:
        """Count one attempt and keep its row, if its cell still wants one."""
        if isinstance(outcome, QA) and wording_of(outcome.question) in self.seen:
            outcome = _refused(
                "repeated_question",
                "a seed, a held-out question or an earlier row asks the same in the same words",
                outcome,
            )
        good = isinstance(outcome, QA)
        count_trail(self.noted, target, trail, outcome if isinstance(outcome, QA) else None)
        if isinstance(outcome, QA) and run.full:
            outcome = _refused("not_needed", "the cell had what it wanted", outcome)
            run.pass_over()
        if isinstance(outcome, QA):
            run.keep(row_tokens(outcome))
            self.seen.add(wording_of(outcome.question))
            self.rows.append(outcome)
            return
        if not good:
            run.miss()
        self.rejects.append(reject_of(_about(outcome, target, trail), target.seeds[0], self.step))

    def part(self) -> PartOutput:
        """A part of what there is, and begin anew."""
        output = PartOutput(kept=to_table(self.rows, QA), rejects=to_table(self.rejects, Reject), noted=self.noted)
        self.rows, self.rejects, self.noted = [], [], Counter()
        return output


def row_tokens(row: QA) -> int:
    """How long a row is, in tokens of four bytes: what a tokenizer of English makes of it, near enough for a budget.

    The student's own tokenizer counts when the plan is made.
    """
    texts = (row.context, row.question, *row.options, row.rationale, row.answer)
    return -(-sum(len(text.encode()) for text in texts) // 4)


def _labels(parts: Parts | Stored) -> pa.Table:
    return pa.concat_tables([parts.table(index, READS) for index in range(len(parts))])


def _read(parts: Parts, spec: BudgetSpec) -> tuple[list[QA], Budget, int, set[tuple[str, ...]]]:
    """The seeds, the budget, how many seeds have no labels, and the words of every question, held out or not."""
    rows = [row for table in parts for row in from_table(table, QA)]
    # As the budget has it: rows that were tried are held out, unless all of them were.
    seeds = [row for row in rows if row.pass_rate is None] or rows
    labelled = [row for row in seeds if row.discipline and row.difficulty is not None]
    # A question that the student is measured on must not come back as one that it learns from.
    seen = {wording_of(row.question) for row in rows}
    return labelled, budget_of(_labels(parts), spec), len(seeds) - len(labelled), seen


def _refused(reason: str, detail: str, row: QA) -> BadReply:
    return BadReply(reason, detail, text=row.question, asks=row.made.asks, verdicts=row.verdicts)


def _about(bad: BadReply, target: Target, trail: Trail) -> BadReply:
    """Why an attempt gave no row, with what it was to write and every ask it made."""
    subjects = (
        f"cell:{target.discipline}/{target.difficulty}",
        *([f"grade:{target.grade}"] if target.grade else []),
        *([f"style:{target.style}"] if target.style else []),
        f"drafts:{trail.drafts}",
        *bad.subjects,
    )
    asks = tuple(dict.fromkeys([*trail.keys, *bad.asks]))
    return BadReply(bad.reason, bad.detail, text=bad.text, asks=asks, subjects=subjects, verdicts=bad.verdicts)
