"""The flow that keeps rows: filters and dedup of every stream, then the release, one task each."""

from __future__ import annotations

from prefect import flow

from flows.kitchen import synthesis_steps
from flows.prefect_tasks import kitchen_of, publish_release, run_step
from mashbill.filter_stack import label_of


@flow(name="curate", validate_parameters=False)
async def curate(bill: str) -> str:
    """The released dataset: where it lies."""
    async with kitchen_of(bill) as kitchen:
        for name, stream in kitchen.bill.streams.items():
            for index in range(synthesis_steps(stream), len(stream.steps)):
                await run_step(name, index, label_of(stream.steps[index]))
        return await publish_release()
