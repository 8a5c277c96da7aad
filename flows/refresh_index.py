"""The indexes by which a refresh holds new rows against those of the releases before it.

Each release of a series is read into an index once, the first time a later refresh needs it, under
``{root}/dedup_index/{release}-{seal}/{settings}``; the bill's dedup steps are then given all of them as `against`.
So the next release adds an index, and none is made anew.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.release_parts import ReleaseParts
from mashbill.bill import Bill, Stream
from mashbill.errors import BillError
from mashbill.filter_stack import FilterStack
from mashbill.fingerprint import fingerprint
from mashbill.records import Record
from mashbill.series import Dated
from mashbill.step import Step

if TYPE_CHECKING:
    from filters.minhash_dedup import MinhashDedup

FOLDER = "dedup_index"


def held_against(bill: Bill, series: Sequence[Dated], root: Path) -> Bill:
    """The bill with the releases of the series as `against` of its dedup steps that read the released type of record.

    Steps that read another type, before it is turned into the released one, compare new rows alone.

    Raises:
        BillError: for a dedup on a Ray cluster, which takes no index.
    """
    with_rows = [one for one in series if one.manifest.rows]
    if not with_rows:
        return bill
    kind = bill.streams[next(iter(bill.released))].writes
    same = [one for one in with_rows if one.manifest.kind == kind.__name__]
    streams = {
        name: dataclasses.replace(
            stream,
            steps=tuple(
                _against(bill, stream, step, same, root) if reads is kind else step
                for step, reads in _with_types(bill, stream)
            ),
        )
        for name, stream in bill.streams.items()
    }
    return dataclasses.replace(bill, streams=streams)


def _with_types(bill: Bill, stream: Stream) -> Iterator[tuple[Step, type[Record]]]:
    """A stream's steps, each with the type of the rows that come to it."""
    first = stream.origins[0]
    kind = bill.sources[first].writes if first in bill.sources else bill.streams[first].writes
    for step in stream.steps:
        yield step, kind
        if step.writes is not Record and not isinstance(step, FilterStack):
            kind = step.writes


def _against(bill: Bill, stream: Stream, step: Step, series: Sequence[Dated], root: Path) -> Step:
    from filters.exact_dedup import ExactDedup
    from filters.minhash_dedup import MinhashDedup

    if not isinstance(step, ExactDedup | MinhashDedup):
        return step
    if isinstance(step, MinhashDedup) and step.ray:
        raise BillError(
            f"streams.{stream.name}: minhash_dedup has `ray`, and a refresh holds new rows against the releases before "
            "them, which is done on one machine: take `ray` out",
            path=bill.path,
        )
    # An index of any settings has the digests that exact copies are found by.
    made_by = step if isinstance(step, MinhashDedup) else _minhash_of(bill)
    own = (step.against,) if isinstance(step.against, str) else step.against
    ours = [str(index_of_release(one, made_by, root)) for one in series]
    return dataclasses.replace(step, against=(*filter(None, own), *ours))


def _minhash_of(bill: Bill) -> MinhashDedup:
    """The settings of the first near dedup of the bill, so that one index serves both."""
    from filters.minhash_dedup import MinhashDedup

    steps = (step for stream in bill.streams.values() for step in stream.steps)
    return next((step for step in steps if isinstance(step, MinhashDedup)), MinhashDedup())


def index_of_release(release: Dated, step: MinhashDedup, root: Path) -> Path:
    """The index of a release under a step's settings, made when it is not there."""
    from filters.earlier import FILE, settings_of, write_index

    settings = settings_of(step, release.manifest.kind)
    named = fingerprint(settings.model_dump(mode="json"))[:12]
    folder = root / FOLDER / f"{release.name}-{release.refreshed.seal[:12]}" / named
    if not (folder / FILE).is_file():
        write_index([ReleaseParts.open(release.folder)], folder, step)
    return folder
