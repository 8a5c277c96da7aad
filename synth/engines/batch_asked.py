"""Requests on their way through batches: each with everybody who waits for it, and many as the files that hold them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mashbill.engine import Reply, Request
from mashbill.errors import RequestRefused
from synth.engines.batch_run import BatchRun


@dataclass(slots=True)
class Asked:
    """One request on its way, and who waits for it."""

    key: str
    """The ledger's, but for the draw."""
    request: Request
    waiting: list[asyncio.Future[Reply]] = field(default_factory=list)
    tries: int = 0
    """Batches that it was in and that left it open."""

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits."""
        return any(not one.done() for one in self.waiting)

    def settle(self, outcome: Reply | Exception) -> None:
        """Tell everybody."""
        for one in self.waiting:
            if one.done():
                continue
            if isinstance(outcome, Exception):
                one.set_exception(outcome)
                one.exception()  # whoever asked may be gone before it is read
            else:
                one.set_result(outcome)


def files_of(
    asked: Iterable[Asked],
    line: Callable[[Asked], bytes],
    how: BatchRun,
    refuse: Callable[[Asked, RequestRefused], None],
) -> Iterator[list[tuple[Asked, bytes]]]:
    """Requests with their lines, as many together as one file may hold; those that no file can hold are refused."""
    some, size = list[tuple[Asked, bytes]](), 0
    for one in asked:
        try:
            text = line(one)
            _check_size(text, how)
        except RequestRefused as refused:
            refuse(one, refused)
            continue
        if some and (size + len(text) > how.bytes or len(some) == how.requests):
            yield some
            some, size = [], 0
        some.append((one, text))
        size += len(text)
    if some:
        yield some


def _check_size(line: bytes, how: BatchRun) -> None:
    if len(line) > how.bytes:
        raise RequestRefused(
            f"a request of {len(line):,} bytes is larger than a whole batch may be ({how.megabytes:g} MB, "
            "MASHBILL_ENGINE_BATCH_MEGABYTES); leave long documents out with a `length` filter before the generator"
        )
