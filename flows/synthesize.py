"""The flow that makes rows: sources are read and generators run, one task each."""

from __future__ import annotations

from prefect import flow

from flows.kitchen import synthesis_steps
from flows.prefect_tasks import kitchen_of, read_source, run_step
from mashbill.filter_stack import label_of


@flow(name="synthesize", validate_parameters=False)
async def synthesize(bill: str) -> dict[str, str]:
    """Every stream's rows before curation, by stream: where they lie."""
    async with kitchen_of(bill) as kitchen:
        for name in kitchen.bill.sources:
            await read_source(name)
        made = {}
        for name, stream in kitchen.bill.streams.items():
            for index in range(synthesis_steps(stream)):
                made[name] = await run_step(name, index, label_of(stream.steps[index]))
        return made
