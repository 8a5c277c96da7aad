"""What a dispatcher tells whoever measures it: how many requests a call holds, and how long each reply took.

Counts need no telling: they stand in `mashbill.usage.Usage`, which may be read at any time.
"""

from __future__ import annotations

from typing import Protocol

from mashbill.engine import Reply


class Meter(Protocol):
    """Is told of calls and replies, as they come; it must be quick, since the next request waits for it."""

    def sent(self, engine: str, requests: int) -> None:
        """A call with so many requests is handed to an engine, which is named by its identity."""
        ...

    def answered(self, engine: str, seconds: float, reply: Reply) -> None:
        """A reply came so long after its call was handed over."""
        ...
