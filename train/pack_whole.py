"""Packing without splits: examples into the rows of one optimiser step after another, none cut, none lost.

Four rows of 10 tokens, examples of 6, 5, 4, 3, 3 and 2 tokens in the order they were drawn, two views each for the
first (``6+4``)::

    step 0:  [6a 4]  [6b 3]  [5 3 2]  ...

Every batch is filled in order of the draw: first the examples that would fill it, the longest first into the row with
the least room (best fit decreasing), then ones drawn a little later that fit into what is left. What did not fit comes
first in the next batch, so no example waits for more than a step behind those drawn before it. All views of an example
are in one batch, which is what lets their losses be weighed against each other. Gaps are padding, which is counted.

Units may have ranks that never fall within a stream. Then none is taken while one of its stream with a lower rank
waits, so no step has a rank below one of an earlier step; the price is some padding.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from typing import NamedTuple

LOOKAHEAD = 256
"""Examples that may be taken early to fill gaps; 256 leave under 1 % padding for usual mixes of lengths. The number is
part of what a plan is: it enters the plan's hash."""


class Unit(NamedTuple):
    """One example of a stream, drawn in one epoch; `record` is a number in its stream."""

    stream: str
    record: int
    epoch: int
    lengths: tuple[int, ...]
    """Of its views, in tokens."""
    rank: int = 0
    """What must come before it in its stream: all of a lower rank."""


class Placed(NamedTuple):
    """One view of an example in a row."""

    unit: Unit
    view: int

    @property
    def length(self) -> int:
        """Its tokens."""
        return self.unit.lengths[self.view]


Batch = list[list[Placed]]
"""The rows of one step."""


def batches(
    units: Iterator[Unit], *, rows: int, row_length: int, steps: int, waiting: list[Unit] | None = None
) -> Iterator[Batch]:
    """The rows of at most `steps` steps, fewer where the examples run out; then the last rows may be empty.

    Every example has to fit into an empty batch. `waiting` is left with those that were drawn and not placed.
    """
    waiting = [] if waiting is None else waiting
    for _ in range(steps):
        due = _top_up(waiting, units, rows * row_length)
        if not waiting:
            return
        filled, placed = _fill(waiting, due, rows, row_length)
        if not placed:
            raise ValueError(f"{waiting[0]} does not fit into {rows} rows of {row_length}")
        waiting[:] = [unit for at, unit in enumerate(waiting) if at not in placed]
        yield filled


def _top_up(waiting: list[Unit], units: Iterator[Unit], tokens: int) -> int:
    """Draw until the batch could be filled, and `LOOKAHEAD` more; how many could fill it."""
    held = due = 0
    while held < tokens:
        if due == len(waiting):
            drawn = next(units, None)
            if drawn is None:
                return due
            waiting.append(drawn)
        held += sum(waiting[due].lengths)
        due += 1
    while len(waiting) < due + LOOKAHEAD and (drawn := next(units, None)) is not None:
        waiting.append(drawn)
    return due


def _fill(waiting: Sequence[Unit], due: int, rows: int, row_length: int) -> tuple[Batch, set[int]]:
    """Rows with what fits, and which of the waiting are in them; the first of them always is."""
    filled: Batch = [[] for _ in range(rows)]
    rooms = [(row_length, row) for row in range(rows)]
    by_size = sorted(range(1, due), key=lambda at: (waiting[at].rank, -sum(waiting[at].lengths), at))
    placed: set[int] = set()
    passed_over: dict[str, int] = {}
    for at in [0, *by_size, *range(due, len(waiting))]:
        unit = waiting[at]
        if unit.rank > passed_over.get(unit.stream, unit.rank):
            continue
        if _place(unit, rooms, filled):
            placed.add(at)
        else:
            passed_over.setdefault(unit.stream, unit.rank)
    return filled, placed


def _place(unit: Unit, rooms: list[tuple[int, int]], filled: Batch) -> bool:
    """Put all views into the tightest rows, or none; `rooms` is (room, row), sorted."""
    if max(unit.lengths) > rooms[-1][0]:
        return False
    before = list(rooms) if len(unit.lengths) > 1 else []
    taken: list[tuple[int, Placed]] = []
    for view in sorted(range(len(unit.lengths)), key=lambda view: (-unit.lengths[view], view)):
        length = unit.lengths[view]
        at = bisect.bisect_left(rooms, (length, -1))
        if at == len(rooms):
            rooms[:] = before
            return False
        room, row = rooms.pop(at)
        bisect.insort(rooms, (room - length, row))
        taken.append((row, Placed(unit, view)))
    for row, one in taken:
        filled[row].append(one)
    return True
