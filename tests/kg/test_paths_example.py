"""The example of paths: its bills are sound, and with good models its items, its set and its quiz share nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path as FilePath
from typing import Any

import pytest

from kg.held_out import path_key
from mashbill.asker import Asker
from mashbill.bill import Bill
from mashbill.engine import Request, ScriptedEngine
from mashbill.execute import execute
from mashbill.ingest import ingest
from mashbill.ledger import Ledger
from mashbill.read_bill import read_bill
from mashbill.records import QA, Document
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.store import Stored
from tests.support.kernel import rows_of
from tests.synth.kg_path_run import engines
from tests.synth.kg_path_teacher import Teacher

EXAMPLE = FilePath(__file__).parents[2] / "examples" / "umls-paths"


async def stream(
    bill: Bill, name: str, root: FilePath, by_role: Mapping[str, ScriptedEngine] | None = None
) -> list[Any]:
    """The rows of one stream of a bill, its engines scripted."""
    ledger = Ledger(root / "ledger.sqlite")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ledger.close)
        scripted = dict(by_role or engines())
        askers = {role: await stack.enter_async_context(Asker(one, ledger)) for role, one in scripted.items()}
        main = askers.pop("")
        runtime = Runtime(root=root, asker=main, askers=askers)
        source = bill.streams[name].origins[0]
        stored: Stored = ingest(bill.sources[source], bill.source_path(source), runtime)
        for step in bill.streams[name].steps:
            stored = await execute(step, stored, runtime, RejectPolicy(share=1.0))
    return rows_of(stored)


async def test_the_text_has_three_lessons(tmp_path: FilePath) -> None:
    bill = read_bill(EXAMPLE / "text.yaml")
    rows: list[Document] = [row for name in bill.streams for row in await stream(bill, name, tmp_path)]
    assert {row.kind for row in rows} == {"lesson_1", "lesson_2", "lesson_3"}
    assert all(row.domain == "Tolvarey" for row in rows)


async def test_the_quiz_is_trained_on_other_facts_than_it_is_probed_with(tmp_path: FilePath) -> None:
    bill = read_bill(EXAMPLE / "quiz.yaml")
    facts = {}
    for name in ("trained", "probes"):
        rows: list[QA] = await stream(bill, name, tmp_path)
        facts[name] = {edge.triple for row in rows for edge in row.path}
    assert facts["trained"]
    assert facts["probes"]
    assert not facts["trained"] & facts["probes"]


async def test_items_are_drafted_and_thought_through(tmp_path: FilePath) -> None:
    bill = read_bill(EXAMPLE / "drafted.yaml")

    def teacher(request: Request) -> str:
        found = re.search(r"how (.*) is connected with (.*)\. Mention (.*)\.", request.messages[-1].content)
        assert found is not None
        return f"There are {found[3]}, and it ends at {found[2]}."

    rows: list[QA] = await stream(bill, "items", tmp_path, {"": ScriptedEngine(teacher, name="main")})
    assert len(rows) >= 18  # a name such as "ten facts" may be read as speaking of facts
    assert all(row.rationale and row.answer in row.options for row in rows)


async def test_the_curriculum_and_its_set_share_no_path(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASHBILL_ENGINE_URL", "http://127.0.0.1:1/v1")
    bill = read_bill(EXAMPLE / "curriculum.yaml")
    by_role = engines(Teacher(), first=Teacher(), second=Teacher(), student=Teacher())
    items: list[QA] = await stream(bill, "items", tmp_path, by_role)
    bench: list[QA] = await stream(bill, "bench", tmp_path, by_role)
    assert len(items) == 120
    assert {row.hops for row in items} == {1, 2, 3}
    assert {row.hops for row in bench} <= {2, 3, 4}
    assert len(bench) > 20
    assert not {path_key(row.path) for row in items} & {path_key(row.path) for row in bench}
    assert {row.category for row in bench} <= {"guild", "good", "town", "person", "feast"}
