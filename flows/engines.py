"""The engines of one run: built when a step asks them, shared by roles that are alike, counted, stopped, released."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flows.budget import account_name
from mashbill.asker import Asker
from mashbill.bill import Bill
from mashbill.budget import Budget
from mashbill.engine import Engine, records_wanted
from mashbill.engine_env import engine_root
from mashbill.ledger import Ledger
from mashbill.meter import Meter
from mashbill.progress import Progress
from mashbill.runtime import Runtime
from mashbill.settings import Settings
from mashbill.step import Step
from mashbill.usage import Usage


@dataclass
class Engines:
    """Each engine of a bill behind an asker of its own, with one budget and one account for all."""

    bill: Bill
    settings: Settings
    ledger: Ledger
    offline: bool = False
    """Ask nobody: every reply comes from the ledger."""
    lacking: bool = False
    """When offline: what the ledger lacks was left by a budget."""
    budget: Budget | None = None
    """What may be asked for, of all engines together."""
    meter: Meter | None = None
    """Is told how large calls are and how long replies take."""
    stopping: bool = False
    _askers: dict[str, Asker] = field(default_factory=dict)
    """By role; the main engine's under "". Roles whose engines are the same share one."""
    _spent: Usage = field(default_factory=Usage)
    """What engines that are closed by now were asked."""
    _spent_by: dict[str, Usage] = field(default_factory=dict)
    """The same for each engine, by its identity."""

    def runtime(self, step: Step, progress: Progress) -> Runtime:
        """How a step runs; an engine is built when a step asks it, and started at the first new ask."""
        askers = {role: asker for role in step.engines() if (asker := self._asker(role)) is not None}
        asker = self._asker("") if step.asks else None
        asked = [one.engine for one in (asker, *askers.values()) if one is not None]
        return Runtime(
            root=self.settings.root,
            asker=asker,
            askers=askers,
            records_in_flight=max([self.settings.records_in_flight, *map(records_wanted, asked)]),
            progress=progress,
        )

    async def take(self, engine: Engine) -> None:
        """Have another main engine than the bill's until the next `release`.

        Such an engine is a student of the run's own, so its asks are on no account and no budget holds them.
        """
        await self.release()
        self._askers[""] = Asker(engine, self.ledger, stopping=self.stopping, meter=self.meter)

    async def enter(self, account: str) -> None:
        """From here on, enter what is asked on another account; the engines that enter it on the old one are closed."""
        await self.release()
        self.settings = dataclasses.replace(self.settings, account=account)

    def _asker(self, role: str) -> Asker | None:
        if role not in self._askers:
            with engine_root(self.settings.root):
                engine = self.bill.engine(role)
            if engine is None:
                return None
            self._askers[role] = self._like(engine) or Asker(
                engine,
                self.ledger,
                stopping=self.stopping,
                offline=self.offline,
                lacking=self.lacking,
                account=account_name(self.settings, self.bill),
                budget=self.budget,
                meter=self.meter,
            )
        return self._askers[role]

    def _like(self, engine: Any) -> Asker | None:
        # One model in memory, and one account, for two roles that are the same engine reached the same way.
        alike = (one for one in self._askers.values() if type(one.engine) is type(engine))
        return next((one for one in alike if _same_engine(one.engine, engine)), None)

    def _each(self) -> Iterable[Asker]:
        return {id(one): one for one in self._askers.values()}.values()

    def usage(self) -> Usage:
        """What this run has asked by now, of all engines together."""
        return sum((one.usage for one in self._each()), self._spent)

    def usages(self) -> dict[str, Usage]:
        """The same for each engine, by its identity."""
        found = dict(self._spent_by)
        for asker in self._each():
            found[asker.identity] = found.get(asker.identity, Usage()) + asker.usage
        return found

    def under_way(self) -> dict[str, tuple[int, int]]:
        """Engine -> asks that wait for a reply, and how many of them wait for a call."""
        closed = dict.fromkeys(self._spent_by, (0, 0))
        return closed | {one.identity: one.under_way for one in self._askers.values()}

    def stop(self) -> None:
        """Finish what is in flight and ask nothing more."""
        self.stopping = True
        for asker in self._each():
            asker.stop()

    def abandon(self) -> None:
        """Wait no more for what is in flight; replies that have come are stored, the others are asked again."""
        for asker in self._each():
            # What `Asker.close` waits for is what a stop promised to finish.
            asker.abandon()

    async def release(self) -> None:
        """Give the engines' memory back, as before training wants it; the next step that asks builds them anew."""
        askers = list(self._each())
        self._spent, self._spent_by = self.usage(), self.usages()
        self._askers.clear()
        async with contextlib.AsyncExitStack() as closing:  # each is closed, also when another fails to
            for asker in askers:
                closing.push_async_callback(asker.close)


def _same_engine(one: Any, other: Any) -> bool:
    return bool(one.identity == other.identity and getattr(one, "run", None) == getattr(other, "run", None))
