"""One way to run `kg_path` over paths, with engines by role."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path as FilePath
from typing import Any

from mashbill.asker import Asker
from mashbill.engine import ScriptedEngine
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import QA, Record
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import Step
from mashbill.store import Stored
from tests.support.kernel import rejects_in, rows_of, store
from tests.synth.kg_path_teacher import Teacher


def engines(teacher: Teacher | None = None, **others: Teacher) -> dict[str, ScriptedEngine]:
    """The main engine under "", and others by role."""
    made = {"": ScriptedEngine(teacher or Teacher(), name="main")}
    return made | {role: ScriptedEngine(one, name=role) for role, one in others.items()}


async def run_step(
    root: FilePath, step: Step, source: Sequence[Record] | Stored, by_role: Mapping[str, ScriptedEngine]
) -> Stored:
    """The stored output of a step; any share of rejects is let through."""
    stored = source if isinstance(source, Stored) else store(root, source, part_rows=1000)
    ledger = Ledger(root / "ledger.sqlite")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ledger.close)
        askers = {role: await stack.enter_async_context(Asker(one, ledger)) for role, one in by_role.items()}
        main = askers.pop("")
        return await execute(step, stored, Runtime(root=root, asker=main, askers=askers), RejectPolicy(share=1.0))


async def made(
    root: FilePath, step: Step, source: Sequence[Record], by_role: Mapping[str, ScriptedEngine] | None = None
) -> tuple[list[QA], Counter[str]]:
    """The rows and the reasons of the rejects."""
    stored = await run_step(root, step, source, by_role or engines())
    rows: list[Any] = rows_of(stored)
    return rows, Counter(one.reason for one in rejects_in(stored))
