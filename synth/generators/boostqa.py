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
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mashbill.ask import Ask
from mashbill.errors import BadReply, BillError
from mashbill.generator_run import reject_of
from mashbill.qa_text import option_key
from mashbill.records import QA, Reject, from_table, to_table
from mashbill.registry import nearest
from mashbill.step import DatasetGenerator, PartOutput, Parts, settle
from mashbill.store import Stored
from synth.boostqa_answers import Answering
from synth.boostqa_cells import CellRun, yield_of
from synth.boostqa_report import boostqa_report, count_cells, count_trail
from synth.boostqa_target import CellKey, Target, seeds_of, targets
from synth.boostqa_trail import Trail
from synth.boostqa_writing import Writing
from synth.budget import READS, Budget, BudgetSpec, budget_of
from synth.graders import roles

Outcome = tuple[Target, Trail, QA | BadReply]


@dataclass(frozen=True, kw_only=True)
class Boostqa(Writing, Answering, DatasetGenerator[QA, QA]):
    """Writes questions for the cells that a budget names until each has what it wants."""

    budget: BudgetSpec = field(default_factory=BudgetSpec)
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
        seeds, budget, unlabelled = _read(parts, self.budget)
        cells = self._cells(seeds, budget)
        rows, rejects = list[QA](), list[Reject]()
        noted, seen = Counter[str](seeds_without_labels=unlabelled), {_key(one) for one in seeds}
        while wave := self._wave(cells):
            for run, (target, trail, outcome) in await self._tried(wave, ask):
                good = outcome if isinstance(outcome, QA) else None
                if good is not None and _key(good) in seen:
                    good, outcome = None, _repeated(good, trail)
                count_trail(noted, target, trail, good)
                if good is not None and run.full:
                    run.pass_over()
                    outcome = BadReply("not_needed", "the cell had what it wanted", text=good.question, asks=trail.keys)
                elif good is not None:
                    run.keep(row_tokens(good))
                    seen.add(_key(good))
                    rows.append(good)
                else:
                    run.miss()
                if isinstance(outcome, BadReply):
                    rejects.append(reject_of(_about(outcome, target, trail), target.seeds[0], self.name))
            if len(rows) >= self.part_rows:
                yield _output(rows, rejects, noted)
                rows, rejects, noted = [], [], Counter()
        noted.update(count_cells(cells))
        yield _output(rows, rejects, noted)

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

    async def _tried(
        self, wave: Sequence[tuple[CellRun, Target]], ask: Ask
    ) -> Iterator[tuple[CellRun, Outcome]]:
        trails = [Trail() for _ in wave]
        asked = [self._written_one(target, ask.of(target.id), trail) for (_, target), trail in zip(wave, trails, strict=True)]
        outcomes = await settle(asked)
        triples = zip(wave, trails, outcomes, strict=True)
        return iter([(run, (target, trail, outcome)) for (run, target), trail, outcome in triples])

    async def _written_one(self, target: Target, ask: Ask, trail: Trail) -> QA:
        record, draft = await self.written(target, ask, trail)
        row = await self.answered(record, draft.tests, ask, trail)
        *before, last = trail.answers
        return _stamped(row, last.made(*before))


def row_tokens(row: QA) -> int:
    """How long a row is, in tokens of four bytes: what a tokenizer of English makes of it, near enough for a budget.

    The student's own tokenizer counts when the plan is made.
    """
    texts = (row.context, row.question, *row.options, row.rationale, row.answer)
    return -(-sum(len(text.encode()) for text in texts) // 4)


def _labels(parts: Parts | Stored) -> pa.Table:
    return pa.concat_tables([parts.table(index, READS) for index in range(len(parts))])


def _read(parts: Parts, spec: BudgetSpec) -> tuple[list[QA], Budget, int]:
    """The seeds, the budget, and how many seeds have no labels."""
    rows = [row for table in parts for row in from_table(table, QA)]
    # As the budget has it: rows that were tried are held out, unless all of them were.
    seeds = [row for row in rows if row.pass_rate is None] or rows
    labelled = [row for row in seeds if row.discipline and row.difficulty is not None]
    return labelled, budget_of(_labels(parts), spec), len(seeds) - len(labelled)


def _key(row: QA) -> tuple[str, ...]:
    return option_key(row.question)


def _repeated(row: QA, trail: Trail) -> BadReply:
    detail = "a seed or an earlier row asks the same in the same words"
    return BadReply("repeated_question", detail, text=row.question, asks=trail.keys, verdicts=row.verdicts)


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


def _stamped(row: QA, made: Any) -> QA:
    import dataclasses

    return dataclasses.replace(row, made=made).identified()


def _output(rows: list[QA], rejects: list[Reject], noted: Counter[str]) -> PartOutput:
    return PartOutput(kept=to_table(rows, QA), rejects=to_table(rejects, Reject), noted=dict(noted))
