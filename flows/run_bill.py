"""A bill run from its beginning to its end: checked, under its lock, with its record, its log and its budget.

``mashbill run`` and every other verb that makes something goes through `kitchen_for`, with and without an orchestrator
over it; both give the same bytes and either can go on from the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from flows.budget import account_name, open_budget
from flows.costs import write_costs
from flows.engines import Engines
from flows.kitchen import Kitchen, Outcome
from flows.measuring import check_tokenizer
from flows.one_run import one_run, payer, turn
from flows.run_log import run_log
from flows.run_record import Run, note_budget
from flows.run_watch import recorded
from flows.telemetry import telemetry
from mashbill import logs
from mashbill.bill import Bill
from mashbill.errors import Interrupted, UserError
from mashbill.ledger import Ledger
from mashbill.progress import Progress, Together
from mashbill.read_bill import read_bill
from mashbill.release_manifest import ReleaseManifest
from mashbill.run_id import new_run_id
from mashbill.runtime import spare_collector
from mashbill.settings import Settings


def checked_bill(path: Path, settings: Settings) -> Bill:
    """A bill read and checked whole, before any work: a wrong field of the last stage must not cost the first.

    The settings that only the last stage reads are checked too.

    Raises:
        UserError: with file and line, what was found and what was wanted.
    """
    if not path.suffix and not path.exists():
        raise UserError(f"{path}: no such file; give the path of a bill (YAML)")
    bill = read_bill(path)
    check_tokenizer(bill)
    if "train" in bill.whole or "evaluate" in bill.whole:
        from flows.training_section import read_evaluation, read_hardware, read_training

        read_training(bill), read_evaluation(bill), read_hardware(settings)
    if "star" in bill.whole:
        from flows.star_section import read_star

        read_star(bill)
    if "loop" in bill.whole:
        from flows.loop_section import read_loop

        read_loop(bill)
    return bill


@contextlib.asynccontextmanager
async def kitchen_for(
    path: Path,
    settings: Settings,
    progress: Progress,
    *,
    offline: bool = False,
    lacking: bool = False,
    command: str = "run",
) -> AsyncIterator[Kitchen]:
    """Open the means of a run; everything is closed and committed at the end, however it ends.

    `command` is what the run's record says it is. With `offline` nobody is asked, and `lacking` takes what the ledger
    has no reply to as left by a budget.

    Raises:
        AlreadyRunning: when another run of this bill is at work under the root, or one spends from its account and
            either has a budget.
        BudgetError, SettingsError: when the budget cannot be reckoned, before any ask.
    """
    bill = checked_bill(path, settings)
    run_id, root, account = logs.RUN.get() or new_run_id(), settings.root, account_name(settings, bill)
    run = Run.now(run_id, bill.name, command, path)
    note_budget(run, settings, account)
    with (
        one_run(root, bill.name, run_id),
        contextlib.nullcontext() if offline else payer(settings.ledger, account, run_id, alone=bool(settings.budget)),
        run_log(root, run_id, settings.log_level) as file,
        recorded(root, run, file) as record,
        telemetry(run) as measured,
    ):
        ledger = Ledger(settings.ledger)
        told = Together(progress, record, *([] if measured is None else [measured]))
        engines = Engines(bill, settings, ledger, offline=offline, lacking=lacking, meter=measured)
        kitchen = Kitchen(bill, settings, told, ledger, engines, run)
        record.usage = engines.usage
        if measured is not None:
            measured.usages, measured.waiting = engines.usages, engines.under_way
        ledger.clocks.start(account)
        try:
            _ = kitchen.prices  # a file that means nothing is refused before any ask
            if not offline:
                engines.budget = open_budget(settings, bill, ledger)
            with _interruptible(kitchen):
                yield kitchen
        finally:
            try:
                await engines.release()
            finally:
                await ledger.close()


@contextlib.contextmanager
def _interruptible(kitchen: Kitchen) -> Any:
    """The first Ctrl-C finishes what is in flight; the second ends at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def interrupted() -> None:
        if kitchen.stopping and task is not None:
            kitchen.engines.abandon()
            task.cancel()
        else:
            kitchen.engines.stop()

    try:
        loop.add_signal_handler(signal.SIGINT, interrupted)
        loop.add_signal_handler(signal.SIGTERM, interrupted)
    except (NotImplementedError, RuntimeError):
        # Not the main thread (an orchestrator runs us), or Windows: Ctrl-C then ends at once, as it always did there.
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGTERM)


async def cook(kitchen: Kitchen) -> Outcome:
    """All stages of a bill, in order."""
    folder = await kitchen.release()
    arms: list[str] = []
    report: Path | None = None
    if "train" in kitchen.bill.whole or "evaluate" in kitchen.bill.whole:
        from flows.arms import measure

        report, arms = await measure(kitchen, folder)
    if report is not None:
        write_costs(report, ReleaseManifest.read(folder), kitchen.prices, kitchen.source_names())
    return Outcome(folder, report, "\n".join([*kitchen.ended(folder), *arms]))


def run_bill(
    path: Path,
    settings: Settings,
    progress: Progress,
    *,
    prefect: bool = False,
    wait: Callable[[str], None] | None = None,
) -> Outcome:
    """Run a whole bill; finished work is opened, unfinished work goes on.

    With `wait` it begins when another run of the bill has ended; `wait` is told, once, which one that is.

    Raises:
        Interrupted: on Ctrl-C, after what was in flight is finished and stored.
        MashbillError: with what was found, what was wanted, and what to do.
    """
    run_id = new_run_id()
    # Held from here on: a Prefect server takes half a minute to start.
    with turn(settings.root, checked_bill(path, settings).name, run_id, wait), logs.of_run(run_id):
        if not prefect:
            return run_stages(path, settings, progress, cook)
        from flows.prefect_server import prefect_server

        with prefect_server(settings.root):
            from flows.end_to_end import run_with_prefect

            return run_with_prefect(path, settings, progress)


def run_stages(
    path: Path, settings: Settings, progress: Progress, stages: Callable[[Kitchen], Any], *, command: str = "run"
) -> Outcome:
    """Run an async function of the kitchen to its end; `command` is what the run's record says it is."""

    async def run() -> Outcome:
        try:
            async with kitchen_for(path, settings, progress, command=command) as kitchen:
                outcome: Outcome = await stages(kitchen)
                return outcome
        except asyncio.CancelledError:
            raise Interrupted("stopped at once") from None

    spare_collector()
    return asyncio.run(run())
