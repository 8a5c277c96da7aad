"""A refresh's stages as Prefect tasks; its steps are those of `flows.prefect_tasks`, which share its kitchen."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.prefect_tasks import SETTINGS, WATCH, working_in
from flows.refresh import Refresh, refreshing
from mashbill.progress import Silent
from mashbill.settings import Settings

_REFRESH: ContextVar[Refresh] = ContextVar("refresh")


def the_refresh() -> Refresh:
    """The refresh of the flow around us; see `flows.prefect_tasks.the_kitchen`."""
    return _REFRESH.get()


@contextlib.asynccontextmanager
async def refresh_of(bill: str, *, root: str, date: str, full: bool) -> AsyncIterator[Refresh]:
    """A refresh, for the tasks inside.

    Raises:
        AlreadyRunning: when another run of the bill is at work under the root.
    """
    settings = SETTINGS.get() or Settings.load()
    settings = replace(settings, root=Path(root)) if root else settings
    async with refreshing(Path(bill), settings, WATCH.get() or Silent(), date=date, full=full) as one:
        token = _REFRESH.set(one)
        try:
            with working_in(one.kitchen):
                yield one
        finally:
            _REFRESH.reset(token)


@task(cache_policy=NO_CACHE, task_run_name="look for what is new")
async def look() -> bool:
    """Whether anything is new, once the releases before are known to be as they were published."""
    return await the_refresh().look()


@task(cache_policy=NO_CACHE)
async def publish_dated() -> str:
    """The dated release and its card: where it lies."""
    return str(await the_refresh().publish())
