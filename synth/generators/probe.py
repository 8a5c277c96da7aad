"""What a student gets right of held-out seeds: a share of the questions is tried, the rest is left to write from.

Four labelled questions of which one is drawn, eight draws of the student, two right -> the same four rows, one of them
with ``pass_rate`` 0.25::

    probe: {teachers: [student], held_out: 0.3, draws: 8}

`synth.budget` makes a budget of such rows: those with a pass rate say what the student can, the others are the seeds.
They are drawn by source, so that no question is tried whose neighbour from the same document is written from. The
student is an engine of the bill like any other, by its role. Difficulty stays as it was annotated: what a reader judges
and what a student fails are two columns, and where they differ is worth knowing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mashbill.ask import Ask
from mashbill.matching import Matcher, matcher
from mashbill.records import QA
from mashbill.step import Generator
from synth.generators.pass_rate import PassRate
from synth.held_out import drawn


@dataclass(frozen=True, kw_only=True)
class Probe(PassRate, Generator[QA, QA]):
    """Measures how often a student answers a held-out share of the questions rightly."""

    version = 2

    teachers: tuple[str, ...] = ("student",)
    """The student's role under ``engines`` in the bill."""
    held_out: float = 0.3
    """The share of the sources whose questions are tried and not written from."""
    bins: int = 0
    """As in `pass_rate`; 0 leaves the annotated difficulty alone."""
    seed: int = 42

    def __post_init__(self) -> None:
        """Refuse a share that leaves nothing to try, or nothing to write from."""
        super().__post_init__()
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}; it must lie between 0 and 1: the rest is written from")

    def matcher_for(self, record: QA) -> Matcher:
        """As everywhere, but that gold answers which are numbers are compared as numbers: seeds are of all kinds."""
        if self.matcher is None and not record.options:
            numeric = matcher("numeric")
            gold = (record.answer, *record.accepted)
            if all(numeric.compare(one, one).same for one in gold if one.strip()):
                return numeric
        return super().matcher_for(record)

    async def make(self, record: QA, ask: Ask) -> Iterable[QA]:
        """The question, with its pass rate where it was drawn."""
        if not drawn(record.source_id, self.held_out, self.seed, self.name):
            return [record]
        return await super().make(record, ask)
