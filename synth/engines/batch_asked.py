"""One request on its way through batches, and everybody who waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from mashbill.engine import Reply, Request


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
