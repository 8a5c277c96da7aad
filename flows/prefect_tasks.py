"""The kitchen's stages as Prefect tasks: one task a stored step or arm, never one a record.

Prefect schedules, retries and shows; it caches nothing (`NO_CACHE`): the store and the ledger already decide what is
done, and two caches would disagree. Tasks hand on paths, never data. They share the kitchen of the flow that runs
them, so an engine is started once a flow and a nested flow opens nothing twice.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.arms import evaluate_arms, evaluation_of, measure, train_arm
from flows.artifacts import show_release, show_report, shown_progress
from flows.kitchen import Kitchen
from flows.run_bill import kitchen_for
from flows.training_section import read_training
from mashbill.progress import Progress, Silent
from mashbill.settings import Settings

_KITCHEN: ContextVar[Kitchen] = ContextVar("kitchen")
WATCH: ContextVar[Progress | None] = ContextVar("watch", default=None)
SETTINGS: ContextVar[Settings | None] = ContextVar("settings", default=None)


def told_from_outside(settings: Settings, progress: Progress) -> None:
    """Have the flows that this program calls run by its settings and show to its user what they do."""
    SETTINGS.set(settings)
    WATCH.set(progress)
    # Prefect shows on the terminal whatever reaches the root logger; the run's log and its level are the user's to say.
    logging.getLogger("mashbill").propagate = False


def the_kitchen() -> Kitchen:
    """The kitchen of the flow around us.

    A function, so that tasks do not name the context variable: a flow that is served or deployed is pickled with what
    its tasks name, and a context variable cannot be.
    """
    return _KITCHEN.get()


@contextlib.contextmanager
def working_in(kitchen: Kitchen) -> Iterator[None]:
    """Have the tasks inside work in a kitchen."""
    token = _KITCHEN.set(kitchen)
    try:
        yield
    finally:
        _KITCHEN.reset(token)


@contextlib.asynccontextmanager
async def kitchen_of(bill: str, command: str = "run") -> AsyncIterator[Kitchen]:
    """The kitchen of the flow around us, or a new one, of which the run's record says `command`."""
    current = _KITCHEN.get(None)
    if current is not None and current.bill.path == Path(bill):
        yield current
        return
    settings, watch = SETTINGS.get() or Settings.load(), WATCH.get() or Silent()
    async with kitchen_for(Path(bill), settings, watch, command=command) as kitchen:
        with working_in(kitchen):
            yield kitchen


@task(cache_policy=NO_CACHE, task_run_name="read {name}")
async def read_source(name: str) -> str:
    """One source."""
    return str((await the_kitchen().source(name)).path)


@task(cache_policy=NO_CACHE, task_run_name="{stream} {index}: {label}")
async def run_step(stream: str, index: int, label: str) -> str:
    """One step of a stream; those before it are finished or done now."""
    kitchen = the_kitchen()
    async with shown_progress(kitchen, f"{stream} {index}: {label}"):
        return str((await kitchen.step(kitchen.bill.streams[stream], index)).path)


@task(cache_policy=NO_CACHE)
async def publish_release() -> str:
    """The release and its card."""
    kitchen = the_kitchen()
    shown = kitchen.run.release  # where flows are nested, each asks for it
    folder = await kitchen.release()
    if shown != str(folder):
        await show_release(kitchen, folder)
    return str(folder)


@task(cache_policy=NO_CACHE, task_run_name="train {arm}")
async def train_student_of(arm: str, release: str) -> str:
    """One arm's plan and student."""
    kitchen = the_kitchen()
    await kitchen.engines.release()
    trained = await train_arm(kitchen, Path(release), read_training(kitchen.bill), arm)
    return str(trained.result.out)


@task(cache_policy=NO_CACHE)
async def evaluate_students(release: str) -> list[str]:
    """Every arm and the base student on the questions."""
    kitchen = the_kitchen()
    evaluation, training = await evaluation_of(kitchen, Path(release)), read_training(kitchen.bill)
    if evaluation is None:
        return []
    plans = training.plans if training else {}
    arms = {name: await train_arm(kitchen, Path(release), training, name) for name in plans}
    tuned = training.supervision if training else None
    return sorted(await evaluate_arms(kitchen, evaluation, arms, tuned))


@task(cache_policy=NO_CACHE)
async def write_the_report(release: str) -> list[str]:
    """The report: its directory, then the lines to print."""
    kitchen = the_kitchen()
    folder, lines = await measure(kitchen, Path(release))
    await show_report(kitchen, folder)
    return [str(folder), *lines]
