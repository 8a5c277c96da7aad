"""``mashbill refresh``: a dated release of what is new in a bill's sources since the release before it.

    $ mashbill refresh tolvarey.yaml
    tolvarey@2026-12-01: 31 rows (train 28, validation 3) in runs/releases/tolvarey@2026-12-01
    almanac: 2 new, 1 changed, 11 as before; 3 records taken

A series of releases takes each document once. New rows are held against those of all releases before by the bill's
own dedup steps. Nothing new: nothing is published. A run that fails or is killed publishes nothing, and the next one
takes the same documents; replies that were paid for are in the ledger.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flows.kitchen import Kitchen, Outcome, plan_of, released_line
from flows.measuring import release_measure
from flows.refresh_sources import Look, gone_and_moved, look_at, needed, taken_rows, unseen
from flows.run_bill import checked_bill, kitchen_for
from mashbill.bill import TOP, Bill
from mashbill.dated_release import DatedPlan, publish_dated
from mashbill.errors import Interrupted, StoreError, UserError
from mashbill.fingerprint import fingerprint
from mashbill.partial import lacking_of, partial_sentence
from mashbill.progress import Progress
from mashbill.release import way_of
from mashbill.release_manifest import ReleaseManifest
from mashbill.runtime import Runtime, spare_collector
from mashbill.seen import Seen
from mashbill.series import Dated, dated_folders, last_of, series_of
from mashbill.settings import Settings
from mashbill.store import Stored

SHAPING = tuple(one for one in TOP if one not in ("name", "rejects", "student", "train", "star", "loop", "evaluate"))
"""The sections of a bill that decide what a release is."""


@dataclass
class Refresh:
    """One refresh of a bill: what it found, and what it makes of it."""

    kitchen: Kitchen
    date: str
    full: bool = False
    series: list[Dated] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    looks: list[Look] = field(default_factory=list)
    taken: dict[str, Stored] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """Where everything is stored."""
        return self.kitchen.root

    @property
    def bill(self) -> Bill:
        """The bill."""
        return self.kitchen.bill

    @property
    def last(self) -> Dated | None:
        """The last release of the series, if there is one."""
        return self.series[-1] if self.series else None

    @property
    def rows(self) -> int:
        """How many records are taken, over all sources."""
        return sum(one.manifest.counts.kept for one in self.taken.values())

    @property
    def streams(self) -> list[str]:
        """The streams that the release is made of, in the order of the bill."""
        return [name for name in self.bill.streams if name in needed(self.bill)]

    async def look(self) -> bool:
        """Check the releases before, see what is new, and have the kitchen take that; whether there is anything.

        Raises:
            StoreError: when a release of the series was edited or is gone.
            InputError: when a source is gone.
            UserError: for a date before that of the last release.
        """
        self._refuse_the_past()
        if not self.full:
            self.series = await asyncio.to_thread(series_of, self.root, self.bill.name)
        for one in self.series:
            await asyncio.to_thread(self.seen.add, one.folder)
        before = self.last.refreshed.seal if self.last else ""
        for name in (one for one in self.bill.sources if one in needed(self.bill)):
            source, path, seen = self.bill.sources[name], self.bill.source_path(name), self.seen.of(name)
            look = await asyncio.to_thread(look_at, name, source, path, seen, self.last)
            runtime = Runtime(root=self.root, progress=self.kitchen.progress)
            self.taken[name] = await unseen(look, source, path, seen, before, runtime)
            self.looks.append(look)
        if self.rows:
            from flows.refresh_index import held_against

            self.kitchen.bill = await asyncio.to_thread(held_against, self.bill, self.series, self.root)
            self.kitchen.given, self.kitchen.may_be_empty = self.taken, True
        return bool(self.rows)

    def _refuse_the_past(self) -> None:
        there = dated_folders(self.root, self.bill.name)
        if there and there[-1][0][0] > self.date:
            raise UserError(
                f"{there[-1][1].name} is there already, and {self.date} is before it; releases of a series follow each "
                "other: give a later --date"
            )

    async def publish(self) -> Path:
        """The dated release of what the streams make; the one that stands where a full one would be no other.

        Raises:
            StoreError: when its rows cannot be one release.
        """
        streams = {name: await self.kitchen.stream(name) for name in self.bill.released}
        self.kitchen.check()
        self._refuse_unanswered(streams)
        plan = self.plan()
        standing = last_of(self.root, self.bill.name) if self.full else None
        if standing and not standing.refreshed.before and standing.manifest.fingerprint == plan.fingerprint(streams):
            return standing.folder
        folder = await asyncio.to_thread(publish_dated, plan, streams, self.root)
        self.kitchen.run.release = str(folder)
        return folder

    def _refuse_unanswered(self, streams: Mapping[str, Stored]) -> None:
        # What is released counts as taken: the records that were not asked to the end would never be.
        steps = {one.path: one for stored in streams.values() for one in way_of(stored, self.root)}
        found = {
            one.manifest.step: partial_sentence(one.manifest.counts.read, lacking)
            for one in steps.values()
            if (lacking := lacking_of(one.manifest.identity))
        }
        if found:
            told = "; ".join(f"{step} was {sentence}" for step, sentence in found.items())
            raise StoreError(
                f"{self.bill.name}: nothing is published: {told}. Refresh again, later or with a larger budget: it "
                "takes the same documents, and replies that were paid for are in the ledger"
            )

    def plan(self) -> DatedPlan:
        """What is about to be published."""
        numbers = [number for (date, number), _ in dated_folders(self.root, self.bill.name) if date == self.date]
        return DatedPlan(
            release=plan_of(self.bill),
            measure=release_measure(self.bill),
            kind=self.bill.streams[next(iter(self.bill.released))].writes,
            date=self.date,
            number=max(numbers, default=0) + 1,
            series=self.series,
            sources={look.name: look.news(self.taken[look.name].manifest.counts.kept) for look in self.looks},
            sections=sections_of(self.bill),
            files=[row for look in self.looks for row in look.rows()],
            records=[row for name, stored in self.taken.items() for row in taken_rows(name, stored)],
            splits=self.seen.splits,
        )

    def nothing_new(self) -> str:
        """What is said when nothing is published."""
        assert self.last is not None  # without a release before, a source that gives nothing is an error
        files = sum(len(look.now) for look in self.looks)
        lines = [f"{self.bill.name}: nothing new since {self.last.name} in {files:,} files; nothing is published"]
        return "\n".join([*lines, *gone_and_moved(self.looks)])

    def told(self, folder: Path) -> str:
        """What is said of the release."""
        news = [f"{look.name}: {look.news(self.taken[look.name].manifest.counts.kept)}" for look in self.looks]
        left = ReleaseManifest.read(folder).left_by_shares()
        return "\n".join([released_line(folder), *left, *news, *gone_and_moved(self.looks)])


def sections_of(bill: Bill) -> dict[str, str]:
    """A digest of each section that shapes the rows: by its values, so that a comment changes nothing."""
    found = {name: bill.whole.value[name] for name in SHAPING if name in bill.whole}
    return {name: fingerprint(json.dumps(value, sort_keys=True, default=str)) for name, value in found.items()}


def dated(said: str) -> str:
    """A date as ``2026-12-01``; today's, here, when none is said.

    >>> dated("2026-12-01")
    '2026-12-01'

    Raises:
        UserError: for anything else.
    """
    if not said:
        return datetime.date.today().isoformat()
    try:
        if datetime.date.fromisoformat(said).isoformat() == said:
            return said
    except ValueError:
        pass
    raise UserError(f"--date is {said!r}; wanted a day as 2026-12-01")


@asynccontextmanager
async def refreshing(
    path: Path, settings: Settings, progress: Progress, *, date: str = "", full: bool = False
) -> AsyncIterator[Refresh]:
    """The means of one refresh; what it spends is entered on an account of its date, unless the settings name another.

    Raises:
        AlreadyRunning: when another run of the bill is at work under the root.
    """
    day = dated(date)
    account = settings.account or f"{checked_bill(path, settings).name}@{day}"
    settings = dataclasses.replace(settings, account=account)
    async with kitchen_for(path, settings, progress, command="refresh") as kitchen:
        yield Refresh(kitchen, day, full)


async def refresh(path: Path, settings: Settings, progress: Progress, *, date: str = "", full: bool = False) -> Outcome:
    """Publish what is new; the outcome has no release where nothing is."""
    async with refreshing(path, settings, progress, date=date, full=full) as one:
        if not await one.look():
            return Outcome(None, None, one.nothing_new())
        folder = await one.publish()
        return Outcome(folder, None, one.told(folder))


def refresh_bill(path: Path, settings: Settings, progress: Progress, *, date: str = "", full: bool = False) -> Outcome:
    """Run a refresh to its end.

    Raises:
        Interrupted: on Ctrl-C, after what was in flight is finished and stored.
        MashbillError: with what was found, what was wanted, and what to do.
    """

    async def run() -> Outcome:
        try:
            return await refresh(path, settings, progress, date=date, full=full)
        except asyncio.CancelledError:
            raise Interrupted("stopped at once") from None

    spare_collector()
    return asyncio.run(run())
