"""Rows to be judged, judges that answer by a rule, and one way to run a step that asks one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mashbill.asker import Asker
from mashbill.engine import Request, ScriptedEngine
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import Document, Record
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import Step
from mashbill.store import Stored

Marks = Mapping[str, Any]


def scripted(rule: Callable[[str], Marks | str], name: str = "judge") -> ScriptedEngine:
    """A judge that answers by the material it is shown."""

    def answer(request: Request) -> str:
        said = rule(request.messages[1].content)
        return said if isinstance(said, str) else json.dumps({"reason": "By the rule.", **said})

    return ScriptedEngine(answer, name=name)


async def judged(
    step: Step,
    source: Stored,
    judge: ScriptedEngine,
    *,
    policy: RejectPolicy | None = None,
    ledger: Path | None = None,
) -> Stored:
    """The stored output of a step whose role `judge` is this engine; the main engine must not be asked."""

    def never(request: Request) -> Exception:
        return AssertionError(f"the main engine was asked: {request.messages[-1].content[:80]}")

    root = source.path.parent.parent
    replies = Ledger(ledger or root / "ledger.sqlite")
    try:
        async with Asker(ScriptedEngine(never, name="main"), replies) as main, Asker(judge, replies) as asker:
            runtime = Runtime(root=root, asker=main, askers={role: asker for role in step.engines()})
            return await execute(step, source, runtime, policy)
    finally:
        await replies.close()


def scores_of(record: Record) -> dict[str, float]:
    return {score.name: score.value for score in record.scores}


def told(text: str, title: str = "What is brine?", **fields: Any) -> Document:
    return Document.new(text=text, title=title, **fields)
