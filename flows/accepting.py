"""`accept`: a stream is run over as much of its source as it takes until so many curated rows stand.

``accept: 500`` -> 16 records are asked about first, and 9 rows come of them; then 128, which give 70; then 916, which
give 503: 500 are taken and 3 rejected ``over_accept``.

Which records come first is drawn by a hash, so each draw holds the one before: nothing is asked twice, since its
replies are in the ledger. How far each draw goes is decided by the rows that the one before gave, and by nothing else,
so a run that was stopped goes on to the same bytes. A source that is used up first is no error: the card says what was
wanted and what there is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flows.measuring import token_measure
from mashbill import logs
from mashbill.bill import Accept, Bill, Stream
from mashbill.execute import execute
from mashbill.partial import lacking_of
from mashbill.release import way_of
from mashbill.row_size import BYTES, Measure
from mashbill.store import Stored
from mashbill.take_first import LEFT, SHORT, TakeFirst

if TYPE_CHECKING:
    from flows.kitchen import Kitchen
    from mashbill.release_manifest import ReleaseManifest

PROBE = 16
"""Records of the first draw: enough to tell a yield of a half from one of a tenth, few enough to cost little."""
FEWEST, MOST = 0.02, 0.25
"""How much more than the estimate is asked about, as a share: one standard deviation of a count of rows, within these.
Too little costs one more draw, whose replies are in the ledger but for its last records; too much costs money."""
GROWTH = 8
"""At most so many times the records of the draw before: an estimate from three rows may be far out."""

log = logs.logger("run")


def next_draw(asked: int, have: int, wanted: int, total: int) -> int:
    """How many records to ask about in all, when `asked` gave `have` of what is wanted.

    >>> next_draw(16, 9, 500, 10_000), next_draw(128, 70, 500, 10_000), next_draw(16, 0, 500, 40)
    (128, 1024, 40)
    >>> next_draw(916, 490, 500, 10_000)
    978
    """
    if not have:
        return min(total, asked * GROWTH)
    margin = min(MOST, max(FEWEST, 1 / math.sqrt(have)))
    needed = math.ceil(asked * wanted / have * (1 + margin))
    return min(total, max(asked + 1, min(needed, asked * GROWTH)))


async def enough(kitchen: Kitchen, stream: Stream, accept: Accept, whole: Stored) -> Stored:
    """The records of the stream's source that are asked about: as many as it takes."""
    total, measure = whole.manifest.counts.kept, accept_measure(kitchen.bill, accept)
    asked = min(PROBE, total)
    while True:
        kitchen.check()
        drawn = whole
        if asked < total:
            draw = TakeFirst(kind=whole.manifest.kind, rows=asked, reason="not_asked", seed=kitchen.bill.seed)
            drawn = await execute(draw, whole, kitchen.runtime(draw))
        curated, partial = await _through(kitchen, stream, drawn)
        have = 0 if curated is None else amount_of(curated, accept, measure)
        said = f"{have:,} {_unit(accept, measure)} of {accept.amount:,} from {asked:,} of {total:,} records"
        log.info("accept: %s", said, extra={"step": stream.name})
        if have >= accept.amount or asked >= total or partial:
            return drawn
        asked = next_draw(asked, have, accept.amount, total)


async def taken(kitchen: Kitchen, stream: Stream, accept: Accept, curated: Stored) -> Stored:
    """The curated rows that are taken, exactly as many as are wanted where there are as many."""
    step = TakeFirst(
        kind=curated.manifest.kind,
        rows=accept.rows,
        tokens=accept.tokens,
        measure=accept_measure(kitchen.bill, accept),
        seed=kitchen.bill.seed,
        partial=any(lacking_of(one.manifest.identity) for one in way_of(curated, kitchen.root)),
    )
    return await execute(step, curated, kitchen.runtime(step))


def accept_measure(bill: Bill, accept: Accept) -> Measure:
    """What tokens are counted by: the bill's tokenizer, or four bytes each where it has none."""
    if not accept.tokens:
        return BYTES
    return token_measure(bill) or Measure(unit="tokens")


def amount_of(stored: Stored, accept: Accept, measure: Measure) -> int:
    """How much of what is wanted there is."""
    if accept.rows:
        return stored.manifest.counts.kept
    import polars as pl

    from mashbill.row_size import sizes

    return sum(int(sizes(pl.DataFrame(table), stored.kind, measure).sum()) for table in stored)


def shortfalls(release: ReleaseManifest) -> list[str]:
    """A line for each stream of a release of which less came than was to be accepted."""
    ends = {name: stream.steps[-1] for name, stream in release.streams.items() if stream.steps}
    return [
        f"{name}: {said}"
        for name, end in ends.items()
        if end.step == TakeFirst.name
        for said in end.said
        if SHORT in said or LEFT in said
    ]


async def _through(kitchen: Kitchen, stream: Stream, drawn: Stored) -> tuple[Stored | None, bool]:
    """The stream's steps over a draw: what is left, None for nothing, and whether a step is partial."""
    stored, partial = drawn, False
    for step in stream.steps:
        kitchen.check()
        if not stored.manifest.counts.kept:
            break
        stored = await kitchen.run_step(stream, step, stored)
        partial = partial or bool(lacking_of(stored.manifest.identity))
    return (stored if stored.manifest.counts.kept else None), partial


def _unit(accept: Accept, measure: Measure) -> str:
    return "rows" if accept.rows else measure.name
