"""What one attempt is to write: a cell, a grade, the seeds it starts from, and which draw it is.

A cell of mathematics at difficulty 4 with two seeds, two grades and two draws gives eight targets, each pair of seed
and grade once before any is asked about again::

    seed a high, seed b undergraduate, seed a undergraduate, seed b high, then the same with draw 1
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mashbill.fingerprint import content_id, seed_of
from mashbill.records import QA
from synth.taxonomy import field_of

CellKey = tuple[str, int]
"""A discipline, ``field`` or ``field/sub-field`` as the budget has them, and a difficulty from 1 to 5."""


@dataclass(frozen=True, slots=True)
class Target:
    """One attempt."""

    discipline: str
    """The cell's."""
    difficulty: int
    grade: str
    """Empty where no grade is asked for."""
    style: str
    """What is to make it hard; empty below the hard cells."""
    seeds: tuple[QA, ...]
    """The first gives source, domain and licence to what is made."""
    draw: int = 0

    @property
    def id(self) -> str:
        """What its asks belong to: the same target on any machine has the same seeds."""
        return content_id(
            "boostqa",
            [seed.id for seed in self.seeds],
            self.discipline,
            self.difficulty,
            self.grade,
            self.style,
            self.draw,
        )

    @property
    def hard(self) -> bool:
        """Whether it is of a hard cell."""
        return bool(self.style)

    @property
    def seed_difficulty(self) -> float | None:
        """The mean difficulty of its seeds; None where one has none."""
        found = [seed.difficulty for seed in self.seeds if seed.difficulty is not None]
        return sum(found) / len(found) if len(found) == len(self.seeds) else None


def in_discipline(label: str, discipline: str) -> bool:
    """Whether a row's discipline is that of a cell, which may be a whole field.

    >>> in_discipline("mathematics/algebra", "mathematics"), in_discipline("mathematics", "mathematics/algebra")
    (True, False)
    """
    return label == discipline or field_of(label) == discipline


def seeds_of(seeds: Sequence[QA], cell: CellKey, *, hard: bool, seed: int) -> list[QA]:
    """The seeds of a cell, in an order drawn from the seed; of a hard one also its easier ones, the hardest first.

    A question is made harder out of what is easier, so a hard cell is not tied to the few hard seeds there are.
    """
    own = [one for one in seeds if in_discipline(one.discipline, cell[0]) and one.difficulty is not None]
    fits = [one for one in own if one.difficulty == cell[1] or (hard and (one.difficulty or 0) < cell[1])]
    return sorted(fits, key=lambda one: (-(one.difficulty or 0), seed_of(seed, one.id, *cell)))


def targets(
    cell: CellKey,
    seeds: Sequence[QA],
    *,
    grades: Sequence[str],
    styles: Sequence[str] = (),
    group: int,
    draws: int,
    seed: int,
) -> Iterator[Target]:
    """All targets of a cell, in order: every seed with every grade, then each again with the next draw."""
    ordered = seeds_of(seeds, cell, hard=bool(styles), seed=seed)
    for draw in range(draws):
        for turn in range(len(grades)):
            for at, one in enumerate(ordered):
                style = styles[(at + turn + draw) % len(styles)] if styles else ""
                yield Target(
                    discipline=cell[0],
                    difficulty=cell[1],
                    grade=grades[(at + turn) % len(grades)],
                    style=style,
                    seeds=(one, *partners(one, ordered, group - 1, seed_of(seed, one.id, turn, draw))),
                    draw=draw,
                )


def partners(one: QA, others: Sequence[QA], count: int, seed: int) -> tuple[QA, ...]:
    """Seeds to be shown beside one: of its own discipline first, in an order drawn from the seed."""
    if not count:
        return ()
    rest = [other for other in others if other.id != one.id]
    rest.sort(key=lambda other: (other.discipline != one.discipline, seed_of(seed, other.id)))
    return tuple(rest[:count])
