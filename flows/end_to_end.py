"""The whole of a bill as a Prefect flow: synthesize, curate, train.

The same stages as ``mashbill run`` without Prefect, and the same bytes. It runs with no server started by hand:
`flows.prefect_server` gives the run one of its own.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from prefect import flow

from flows.budget import price_table
from flows.costs import cost_lines, write_costs
from flows.curate import curate
from flows.kitchen import Outcome, released_line
from flows.prefect_tasks import kitchen_of, told_from_outside
from flows.synthesize import synthesize
from flows.train import train
from mashbill.errors import Interrupted
from mashbill.progress import Progress
from mashbill.release_manifest import ReleaseManifest
from mashbill.settings import Settings


@flow(name="end_to_end", validate_parameters=False)
async def end_to_end(bill: str) -> list[str]:
    """The release's directory, then the report's and its lines where there is one."""
    async with kitchen_of(bill) as kitchen:
        await synthesize(bill)
        release = await curate(bill)
        report = await train(bill)
        if report:
            write_costs(Path(report[0]), ReleaseManifest.read(Path(release)), kitchen.prices, kitchen.source_names())
        return [release, *report]


def run_with_prefect(path: Path, settings: Settings, progress: Progress) -> Outcome:
    """Run a bill under Prefect from a program that is not a flow."""
    told_from_outside(settings, progress)
    try:
        release, *report = asyncio.run(end_to_end(str(path)))
    except asyncio.CancelledError:
        raise Interrupted("stopped at once") from None
    costs = cost_lines(ReleaseManifest.read(Path(release)), price_table(settings))
    lines = [released_line(Path(release)), *costs, *report[1:]]
    return Outcome(Path(release), Path(report[0]) if report else None, "\n".join(lines))
