"""Several steps one after another over rows, with one scripted engine, as a stream of a bill runs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mashbill.asker import Asker
from mashbill.engine import ScriptedEngine
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import Record
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import Step
from mashbill.store import Stored
from tests.support.kernel import store
from tests.synth.rationale_helpers import Script


async def run_chain(root: Path, steps: Sequence[Step], rows: Sequence[Record], script: Script) -> Stored:
    """What the last step stored."""
    stored, ledger = store(root, rows), Ledger(root / "ledger.sqlite")
    try:
        async with Asker(ScriptedEngine(script), ledger) as asker:
            for step in steps:
                stored = await execute(step, stored, Runtime(root=root, asker=asker), RejectPolicy(share=1.0))
    finally:
        await ledger.close()
    return stored
