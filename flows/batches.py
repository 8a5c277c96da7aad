"""The batches under a root: shown, looked at, cancelled, forgotten."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.terminal import console, date, grid, number, some
from mashbill.engine_env import engine_role
from mashbill.errors import SettingsError, UserError

if TYPE_CHECKING:
    from synth.engines.batch_api import BatchApi
    from synth.engines.batch_store import BatchRow, BatchStore

_HEADS = ["BATCH", "AT", "STATE", "REQUESTS", "ANSWERED", "FAILED", "BEGUN", "SEEN"]


def show_batches(folder: Path) -> None:
    """Print them, the oldest first."""
    rows = _rows(folder)
    if not rows:
        console().print(f"no batches under {folder.parent}; MASHBILL_ENGINE_BATCH=1 has the openai engine make them")
        return
    cells = [
        [
            row.batch_id or row.name,
            row.place,
            _state(row),
            *(number(count) for count in (row.requests, row.done, row.failed)),
            date(row.created),
            date(row.seen),
        ]
        for row in rows
    ]
    console().print(grid(_HEADS, cells, right=["REQUESTS", "ANSWERED", "FAILED"]))


def _state(row: BatchRow) -> str:
    if row.state == "created":
        return row.status
    return row.status if row.state == "collected" else {"dropped": "never created"}.get(row.state, row.state)


def under_way(folder: Path) -> str:
    """What a run that was stopped left at a provider, in a sentence; nothing where it left nothing."""
    left = [row for row in _rows(folder) if row.state in ("created", "uploaded")]
    if not left:
        return ""
    goes, them, it = ("go", "them", "they are") if len(left) > 1 else ("goes", "it", "it is")
    return (
        f"{some(len(left), 'batch').replace('batchs', 'batches')} with {sum(row.requests for row in left):,} requests "
        f"{goes} on at the provider, where {it} paid for; the same command takes {them} up again; `mashbill batches` "
        f"shows and cancels {them}"
    )


def look_at_batches(folder: Path) -> None:
    """Ask the providers how the batches under way stand.

    Raises:
        SettingsError: when the settings reach no endpoint that one of them is at.
    """

    async def look(api: BatchApi, row: BatchRow, store: BatchStore) -> None:
        batch = await api.look(row.batch_id)
        store.enter(row.name, status=batch.status, done=batch.done, failed=batch.failed)

    _each([row for row in _rows(folder) if row.state == "created"], folder, look)


def cancel_batches(folder: Path, said: str) -> str:
    """End a batch at its provider, or all that are under way.

    Raises:
        UserError: when there is none of that name under way.
    """
    chosen = [row for row in _rows(folder) if row.state == "created" and said in ("all", row.batch_id, row.name)]
    if not chosen:
        raise UserError(f"no batch {said!r} is under way under {folder.parent}; `mashbill batches` lists them")

    async def cancel(api: BatchApi, row: BatchRow, store: BatchStore) -> None:
        store.enter(row.name, status=(await api.cancel(row.batch_id)).status)

    _each(chosen, folder, cancel)
    return (
        f"asked to cancel {len(chosen)}; what is answered by then is paid for and used by the next run, which asks the "
        "rest again"
    )


def forget_batch(folder: Path, said: str) -> str:
    """Count a batch as never created, so that its requests are asked again.

    Raises:
        UserError: when there is none of that name.
    """
    chosen = [row for row in _rows(folder) if said in (row.batch_id, row.name)]
    if not chosen:
        raise UserError(f"no batch {said!r} under {folder.parent}; `mashbill batches` lists them")
    store = _store(folder)
    try:
        for row in chosen:
            store.enter(row.name, state="dropped")
    finally:
        store.close()
    return f"forgot {said}: the next run asks its {chosen[0].requests:,} requests again, and pays again"


def _rows(folder: Path) -> list[BatchRow]:
    if not (folder / "batches.sqlite").is_file():
        return []
    store = _store(folder)
    try:
        return store.batches()
    finally:
        store.close()


def _store(folder: Path) -> BatchStore:
    from synth.engines.batch_store import BatchStore

    return BatchStore(folder)


def _each(
    rows: Sequence[BatchRow], folder: Path, what: Callable[[BatchApi, BatchRow, BatchStore], Awaitable[None]]
) -> None:
    from synth.engines.batch_api import Missing

    async def do() -> None:
        store = _store(folder)
        try:
            for row in rows:
                api = _api_at(row.place)
                try:
                    await what(api, row, store)
                except Missing as missing:
                    raise UserError(
                        f"{missing}; `mashbill batches --forget {row.batch_id}` takes it off the list"
                    ) from None
                finally:
                    await api.close()
        finally:
            store.close()

    asyncio.run(do())


def _api_at(place: str) -> BatchApi:
    """The endpoint that a batch is at, reached as the settings of some role reach it."""
    from synth.engines.batch_api import BatchApi
    from synth.engines.openai_run import OpenaiRun

    named = (re.fullmatch(r"MASHBILL_(.+)__ENGINE_URL", name) for name in os.environ)
    for role in ["", *sorted(found.group(1).lower() for found in named if found)]:
        with engine_role(role):
            run = OpenaiRun.from_env()
        for endpoint in run.open() if run.endpoints else ():
            if BatchApi.place_of(endpoint) == place:
                return BatchApi(endpoint, run)
    raise SettingsError(f"a batch is at {place}, and no engine URL reaches it; set MASHBILL_ENGINE_URL (and its key)")
