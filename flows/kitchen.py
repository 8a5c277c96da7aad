"""The stages of a bill being run, each a method that gives what is stored: source, step, stream, release.

What is finished is opened, not made again, so whoever calls them, in whatever order, gets the same bytes.
`flows.run_bill` opens a kitchen and runs all of them; the Prefect flows call the same ones as tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.budget import NOT_IN_IT, partial_lines, price_table
from flows.costs import cost_lines
from flows.engines import Engines
from flows.measuring import release_measure
from flows.run_record import Run
from mashbill import logs
from mashbill.bill import Bill, Stream
from mashbill.engine import Engine
from mashbill.errors import BudgetError, Interrupted, NothingLeft, OverBudget
from mashbill.execute import execute
from mashbill.ingest import ingest
from mashbill.join import join
from mashbill.ledger import Ledger
from mashbill.partial import lacking_of
from mashbill.prices import PriceTable
from mashbill.progress import Progress
from mashbill.release import ReleasePlan, publish
from mashbill.release_manifest import ReleaseManifest
from mashbill.row_size import BYTES, Measure
from mashbill.runtime import Runtime
from mashbill.settings import Settings
from mashbill.step import Step
from mashbill.store import Stored


@dataclass(frozen=True)
class Outcome:
    """What a run made."""

    releases: Path | None
    report: Path | None
    summary: str


@dataclass
class Kitchen:
    """The means of one run: the bill, the ledger, the engines when they are needed."""

    bill: Bill
    settings: Settings
    progress: Progress
    ledger: Ledger
    engines: Engines
    run: Run
    """What is told of this run to whoever watches it."""
    given: dict[str, Stored] = field(default_factory=dict)
    """Sources, by name, that are not read but taken from here: a refresh has read what is new of them."""
    may_be_empty: bool = False
    """Whether a stream may come to no row: it ends there then, and streams that take it go on without it."""
    _stored: dict[tuple[str, int], Stored] = field(default_factory=dict)
    _joined: dict[str, Stored] = field(default_factory=dict)
    """By stream: what those that take several take."""
    _drawn: dict[str, Stored] = field(default_factory=dict)
    """By stream that accepts so much: the records that it takes."""

    @property
    def root(self) -> Path:
        """Where everything is stored."""
        return self.settings.root

    def runtime(self, step: Step) -> Runtime:
        """How a step runs, with the engines that it asks."""
        return self.engines.runtime(step, self.progress)

    @contextlib.asynccontextmanager
    async def asking(self, engine: Engine, step: Step) -> AsyncIterator[Runtime]:
        """How a step runs with another main engine than the bill's, which is closed afterwards; a stop reaches it."""
        await self.engines.take(engine)
        try:
            yield self.runtime(step)
        finally:
            await self.engines.release()

    @property
    def stopping(self) -> bool:
        """Whether the run was asked to stop."""
        return self.engines.stopping

    def check(self) -> None:
        """Between two pieces of work.

        Raises:
            Interrupted: when the run was asked to stop.
        """
        if self.stopping:
            raise Interrupted("stopped on request")

    @functools.cached_property
    def prices(self) -> PriceTable | None:
        """What engines charge, where the settings name a file."""
        return price_table(self.settings)

    def source_names(self) -> dict[str, str]:
        """The bill's names of the sources that were read, by fingerprint."""
        return {one.manifest.fingerprint: name for (name, index), one in self._stored.items() if index < 0}

    def ended(self, folder: Path) -> list[str]:
        """The lines at the end of a run that made a release: what it is, and what it took."""
        release = ReleaseManifest.read(folder)
        return [released_line(folder), *cost_lines(release, self.prices)]

    async def source(self, name: str) -> Stored:
        """A source's stored records."""
        self.check()
        if name in self.given:
            return self.given[name]
        if (name, -1) not in self._stored:
            source, path = self.bill.sources[name], self.bill.source_path(name)
            # A source reads files only: it must not wait for an engine to be built.
            runtime = Runtime(root=self.root, progress=self.progress)
            self._stored[name, -1] = await asyncio.to_thread(ingest, source, path, runtime)
        return self._stored[name, -1]

    async def step(self, stream: Stream, index: int) -> Stored:
        """One step of a stream, and those before it."""
        self.check()
        if index < 0:
            return await self._origin(stream)
        if (stream.name, index) not in self._stored:
            before = await self.step(stream, index - 1)
            if self.may_be_empty and not before.manifest.counts.kept:
                return before
            self._refuse_nothing(stream, before)
            self._stored[stream.name, index] = await self.run_step(stream, stream.steps[index], before)
        return self._stored[stream.name, index]

    async def run_step(self, stream: Stream, step: Step, before: Stored) -> Stored:
        """One step over a stored input, as the stream has it run."""
        return await execute(step, before, self.runtime(step), stream.rejects)

    async def _origin(self, stream: Stream) -> Stored:
        """What a stream takes its rows from: as much as it takes, where the bill says how much is to come of it."""
        if stream.accept is None:
            return await self.origin(stream)
        if stream.name not in self._drawn:
            from flows.accepting import enough

            self._drawn[stream.name] = await enough(self, stream, stream.accept, await self.origin(stream))
        return self._drawn[stream.name]

    async def origin(self, stream: Stream) -> Stored:
        """All that a stream may take its rows from, read together."""
        inputs = [
            await (self.source(name) if name in self.bill.sources else self.stream(name)) for name in stream.origins
        ]
        if self.may_be_empty:
            inputs = [one for one in inputs if one.manifest.counts.kept] or inputs[:1]
        if len(inputs) == 1:
            return inputs[0]
        if stream.name not in self._joined:
            runtime = Runtime(root=self.root, progress=self.progress)
            self._joined[stream.name] = await asyncio.to_thread(join, inputs, runtime)
        return self._joined[stream.name]

    async def stream(self, name: str) -> Stored:
        """A stream's curated rows."""
        stream = self.bill.streams[name]
        curated = await self.step(stream, len(stream.steps) - 1)
        if not self.may_be_empty:
            self._refuse_nothing(stream, curated)
        if stream.accept is None or not curated.manifest.counts.kept:
            return curated
        from flows.accepting import taken

        return await taken(self, stream, stream.accept, curated)

    async def synthesized(self, name: str) -> Stored:
        """A stream's rows after its last generator, before curation."""
        stream = self.bill.streams[name]
        return await self.step(stream, synthesis_steps(stream) - 1)

    def forget(self) -> None:
        """Look again where each step's rows lie: what its asks are asked otherwise has changed."""
        self._stored = {key: stored for key, stored in self._stored.items() if key[1] < 0}
        self._joined.clear()
        self._drawn.clear()

    def _refuse_nothing(self, stream: Stream, stored: Stored) -> None:
        if not stored.manifest.counts.kept:
            if lacking_of(stored.manifest.identity).get(OverBudget.state):
                raise BudgetError(
                    f"the budget left no row of {stored.manifest.step} ({stored.manifest.counts.read:,} records); what "
                    "was paid for is kept: run it again with a larger --budget"
                )
            reasons = ", ".join(f"{reason} {n}" for reason, n in stored.manifest.counts.rejected.items())
            raise NothingLeft(
                f"stream {stream.name}: {stored.manifest.step} left no row ({reasons or 'it was given none'}); read "
                f"them with `mashbill rejects {stored.path}`, then loosen that step in {self.bill.path}"
            )

    async def release(self) -> Path:
        """The published dataset of the bill."""
        streams, without = await self._made_streams()
        self.check()
        plan = plan_of(self.bill, streams, without)
        measure = release_measure(self.bill)
        folder = await asyncio.to_thread(publish_with_card, plan, streams, self.root, measure)
        self.run.release = str(folder)
        logs.logger("run").info("release %s stands in %s", self.bill.name, folder)
        return folder

    async def _made_streams(self) -> tuple[dict[str, Stored], list[str]]:
        """The streams to release; those that the budget left without a row are named, as long as another has some."""
        streams, without = dict[str, Stored](), list[str]()
        for name in self.bill.released:
            try:
                streams[name] = await self.stream(name)
            except BudgetError as spent:
                if not streams and name == list(self.bill.released)[-1]:
                    raise
                without.append(f"{NOT_IN_IT}{name}: {spent}.")
        return streams, without


