"""One recipe in one round: records are taken, its stream's steps run over them, and what is new is kept to the budget.

A recipe that is to make 600 tokens of *salt* and 200 of *lamps* -> a wave of records of both groups, their rows, those
that no earlier round has; then another wave for what is missing, at the yield of the waves before; and in the end
exactly the rows that fill the budget. Each stage is a stored step like any other, so what is done is opened.

A stream that makes a budget of its own from pass rates (`boostqa`) is given all its records and the validation
questions with what the student made of them, once, and its total is the recipe's.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Sequence

from flows.kitchen import Kitchen
from flows.loop_allocation import Candidate
from flows.loop_order import Made, Order, TokensOf
from flows.loop_section import Loop
from flows.loop_waves import Work, as_source
from mashbill.bill import Stream
from mashbill.records import schema_of
from mashbill.step import Step
from mashbill.store import Stored
from synth.budget import BudgetSpec


async def make_rows(kitchen: Kitchen, loop: Loop, order: Order, tokens_of: TokensOf) -> Made:
    """Everything that a recipe does in a round."""
    stream = kitchen.bill.streams[order.recipe]
    origin = await _origin(kitchen, loop, order, stream)
    if origin is None:
        return _nothing(order, "there was no confident error to write from")
    steps, budgeted = _budgeted(loop, order, stream)
    candidates = await asyncio.to_thread(candidates_of, loop, origin, chooses=bool(budgeted or order.errors))
    work = Work(kitchen, loop, order, stream, steps, tokens_of, Counter(order.used))
    while (picks := work.next(candidates, once=budgeted)) and len(work.waves) < (1 if budgeted else loop.spec.waves):
        kitchen.check()
        source = await work.taken(origin, picks, budgeted)
        work.count(await work.run(source, {name: group for name, group, _ in picks}))
        if not work.lengths:
            break
    return await work.kept()


async def _origin(kitchen: Kitchen, loop: Loop, order: Order, stream: Stream) -> Stored | None:
    """What the recipe reads: its stream's origin, or the student's confident errors."""
    if order.recipe not in loop.spec.from_errors:
        return await kitchen.step(stream, -1)
    if not order.errors:
        return None
    return await as_source(kitchen, order.folder / f"errors-{order.recipe}.jsonl", order.errors)


def _budgeted(loop: Loop, order: Order, stream: Stream) -> tuple[Sequence[Step], bool]:
    """The stream's steps; one with a budget of its own gets this round's total."""
    steps, found = list(stream.steps), False
    for at, step in enumerate(steps):
        own = getattr(step, "budget", None)
        if isinstance(own, BudgetSpec):
            budget = dataclasses.replace(
                own,
                total=max(1, sum(order.wanted.values())),
                unit="tokens" if loop.spec.tokens else "rows",
                by="uniform" if order.note["allocation"]["by"] == "uniform" else "weakness",
                gamma=loop.weak.gamma,
            )
            steps[at], found = dataclasses.replace(step, budget=budget), True  # type: ignore[call-arg]
    return steps, found


def own_budget(stream: Stream) -> bool:
    """Whether a step of a stream makes a budget of its own."""
    return any(isinstance(getattr(step, "budget", None), BudgetSpec) for step in stream.steps)


def candidates_of(loop: Loop, origin: Stored, *, chooses: bool = False) -> list[Candidate]:
    """The records of an origin with their groups; without them where the recipe chooses for itself."""
    known = {name for one in loop.asked for name in one.groups}
    grouping = loop.weak.grouping
    columns = ["id"] if chooses else ["id", *grouping.columns(schema_of(origin.kind).names)]
    groups = grouping.of_records(known)
    return [
        Candidate(row["id"], () if chooses else groups(row))
        for index in range(len(origin))
        for row in origin.table(index, columns).to_pylist()
    ]


def _nothing(order: Order, note: str) -> Made:
    return Made(
        recipe=order.recipe, stored=None, rows=0, tokens=0, records=0, generated=0, novel=0, usable=0,
        used=dict(order.used), note=note,
    )  # fmt: skip
