"""The end of a batch: waited for, then brought here whole."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from mashbill.errors import EngineGarbage, EngineRefused
from synth.engines.batch_api import FINAL, Batch, BatchApi, Missing
from synth.engines.batch_places import Places, places_in
from synth.engines.batch_store import BatchStore
from synth.engines.openai_run import OpenaiRun

logger = logging.getLogger(__name__)

_UNLISTED = 20
"""Looks at a batch that has ended with replies and does not say in which file."""


async def ended(api: BatchApi, store: BatchStore, run: OpenaiRun, name: str, batch_id: str) -> Batch:
    """Look at a batch until it has ended.

    Raises:
        EngineRefused: when the provider does not know it.
        EngineGarbage: when it has ended with replies and never says where they are.
    """
    assert run.batch is not None
    most = run.batch.poll
    pause, unlisted = most / 12, 0
    while True:
        batch = await _seen(api, store, name, batch_id)
        if batch.status in FINAL:
            if batch.output or not batch.done:
                logger.info("batch %s: %s, %d answered, %d failed", batch_id, batch.status, batch.done, batch.failed)
                return batch
            # Answered, and where is not said yet: asked again, its requests would be paid for twice.
            unlisted += 1
            if unlisted > _UNLISTED:
                raise EngineGarbage(
                    f"{api.name} says that batch {batch_id} is {batch.status} with {batch.done} answered, and "
                    "names no output file; ask the provider, or see `mashbill batches --forget`"
                )
        await run.sleep(pause)
        pause = min(pause * 1.5, most)


async def _seen(api: BatchApi, store: BatchStore, name: str, batch_id: str) -> Batch:
    try:
        batch = await api.look(batch_id)
    except Missing as missing:
        raise EngineRefused(
            f"{missing}: batch {batch_id} is under way by our account; was it made with another key? "
            f"`mashbill batches --forget {batch_id}` has its requests asked again, and paid again"
        ) from None
    store.enter(name, status=batch.status, done=batch.done, failed=batch.failed)
    return batch


async def collected(api: BatchApi, store: BatchStore, name: str, batch: Batch) -> Places:
    """Its files on disk, and where each request's line stands in them."""
    for kind, file_id in (("output", batch.output), ("errors", batch.errors)):
        if file_id:
            with contextlib.suppress(Missing):  # deleted by hand: its requests are asked again
                await api.fetch(file_id, store.file(name, kind))
    places = await asyncio.to_thread(places_in, store, name)
    await asyncio.to_thread(store.collect, name, places, batch.status)
    store.file(name, "input").unlink(missing_ok=True)
    return places
