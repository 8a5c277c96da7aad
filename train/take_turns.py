"""The draw of supervised tuning: examples of each stream epoch after epoch, and the streams by turns.

Streams `a` and `b` with shares of 2/3 and 1/3, and examples of equal length::

    a b a a b a a b a …
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from train.example_store import ExampleIndex
from train.pack import shuffled
from train.pack_whole import Unit


@dataclass
class Drawn:
    """The examples of a stream, one after another, and how many tokens were drawn of so many that may be."""

    units: Iterator[Unit]
    limit: int | None
    tokens: int = 0

    def next(self) -> Unit:
        """The next example."""
        unit = next(self.units)
        self.tokens += sum(unit.lengths)
        return unit

    def put_back(self, units: Sequence[Unit]) -> None:
        """Examples that were drawn and not placed come next."""
        self.units = itertools.chain(units, self.units)
        self.tokens -= sum(sum(unit.lengths) for unit in units)


def take_turns(streams: Mapping[str, Drawn], shares: Mapping[str, Fraction], *, ends: bool) -> Iterator[Unit]:
    """Examples of all streams, epoch after epoch: the stream that is furthest behind its share gives the next.

    With `ends` it is over when that stream has been read as often as it may be.
    """
    drawn = dict.fromkeys(sorted(streams), 0)
    while True:
        name = min(drawn, key=lambda name: (drawn[name] / shares[name], name))
        stream = streams[name]
        if ends and stream.limit is not None and stream.tokens >= stream.limit:
            return
        unit = stream.next()
        drawn[name] += sum(unit.lengths)
        yield unit


def epochs(
    name: str, index: ExampleIndex, members: Sequence[int], key: object, ranks: Sequence[int] | None
) -> Iterator[Unit]:
    """Some examples of a stream, epoch after epoch, each in its own order, sorted by `ranks` where there are some."""
    ids = [index.ids[one] for one in members]
    most = 1 + max((ranks[one] for one in members), default=0) if ranks else 0
    epoch = 0
    while True:
        order = [members[one] for one in shuffled(ids, key, "epoch", epoch)]
        if ranks is not None:
            order.sort(key=ranks.__getitem__)
        for record in order:
            rank = 0 if ranks is None else epoch * most + ranks[record]
            yield Unit(name, record, epoch, index.lengths[record], rank)
        epoch += 1
