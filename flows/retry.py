"""``mashbill retry``: what ended in one state is asked otherwise, and the release is made anew of it.

    $ mashbill retry bill.yaml --state truncated --max-tokens 2x
    retell: 41 asks that had ended as truncated were asked again: 38 ok, 3 truncated
    9,120 + 31,004 tokens were new
    demo 1.0.0: 812 rows (train 731, validation 81) in runs/releases/demo/77ab…

What is asked otherwise is written into the ledger, all of it at once, before the first of it is asked. From then on
every run and replay of the bill asks so, and any of them ends a retry that was killed. The steps it concerns, and what
follows them, get folders of their own; the release that was there stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flows.kitchen import Kitchen, Outcome, released_line
from flows.retry_change import Change
from flows.run_bill import run_stages
from flows.terminal import number, some
from mashbill.ask_state import ASKED_AGAIN, AskState
from mashbill.bill import Bill, Stream
from mashbill.engine import Sampling
from mashbill.errors import NothingLeft, TooManyRejects, UserError
from mashbill.execute import place_of
from mashbill.ledger_states import Ended, Retry
from mashbill.progress import Progress
from mashbill.registry import nearest
from mashbill.settings import Settings
from mashbill.step_run import Place
from mashbill.store import Stored


def retry_bill(path: Path, settings: Settings, progress: Progress, change: Change) -> Outcome:
    """Ask what ended in a state otherwise, and make the release of the bill anew.

    Raises:
        UserError: when the bill has not been run, has no such step, or the change would change nothing.
        MashbillError: as a run.
    """
    if not settings.ledger.is_file():
        raise UserError(f"{settings.root}: has no ledger, so nothing was asked yet; run the bill first: {_run(path)}")

    async def stages(kitchen: Kitchen) -> Outcome:
        return await _Retrying(kitchen, change).outcome()

    return run_stages(path, settings, progress, stages, command="retry")


Spot = tuple[str, int]
"""A step of a bill: the name of its stream, and which of its steps."""


@dataclass
class _Retrying:
    kitchen: Kitchen
    change: Change
    places: dict[Spot, Place] = field(default_factory=dict)
    """Where the rows of each asking step lie, as it asks by now."""
    asked: dict[Spot, set[str]] = field(default_factory=dict)
    """First keys of the asks of a step that are asked again."""
    begun: bool = False
    """Whether an earlier retry had not come to its end."""

    async def outcome(self) -> Outcome:
        """Finish what was begun, or else ask again; what came of it."""
        made = await self._made()
        if not self.begun and self.change.state not in ASKED_AGAIN and (retries := self._chosen()):
            self.kitchen.ledger.retry(retries)
            self.kitchen.forget()
            made = await self._made()
        lines = self._said()
        if not isinstance(made, Path):
            # The same step may be stopped by its rejects once more: what was asked again is told all the same.
            raise type(made)("; ".join([*lines, str(made)])) from made
        lines.append(released_line(made))
        if self.asked and any(name in self.kitchen.bill.whole for name in ("train", "evaluate")):
            lines.append(f"to train on it and measure it: {_run(self.kitchen.bill.path)}")
        return Outcome(made, None, "\n".join(lines))

    async def _made(self) -> Path | NothingLeft | TooManyRejects:
        """The release as the bill asks by now, or why there is none: what was cut off may be all there was."""
        try:
            await self._look()
            return await self.kitchen.release()
        except (NothingLeft, TooManyRejects) as stopped:
            return stopped

    async def _look(self) -> None:
        """Where the rows of each asking step lie; what an earlier run or retry left to do is done on the way."""
        stopped = list[NothingLeft | TooManyRejects]()
        for stream, index in self._steps():
            try:
                await self._place(stream, index)
            except (NothingLeft, TooManyRejects) as error:
                stopped.append(error)
        if stopped:
            raise stopped[0]

    def _steps(self) -> list[tuple[Stream, int]]:
        steps = list(_asking_steps(self.kitchen.bill))
        known = list(dict.fromkeys(stream.steps[index].name for stream, index in steps))
        if self.change.step and self.change.step not in known:
            raise UserError(
                f"{self.kitchen.bill.path}: no step of the release that asks is called {self.change.step!r}"
                f"{nearest(self.change.step, known)}; there are: {', '.join(known) or 'none'}"
            )
        return steps

    async def _place(self, stream: Stream, index: int) -> None:
        step, spot = stream.steps[index], (stream.name, index)
        where = place_of(step, await self.kitchen.step(stream, index - 1), self.kitchen.runtime(step))
        if spot not in self.places and not Stored.finished(where.path):
            self._unfinished(where, spot, step.name)
        self.places[spot] = where
        await self.kitchen.step(stream, index)

    def _unfinished(self, where: Place, spot: Spot, name: str) -> None:
        ended = self._ended(where)
        # One that a budget left has not come to its end either; one that the provider failed has.
        done = {key for key, one in ended.items() if one.state is not AskState.OVER_BUDGET}
        if pending := where.retries.keys() - done:
            latest = max(where.retries[key].created for key in pending)
            self.begun = True
            self.asked[spot] = {key for key, one in where.retries.items() if one.created == latest}
        elif not ended and not where.path.exists():
            bill = self.kitchen.bill.path
            raise UserError(f"{bill}: its step {name} has not been run as the bill is now; run it first: {_run(bill)}")
        elif self.change.state in ASKED_AGAIN and self.change.step in ("", name):
            found = {key for key, one in ended.items() if one.state is self.change.state}
            if found:
                self.asked[spot] = found

    def _name(self, spot: Spot) -> str:
        return self.kitchen.bill.streams[spot[0]].steps[spot[1]].name

    def _ended(self, where: Place) -> dict[str, Ended]:
        """By the key of what the step asked at first: how that ended, where it did not end ``ok`` or was a retry."""
        return {one.first: one for one in self.kitchen.ledger.states(where.fingerprint) if one.last}

    def _chosen(self) -> dict[str, dict[str, Retry]]:
        """What is to be asked otherwise from now on, by `Place.asks`."""
        chosen, left = dict[str, dict[str, Retry]](), self.change.limit
        for spot, where in self.places.items():
            if self.change.step not in ("", self._name(spot)):
                continue
            known = chosen.setdefault(where.asks, {})
            ended = [one for one in self._ended(where).values() if one.state is self.change.state][:left]
            if ended:
                known |= {one.first: self._retry(where, one) for one in ended}
                self.asked[spot] = {one.first for one in ended}
                left = None if left is None else left - len(ended)
        return {asks: some for asks, some in chosen.items() if some}

    def _retry(self, where: Place, ended: Ended) -> Retry:
        before = where.retries.get(ended.first)
        return Retry(
            times=1 if before is None else before.times + 1,
            sampling=self.change.of(self._sampling(ended)),
            state=ended.state,
            record=ended.record,
        )

    def _sampling(self, ended: Ended) -> Sampling:
        entry = self.kitchen.ledger.entry(ended.key)
        request = self.kitchen.ledger.unanswered(ended.step, ended.key) if entry is None else entry.request
        assert request is not None, "a row of `states` without a request has a reply"
        return request.sampling

    def _said(self) -> list[str]:
        if not self.asked:
            return [self._nothing()]
        lines = list[str]()
        if self.begun:
            lines.append("an earlier retry had not come to its end and was gone on with; nothing else was retried")
        for spot, keys in self.asked.items():
            found = ", ".join(f"{number(count)} {what}" for what, count in self._outcomes(spot, keys).most_common())
            lines.append(f"{self._name(spot)}: {some(len(keys), 'ask')} asked again: {found}")
        usage = self.kitchen.engines.usage()
        lines.append(f"{number(usage.new_prompt_tokens)} + {number(usage.new_completion_tokens)} tokens were new")
        return lines

    def _outcomes(self, spot: Spot, keys: set[str]) -> Counter[str]:
        """How what was asked again ended this time."""
        ended = self._ended(self.places[spot])
        # Of an ask that is no retry the ledger keeps nothing where it ended well.
        other = AskState.OK.value if self.change.state in ASKED_AGAIN and not self.begun else "no longer asked"
        return Counter(ended[key].state.value if key in ended else other for key in keys)

    def _nothing(self) -> str:
        found = Counter(
            one.state.value
            for spot, where in self.places.items()
            if self.change.step in ("", self._name(spot))
            for one in self._ended(where).values()
            if one.state is not AskState.OK
        )
        others = ", ".join(f"{state} {number(count)}" for state, count in sorted(found.items()))
        whose = self.change.step or self.kitchen.bill.name
        return (
            f"no ask of {whose} ended as {self.change.state.value}; there are: {others or 'none that did not end ok'}"
        )


def _asking_steps(bill: Bill) -> Iterator[tuple[Stream, int]]:
    """The steps that ask, of all streams a release is made of, each after those it takes its rows from."""
    seen = set[str]()

    def of(streams: Mapping[str, float] | tuple[str, ...]) -> Iterator[tuple[Stream, int]]:
        for name in streams:
            if name in bill.sources or name in seen:
                continue
            seen.add(name)
            stream = bill.streams[name]
            yield from of(stream.origins)
            yield from ((stream, index) for index, step in enumerate(stream.steps) if step.asks)

    return of(bill.released)


def _run(bill: Path) -> str:
    return f"`mashbill run {bill}`"