def plan_of(bill: Bill, streams: Collection[str] | None = None, without: Sequence[str] = ()) -> ReleasePlan:
    """What a bill publishes; of `streams` alone where they are named, with a word in `without` on the others."""
    return ReleasePlan(
        name=bill.name,
        version=bill.version,
        description="\n\n".join([bill.description, *without]).strip() if without else bill.description,
        license=bill.license,
        language=bill.language,
        seed=bill.seed,
        shares={name: share for name, share in bill.released.items() if streams is None or name in streams},
        splits=dict(bill.release.splits),
    )


def synthesis_steps(stream: Stream) -> int:
    """How many of a stream's steps come up to and including its last generator."""
    return max((index + 1 for index, step in enumerate(stream.steps) if step.asks), default=0)


def publish_with_card(plan: ReleasePlan, streams: dict[str, Stored], root: Path, measure: Measure = BYTES) -> Path:
    """Publish, and write the card when there is none: a later measurement rewrites it."""
    from mashbill.card import render_card
    from mashbill.disk import write_bytes

    folder = publish(plan, streams, root, measure)
    if not (folder / "README.md").is_file():
        write_bytes(folder / "README.md", render_card(ReleaseManifest.read(folder)).encode())
    return folder


def released_line(folder: Path) -> str:
    """A release in a line, and more lines for what lacks of it: streams that fell short, records left by a budget."""
    from flows.accepting import shortfalls

    release = ReleaseManifest.read(folder)
    splits = ", ".join(f"{name} {split.rows:,}" for name, split in release.splits.items())
    name = release.name if release.refreshed else f"{release.name} {release.version}"
    line = f"{name}: {release.rows:,} rows ({splits}) in {folder}"
    return "\n".join([line, *partial_lines(release), *shortfalls(release)])
