"""What a run tells whoever watches it; `flows.progress` shows it on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from mashbill.counts import Counts
from mashbill.store import Stored
from mashbill.usage import Usage


class Progress(Protocol):
    """What a run tells whoever watches."""

    def begin(self, step: str, records: int, done: int) -> None:
        """A step starts with so many input records, some done by an earlier run."""
        ...

    def advance(self, step: str, counts: Counts, usage: Usage) -> None:
        """The step's counts so far, and the run's usage."""
        ...

    def end(self, step: str, stored: Stored, *, reused: bool) -> None:
        """The step is finished; `reused` when it was finished before."""
        ...

    def training(self, event: Mapping[str, object]) -> None:
        """One optimiser step: ``name`` of the student, ``step`` of ``steps``, ``loss``, ``tokens_per_second``."""
        ...


class Silent:
    """Progress for nobody."""

    def begin(self, step: str, records: int, done: int) -> None:
        """Say nothing."""

    def advance(self, step: str, counts: Counts, usage: Usage) -> None:
        """Say nothing."""

    def end(self, step: str, stored: Stored, *, reused: bool) -> None:
        """Say nothing."""

    def training(self, event: Mapping[str, object]) -> None:
        """Say nothing."""


class Together:
    """Tells several watchers, in their order."""

    def __init__(self, *watchers: Progress) -> None:
        self.watchers = watchers

    def begin(self, step: str, records: int, done: int) -> None:
        """Tell each."""
        for one in self.watchers:
            one.begin(step, records, done)

    def advance(self, step: str, counts: Counts, usage: Usage) -> None:
        """Tell each."""
        for one in self.watchers:
            one.advance(step, counts, usage)

    def end(self, step: str, stored: Stored, *, reused: bool) -> None:
        """Tell each."""
        for one in self.watchers:
            one.end(step, stored, reused=reused)

    def training(self, event: Mapping[str, object]) -> None:
        """Tell each."""
        for one in self.watchers:
            one.training(event)
