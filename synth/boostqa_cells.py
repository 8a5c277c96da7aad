"""Exactly so much for each cell: what is still wanted, how much to ask for, when a cell ends.

A cell that wants 8 more rows and had 12 rows of 20 attempts, where all cells together had 0.7, has a yield of
``(12 + 2 * 0.7) / (20 + 2)`` = 0.61 and asks for 14 more; of what comes of them the first 8 rows are kept, and the
others are rejects, ``not_needed``. The yield of all cells counts as two attempts, so that a cell of three attempts is
not believed too soon; before anything was tried it is 1, and nothing is asked beyond what is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from synth.boostqa_target import CellKey, Target

Ended = Literal["", "filled", "used_up", "gave_up", "no_seed"]
"""Why a cell stopped: it has what was wanted; every target was tried; too many attempts in a row gave no row; its field
has no seed at all."""
POOLED = 2
"""Attempts of the yield of all cells that are put to a cell's own."""
FIRST_ROW = 100
"""Tokens that a row is taken to have before the cell has one of its own."""


@dataclass(slots=True)
class CellRun:
    """One cell under way."""

    cell: CellKey
    wanted: int
    """Rows, or tokens."""
    tokens: bool
    left: Iterator[Target]
    give_up: int
    accepted: int = 0
    """Rows."""
    have: int = 0
    """Of what is wanted."""
    tried: int = 0
    failures: int = 0
    """Attempts in a row that gave no row."""
    spare: int = 0
    """Rows that were as good and not needed."""
    ended: Ended = ""

    @property
    def name(self) -> str:
        """The cell as reports name it."""
        return cell_name(self.cell)

    @property
    def good(self) -> int:
        """Attempts that gave a row, needed or not."""
        return self.accepted + self.spare

    def due(self, everywhere: float = 1.0) -> int:
        """How many attempts are likely to give what is missing, by the yield here and `everywhere`."""
        missing = self.wanted - self.have
        rows = missing / self.row_tokens if self.tokens else missing
        share = (self.good + POOLED * everywhere) / (self.tried + POOLED)
        # A yield of nothing is no number to divide by; the cell is given up before it is asked so much.
        return math.ceil(round(rows / share, 9)) if share else self.give_up

    @property
    def row_tokens(self) -> float:
        """Tokens of a row of this cell."""
        return self.have / self.accepted if self.accepted else FIRST_ROW

    def draw(self, most: int, everywhere: float = 1.0) -> list[Target]:
        """The next targets, as many as are due and at most so many; none ends the cell."""
        if self.have >= self.wanted:
            self.ended = "filled"
            return []
        if self.failures >= self.give_up:
            self.ended = "gave_up"
            return []
        # No further than where the cell would be given up: what is asked beyond that is paid for in vain.
        drawn = list(islice(self.left, min(self.due(everywhere), most, self.give_up - self.failures)))
        if not drawn and most:
            self.ended = "used_up" if self.tried else "no_seed"
        return drawn

    @property
    def full(self) -> bool:
        """Whether nothing more is wanted."""
        return self.have >= self.wanted

    def keep(self, tokens: int) -> None:
        """Count a row that was accepted and kept."""
        self.tried, self.accepted, self.failures = self.tried + 1, self.accepted + 1, 0
        self.have += tokens if self.tokens else 1

    def pass_over(self) -> None:
        """Count a row that was accepted and not needed."""
        self.tried, self.spare = self.tried + 1, self.spare + 1

    def miss(self) -> None:
        """Count an attempt that gave no row."""
        self.tried, self.failures = self.tried + 1, self.failures + 1


def yield_of(cells: Iterable[CellRun]) -> float:
    """The share of all attempts that gave a row; 1 before there was one."""
    runs = list(cells)
    tried = sum(one.tried for one in runs)
    return sum(one.good for one in runs) / tried if tried else 1.0


def cell_name(cell: CellKey) -> str:
    """A cell in one word.

    >>> cell_name(("life science", 4))
    'life science/4'
    """
    return f"{cell[0]}/{cell[1]}"
