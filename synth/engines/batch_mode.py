"""Requests answered by a provider's batch endpoint: collected, sent as files, looked after until they are answered.

`answer` is the same promise as online, for one request; what differs is when it is kept, and the price. Requests that
come close together go out as one file. Every step is written down first (`synth.engines.batch_store`), so a process
that is killed leaves nothing that would be paid for twice:

* planned, not uploaded: nothing was sent; the requests are planned anew
* uploaded, not known as created: the provider is asked whether it has a batch of that file
* created: it is looked after again, by whoever asks for what it holds
* collected: what came back is on disk, and is read from there
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from mashbill.disk import write_bytes
from mashbill.engine import Reply, Request
from mashbill.errors import (
    EngineDown,
    EngineError,
    EngineRefused,
    Interrupted,
    RequestFailed,
    RequestRefused,
    SettingsError,
)
from mashbill.packing import reply_key, request_bytes
from synth.engines.batch_api import Batch, BatchApi, Missing
from synth.engines.batch_asked import Asked, files_of
from synth.engines.batch_end import collected, ended
from synth.engines.batch_lines import encode, line_of, outcome
from synth.engines.batch_places import Places
from synth.engines.batch_run import BATCH_VARIABLE, BatchRun
from synth.engines.batch_store import BatchStore
from synth.engines.one_writer import one_writer
from synth.engines.openai_run import URL_VARIABLE, OpenaiRun
from synth.engines.wire import Fault

logger = logging.getLogger(__name__)

_FULL = "token_limit_exceeded"
"""What OpenAI says of a batch that it did not take because too many tokens wait already."""
_LONGEST_LINGER = 15
"""Times `linger` after which a batch is sent though requests still trickle in."""
_LONGEST_FULL, _MOST_FULL = 30.0, 60
"""Times `poll` to wait at most where the provider has no room, and how often in a row: with the defaults, 30 hours,
which is more than a batch may take."""
_CREATING = 30.0
"""Seconds to wait, when the run ends, for a batch that is just being created."""
_TURN = 200
"""Replies handed out between two turns of the event loop."""


class Batches:
    """One engine's requests at one batch endpoint."""

    def __init__(self, model: str, extra: Any, run: OpenaiRun, identity: str) -> None:
        assert run.batch is not None
        endpoint, *others = run.open()
        if others:
            raise SettingsError(
                f"{len(others) + 1} endpoints are set, and batches go to one; leave one in {URL_VARIABLE}, or run "
                f"without {BATCH_VARIABLE}"
            )
        self.model, self.extra, self.run, self.identity = model, extra, run, identity
        self.how: BatchRun = run.batch
        self.store = BatchStore(self.how.folder)
        self.api = BatchApi(endpoint, run)
        self._token_field = endpoint.token_field
        self._asked = dict[str, Asked]()
        self._fresh = dict[str, Asked]()
        """Not yet sent or looked up."""
        self._slots = asyncio.Semaphore(self.how.under_way)
        self._tasks = set[asyncio.Task[None]]()
        self._followed = dict[str, dict[str, Asked]]()
        """Batch -> the requests in it that somebody waits for."""
        self._creating = set[asyncio.Task[Batch]]()
        self._full = 0
        """Times in a row that the provider had no room."""
        self._collector: asyncio.Task[None] | None = None
        self._reconciled = False
        self._ended: Exception | None = None
        self._served = False
        """Whether one request was answered in this process: an endpoint that answers none is down."""

    async def answer(self, request: Request) -> Reply:
        """The reply to one request, when its batch has ended.

        Raises:
            RequestRefused: when the provider will not serve it.
            RequestFailed: when it failed in every batch it was in, while others were served.
            Interrupted: when the run is stopped; its batch goes on.
            EngineError: when the endpoint does not serve batches.
        """
        if self._ended is not None:
            raise self._ended
        # As the ledger makes its keys, without the draw, which a request does not know: two greedy draws share a line.
        key = reply_key(self.identity, request_bytes(request), request.seed, 0)
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = self._fresh[key] = Asked(key, request)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        asked.waiting.append(future)
        if self._fresh and self._collector is None:
            self._collector = self._begin(self._collect)
        return await future

    def leave(self) -> None:
        """Wait for nothing more: what is under way goes on at the provider, and the next run takes it up."""
        self._end(Interrupted("stopped: batches under way go on at the provider"))

    async def close(self) -> None:
        """Leave, and let go of connections and files; a batch that is just being created is waited for."""
        self.leave()
        for task in list(self._tasks):
            task.cancel()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._creating:
            _, late = await asyncio.wait(self._creating, timeout=_CREATING)
            for one in late:
                one.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self.api.close()
        self.store.close()

    def _end(self, error: Exception) -> None:
        self._ended = self._ended or error
        self._fresh.clear()
        asked, self._asked = list(self._asked.values()), {}
        for one in asked:
            one.settle(error)

    def _begin(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Missing as missing:
            self._end(EngineRefused(f"{missing}; it may serve no batches: run without MASHBILL_ENGINE_BATCH"))
        except Exception as error:  # whatever it is, whoever waits for a reply must hear of it
            self._end(error)

    async def _collect(self) -> None:
        """Wait until no more requests come, look up what is under way or here already, send the rest."""
        try:
            while self._fresh:
                seen, naps = -1, 0
                while seen != len(self._fresh) < self.how.requests and naps < _LONGEST_LINGER:
                    seen, naps = len(self._fresh), naps + 1
                    await self.run.sleep(self.how.linger)
                fresh, self._fresh = self._fresh, {}
                await self._reconcile()
                for some in files_of(await self._look_up(fresh), self._line, self.how, self._settle):
                    await self._slots.acquire()  # more batches than may be under way wait here, unsent
                    self._begin(partial(self._submit, some))
        finally:
            self._collector = None

    def _line(self, one: Asked) -> bytes:
        return line_of(one.key, encode(self.model, self.extra, one.request, self._token_field))

    async def _reconcile(self) -> None:
        """What a process that died had begun: batches that it may have created, and never wrote down as created."""
        if self._reconciled:
            return
        async with one_writer(self.store.folder / "submit.lock", self.run.sleep):
            for row in self.store.batches(self.api.place, ("planned", "uploaded")):
                batch = await self.api.found(row.file_id, row.name) if row.state == "uploaded" else None
                if batch is None:
                    self.store.enter(row.name, state="dropped")
                    self.store.file(row.name, "input").unlink(missing_ok=True)
                else:
                    logger.info("batch %s was created by a run that ended before it knew; taking it up", batch.id)
                    self.store.enter(row.name, state="created", batch_id=batch.id, status=batch.status)
        self._reconciled = True

    async def _look_up(self, fresh: dict[str, Asked]) -> list[Asked]:
        """Those that no batch holds; the others are answered from disk, or join the batch that holds them."""
        held = await asyncio.to_thread(self.store.held, list(fresh), self.api.place)
        joined, new = dict[str, dict[str, Asked]](), list[Asked]()
        with self.store.lines() as lines:
            for key, asked in fresh.items():
                place = held.get(key)
                if not asked.wanted:
                    self._asked.pop(key, None)
                elif place is not None and place.state == "created":
                    joined.setdefault(place.batch, {})[key] = asked
                elif place is None or not self._from_disk(asked, lines.at(place.batch, place.file, place.place_in)):
                    new.append(asked)
        for name, some in joined.items():
            if name in self._followed:
                self._followed[name].update(some)
            else:
                self._followed[name] = some
                row = self.store.batch(name)
                logger.info("batch %s: taken up again, %d of its requests are asked for", row.batch_id, len(some))
                self._begin(partial(self._follow, name, row.batch_id))
        return new

    def _from_disk(self, asked: Asked, line: bytes) -> bool:
        found = outcome(line, asked.request, self.run.secrets()) if line else None
        if not isinstance(found, Reply):
            return False
        self._settle(asked, found)
        return True

    async def _submit(self, some: list[tuple[Asked, bytes]]) -> None:
        """Write down, upload and create one batch; then look after it."""
        following = False
        try:
            async with one_writer(self.store.folder / "submit.lock", self.run.sleep):
                name = secrets.token_hex(8)
                await asyncio.to_thread(write_bytes, self.store.file(name, "input"), b"".join(line for _, line in some))
                keys = [one.key for one, _ in some]
                await asyncio.to_thread(self.store.plan, name, self.api.place, self.identity, keys)
                file_id = await self.api.upload(self.store.file(name, "input"))
                self.store.enter(name, state="uploaded", file_id=file_id)
                # Never cancelled halfway: whether it was created, only the provider would know.
                creating = asyncio.get_running_loop().create_task(self._created(file_id, name))
                self._creating.add(creating)
                creating.add_done_callback(self._creating.discard)
                batch = await asyncio.shield(creating)
            self._followed[name] = {one.key: one for one, _ in some}
            following = True
            self._begin(partial(self._follow, name, batch.id, slot=True))
        finally:
            if not following:
                self._slots.release()

    async def _created(self, file_id: str, name: str) -> Batch:
        batch = await self.api.create(file_id, name, self.how.window)
        self.store.enter(name, state="created", batch_id=batch.id, status=batch.status)
        logger.info("batch %s: created", batch.id)
        return batch

    async def _follow(self, name: str, batch_id: str, slot: bool = False) -> None:
        """Look at a batch until it ends, then hand out what came of its requests."""
        try:
            batch = await ended(self.api, self.store, self.run, name, batch_id)
            places = await collected(self.api, self.store, name, batch)
        finally:
            if slot:
                self._slots.release()
        await self._hand_out(name, batch, places)

    async def _hand_out(self, name: str, batch: Batch, places: Places) -> None:
        if batch.status == "failed" and not places:
            await self._refused_whole(batch, self._followed.pop(name))
            return
        self._full = 0
        left, handed = list[tuple[Asked, Fault]](), 0
        with self.store.lines() as lines:
            asked = self._followed.pop(name)
            for key, one in asked.items():
                line = lines.at(name, *places[key]) if key in places else b""
                lost = Fault("broken", f"no line in batch {batch.id}, which is {batch.status}")
                found = outcome(line, one.request, self.run.secrets()) if line else lost
                if isinstance(found, Fault):
                    left.append((one, found))
                elif isinstance(found, EngineRefused) and not isinstance(found, RequestRefused):
                    raise found
                else:
                    self._settle(one, found)
                handed += 1
                if not handed % _TURN:
                    await asyncio.sleep(0)
        for one, fault in left:
            self._ask_again(one, fault)

    async def _refused_whole(self, batch: Batch, asked: dict[str, Asked]) -> None:
        if _FULL not in batch.codes:
            raise EngineRefused(
                f"{self.api.name} refused batch {batch.id}: {batch.why or 'it says nothing more'}; mend what it names "
                "(its model, its window, its size), then run the same command again"
            )
        self._full += 1
        pause = self.how.poll * min(2.0**self._full, _LONGEST_FULL)
        if self._full > _MOST_FULL:
            raise EngineDown(
                f"{self.api.name} took no batch in {self._full} tries: {batch.why}; wait for other batches of the "
                "account, or make smaller ones (MASHBILL_ENGINE_BATCH_REQUESTS), then run the same command again"
            )
        logger.warning("%s has no room for more batches now (%s); waiting %g s", self.api.name, batch.why, pause)
        await self.run.sleep(pause)
        for one in asked.values():
            self._renew(one)

    def _ask_again(self, one: Asked, fault: Fault) -> None:
        if fault.kind == "again" and one.tries == 0:
            # Newer models refuse the old name and say so; the meaning is the same.
            self._token_field = "max_completion_tokens"
        one.tries += 1
        if one.tries < self.how.tries:
            self._renew(one)
            return
        said = f"{self.api.name} answered it in none of {one.tries} batches (last: {fault.what})"
        if not self._served:
            raise EngineDown(f"{said}, nor any other request; look at `mashbill batches`, then run the same command")
        self._settle(one, RequestFailed(said))

    def _renew(self, one: Asked) -> None:
        if self._ended is not None or not one.wanted:
            self._asked.pop(one.key, None)
            return
        self._fresh[one.key] = one
        if self._collector is None:
            self._collector = self._begin(self._collect)

    def _settle(self, asked: Asked, outcome: Reply | EngineError | RequestFailed) -> None:
        self._served = self._served or isinstance(outcome, Reply)
        self._asked.pop(asked.key, None)
        asked.settle(outcome)
