"""The closed loop: train, evaluate, find what is weak, share the next round's budget, write, and train again.

    round  new tokens  weakest        validation           recipes
    0               0                 0.21 [0.15, 0.28]
    1           4,000  salt 0.05      0.48 [0.40, 0.56]    notes 0.50, drills 0.50
    2           4,000  salt 0.20      0.63 [0.55, 0.70]    notes 0.71, drills 0.29

After PGKD (2411.05045), done for a corpus: the edge from evaluation to synthesis is a budget over groups of questions,
and a bandit shares it over recipes. Each round is a release, ``NAME-round-1`` and on. The round that did best on the
validation questions is chosen, and it alone is asked the test, once. Under the root::

    loops/NAME/3b71…/round-1/allocation.json      what was to be made, with its arithmetic
                            /round.json           what came of it
                    /choice.json                  the chosen round; before it is written nobody opens the test
    reports/NAME-loop/…                           the curve, the heat map, the bandit

Every stage is stored by what it is made from, so a loop that was stopped goes on where it stopped.
"""

from __future__ import annotations

from pathlib import Path

from flows.kitchen import Kitchen, Outcome
from flows.loop_report import CHOICE, write_loop_report
from flows.loop_rounds import Rounds, Stage, at_once
from flows.loop_section import read_loop
from flows.one_run import turn
from flows.run_bill import checked_bill, run_stages
from mashbill import logs
from mashbill.disk import write_json
from mashbill.errors import BillError
from mashbill.progress import Progress
from mashbill.run_id import new_run_id
from mashbill.settings import Settings


async def run_loop(kitchen: Kitchen, stage: Stage = at_once) -> Outcome:
    """All rounds of a bill's loop, the control's where there is one, the test, and the report.

    Raises:
        BillError: for a bill without a loop.
    """
    read = read_loop(kitchen.bill)
    if read is None:
        raise BillError("has no `loop` section; docs/loop.md shows one", path=kitchen.bill.path)
    loop, sealed = read
    runs = [Rounds(kitchen, loop, stage=stage)]
    if loop.spec.control:
        runs.append(Rounds(kitchen, loop, uniform=True, stage=stage))
    for one in runs:
        await one.run()
    main = runs[0]
    choice = main.folder / CHOICE
    write_json(choice, {one.name: one.best.number for one in runs})
    return await stage("test and report", lambda: write_loop_report(kitchen, loop, runs, sealed, choice))


def run_loop_bill(path: Path, settings: Settings, progress: Progress, *, prefect: bool = False) -> Outcome:
    """Run the loop of a bill; finished work is opened, unfinished work goes on.

    Raises:
        Interrupted: on Ctrl-C, after what was in flight is finished and stored.
        MashbillError: with what was found, what was wanted, and what to do.
    """
    if not prefect:
        return run_stages(path, settings, progress, run_loop, command="loop")
    from flows.prefect_server import prefect_server

    run_id = new_run_id()
    # Held from here on, and Prefect is imported when its server is on its way: that takes half a minute to start.
    with (
        turn(settings.root, checked_bill(path, settings).name, run_id),
        logs.of_run(run_id),
        prefect_server(settings.root),
    ):
        from flows.loop_flow import loop_with_prefect

        return loop_with_prefect(path, settings, progress)
