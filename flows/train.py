"""The flow that trains and measures: one task an arm, one for the questions, one for the report."""

from __future__ import annotations

from prefect import flow

from flows.prefect_tasks import (
    evaluate_students,
    kitchen_of,
    publish_release,
    train_student_of,
    write_the_report,
)
from flows.training_section import read_training


@flow(name="train", validate_parameters=False)
async def train(bill: str) -> list[str]:
    """The report's directory and its lines; empty for a bill that trains and evaluates nothing."""
    async with kitchen_of(bill) as kitchen:
        if "train" not in kitchen.bill.whole and "evaluate" not in kitchen.bill.whole:
            return []
        release = await publish_release()
        training = read_training(kitchen.bill)
        for arm in training.plans if training else ():
            await train_student_of(arm, release)
        await evaluate_students(release)
        return await write_the_report(release)
