"""How steps run, and when rejects stop one: none of it is identity."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mashbill.asker import Asker
from mashbill.counts import Counts, Tally
from mashbill.errors import OverBudget, RequestFailed
from mashbill.progress import Progress, Silent
from mashbill.usage import Usage

NO_FAULT = frozenset({"repeats_a_draw", "same_label", "not_needed", "not_best", "over_accept", "not_asked"})
"""Reasons that say nothing against a reply: it said what an earlier draw had said, enough was made already, or
another was better."""
UNANSWERED = frozenset({OverBudget.state, RequestFailed.state})
"""Reasons of what was not even tried: no fault either, and no attempt to measure faults against."""


@dataclass(frozen=True, kw_only=True)
class RejectPolicy:
    """When rejects stop a step: more than `share` of the attempts, once `after` attempts were made.

    The minimum keeps an early bad row from being measured against a tiny denominator. Rejects for a reason in
    `NO_FAULT` are attempts that went well, so they count among the attempts alone.
    """

    share: float = 0.5
    after: int = 50

    def broken_by(self, counts: Counts | Tally) -> bool:
        """Whether these counts are over the line."""
        if counts.attempts < self.after:
            return False
        tried = tried_of(counts)
        return tried >= self.after and faults_of(counts) > self.share * tried


def tried_of(counts: Counts | Tally) -> int:
    """The attempts that were made: what a budget left unasked, or a provider failed, was not tried."""
    return counts.attempts - sum(counts.rejected.get(reason, 0) for reason in UNANSWERED)


def faults_of(counts: Counts | Tally) -> int:
    """The rejects that say something against what was tried."""
    return counts.rejects - sum(counts.rejected.get(reason, 0) for reason in NO_FAULT | UNANSWERED)


FILTER_POLICY = RejectPolicy(share=0.98, after=50)
"""Filters are there to reject; only a stack that leaves almost nothing is a mistake in the bill."""


@dataclass(kw_only=True)
class Runtime:
    """How steps run: none of it is identity."""

    root: Path
    asker: Asker | None = None
    """The main engine's."""
    askers: Mapping[str, Asker] = field(default_factory=dict)
    """Other engines' by role, as ``judge``; two roles may share one."""
    records_in_flight: int = 64
    """Records whose coroutines are driven at once; each may have many asks."""
    progress: Progress = field(default_factory=Silent)

    def usage(self) -> Usage:
        """What all engines were asked, together."""
        askers = {id(one): one for one in (self.asker, *self.askers.values()) if one is not None}
        return sum((one.usage for one in askers.values()), Usage())


def spare_collector() -> None:
    """Have the cyclic collector look seldom, and never at what is imported by now, which lives to the end.

    What hundreds of coroutines hold goes up and down by thousands of objects, and next to none are in cycles. Python's
    own threshold of 700 has the collector go through them all the time: 20 microseconds an ask against 6.
    """
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)
