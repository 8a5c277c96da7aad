"""What the tests of worked answers share: questions in a store, teachers with known faults, one way to run a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from mashbill.asker import Asker
from mashbill.engine import Reply, Request, ScriptedEngine
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import QA, Record
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import Step
from mashbill.store import Stored
from tests.support.kernel import rejects_in, rows_of, store

__all__ = ["SALT", "Script", "asked", "count_reasons", "cut", "in_turn", "rejects_in", "rows_of", "run", "store"]

Script = Callable[[Request], "str | Reply | Exception"]

SALT = QA.new(
    question="Ora sells 3 bags of salt at 4 marks each. How many marks does she get?", answer="12", domain="Veylund"
)


def cut(text: str) -> Reply:
    """A reply that max_tokens ended."""
    return Reply(text=text, finish_reason="length", prompt_tokens=1, completion_tokens=len(text.split()))


def asked(request: Request) -> str:
    """The user's part of a request."""
    return request.messages[-1].content


def in_turn(*replies: str | Reply) -> Script:
    """Each next request gets the next reply, and then the first again."""
    given = iter(replies * 100)
    return lambda _: next(given)


async def run(
    root: Path,
    step: Step,
    rows: Sequence[Record],
    script: Script | Mapping[str, str] | ScriptedEngine,
    *,
    part_rows: int = 4,
    share: float = 1.0,
    **others: ScriptedEngine,
) -> Stored:
    """The stored output of a step over rows; `others` are engines by role; `share` of rejects is let through."""
    source = store(root, rows, part_rows)
    main = script if isinstance(script, ScriptedEngine) else ScriptedEngine(script)
    async with AsyncExitStack() as stack:
        ledger = Ledger(root / "ledger.sqlite")
        stack.push_async_callback(ledger.close)
        asker = await stack.enter_async_context(Asker(main, ledger))
        askers = {role: await stack.enter_async_context(Asker(engine, ledger)) for role, engine in others.items()}
        return await execute(step, source, Runtime(root=root, asker=asker, askers=askers), RejectPolicy(share=share))


def count_reasons(stored: Stored) -> dict[str, int]:
    """Reason -> rejects."""
    return dict(stored.manifest.counts.rejected)
