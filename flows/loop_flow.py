"""The closed loop as a Prefect flow: one task a stage of a round, never one a record.

The same stages as ``mashbill loop`` without Prefect, and the same bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.kitchen import Outcome
from flows.loop import run_loop
from flows.prefect_tasks import kitchen_of, told_from_outside
from mashbill.errors import Interrupted
from mashbill.progress import Progress
from mashbill.settings import Settings

T = TypeVar("T")


async def as_task(name: str, work: Callable[[], Awaitable[T]]) -> T:
    """A stage as a task that Prefect shows; what it gives stays in this process."""

    @task(name=name.partition(": ")[2] or name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False)
    async def carried_out() -> T:
        return await work()

    return await carried_out()


@flow(name="loop", validate_parameters=False)
async def loop(bill: str) -> list[str]:
    """The report's directory, then the lines to print."""
    async with kitchen_of(bill, "loop") as kitchen:
        outcome = await run_loop(kitchen, as_task)
    return [str(outcome.report), str(outcome.releases or ""), *outcome.summary.split("\n")]


def loop_with_prefect(path: Path, settings: Settings, progress: Progress) -> Outcome:
    """Run a bill's loop under Prefect from a program that is not a flow.

    Raises:
        Interrupted: on Ctrl-C.
    """
    told_from_outside(settings, progress)
    try:
        report, release, *lines = asyncio.run(loop(str(path)))
    except asyncio.CancelledError:
        raise Interrupted("stopped at once") from None
    return Outcome(Path(release) if release else None, Path(report), "\n".join(lines))
