"""A request on its way to an engine, with whoever waits for it; and the queue of them where money may be short."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from mashbill.budget import Hold
from mashbill.engine import Reply, Request


@dataclass(slots=True)
class Waiting:
    """One request on its way, and everybody who asked for it: each has a future of his own, and may be gone."""

    key: str
    request: Request
    draw: int
    askers: list[asyncio.Future[tuple[Reply, bool]]]
    where: tuple[str, str] = ("", "")
    """Step and record of whoever asked first: for its account, and for what is logged while it is answered."""
    rank: int = 0
    """The lowest is sent first where money is short."""
    held: Hold | None = None
    """What the budget has set aside for it."""

    @property
    def deserted(self) -> bool:
        """Whether all who asked are gone."""
        return all(asker.done() for asker in self.askers)

    def settle(self, outcome: Reply | BaseException, replayed: bool = False) -> None:
        """Tell everybody. The first has paid for it, unless it is replayed; the others share it."""
        for asker in self.askers:
            if asker.done():
                pass
            elif isinstance(outcome, BaseException):
                asker.set_exception(outcome)
                # Whoever asked may be gone already; the error reaches the run by another of its asks.
                asker.exception()
            else:
                asker.set_result((outcome, replayed))
            replayed = True


class RankedQueue:
    """A queue whose first is the one of the lowest `rank`; of equal ones, the one that came first."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Waiting]] = []
        self._last = self._first = 0

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Waiting]:
        return (one for _, _, one in sorted(self._heap, key=lambda entry: entry[:2]))

    def append(self, one: Waiting) -> None:
        """Put one in its place."""
        self._last += 1
        heapq.heappush(self._heap, (one.rank, self._last, one))

    def appendleft(self, one: Waiting) -> None:
        """Put back the one that was taken first."""
        self._first -= 1
        heapq.heappush(self._heap, (one.rank, self._first, one))

    def popleft(self) -> Waiting:
        """Take the first."""
        return heapq.heappop(self._heap)[2]

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()


Queue = deque[Waiting] | RankedQueue
