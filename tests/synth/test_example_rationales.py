"""The example bill with a teacher that is right as often as its script says: every stage but the model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mashbill.asker import Asker
from mashbill.engine import Reply, Request, ScriptedEngine
from mashbill.execute import execute
from mashbill.ingest import ingest
from mashbill.ledger import Ledger
from mashbill.read_bill import read_bill
from mashbill.records import Rationale
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.store import Stored
from tests.support.kernel import hashed, rejects_in, rows_of

BILL = Path(__file__).parents[2] / "examples" / "rationales" / "bill.yaml"


def teacher(request: Request) -> str | Reply:
    """Right for most questions, in two ways; some draws are wrong, one question is only solved with the answer told."""
    asked = request.messages[-1].content.rsplit("Now the one to be done.", 1)[-1]
    if request.schema:
        label = "complaint" if re.search(r"broken|lighter|leak|crack", asked) else "praise"
        return json.dumps({"answer": label if hashed(request) % 4 else "praise"})
    told = re.search(r"right answer is (\w+)\.", asked)
    if told:
        return f"It can be counted on the fingers of some hands.\n#### {told[1]}"
    if "milestones" in asked or hashed(request) % 5 == 0:
        return "That makes 1 + 1 = 2.\n#### 2"
    numbers = {"bags": "3 * 4 = 12", "barge": "20 - 6 = 14", "lamps and": "7 + 5 = 12", "weights of salt": "24 / 4 = 6"}
    found = next((sum_ for key, sum_ in numbers.items() if key in asked), "2 + 3 = 5")
    ways = ("So", "Counting one by one,")
    return f"{ways[hashed(request) % 2]} it is {found}.\n#### {found.split()[-1]}"


async def stage(root: Path, stream: str) -> list[Stored]:
    """Each stored step of a stream."""
    bill = read_bill(BILL)
    ledger = Ledger(root / "ledger.sqlite")
    try:
        async with Asker(ScriptedEngine(teacher), ledger) as asker:
            runtime = Runtime(root=root, asker=asker)
            source = bill.streams[stream].origins[0]
            done = [ingest(bill.sources[source], bill.source_path(source), runtime)]
            for step in bill.streams[stream].steps:
                done.append(await execute(step, done[-1], runtime, RejectPolicy(share=1.0)))
            return done
    finally:
        await ledger.close()


@pytest.mark.parametrize("stream", ["sums", "labels"])
async def test_the_example_loses_nothing_and_ends_in_rationales(tmp_path: Path, stream: str) -> None:
    read, *judged = await stage(tmp_path, stream)
    assert read.manifest.counts.kept == {"sums": 10, "labels": 8}[stream]
    for stored in judged:
        counts = stored.manifest.counts
        assert counts.attempts == counts.kept + counts.rejects
        assert stored.kind is Rationale
    assert rows_of(judged[-1])


async def test_the_example_shows_what_it_says(tmp_path: Path) -> None:
    made, alike, *_ = (await stage(tmp_path, "sums"))[1:]
    rows = rows_of(made)
    assert sum(row.teacher == "gold" for row in rows) == 10
    assert {row.question.split()[1] for row in rows if row.hinted} >= {"road"}
    assert not any("right answer is" in row.question + row.rationale + row.context for row in rows)
    assert {reject.reason for reject in rejects_in(made)} >= {"wrong_answer"}
    assert {reject.reason for reject in rejects_in(alike)} == {"same_skeleton"}
    labels = (await stage(tmp_path, "labels"))[1]
    assert {row.answer for row in rows_of(labels)} == {"praise", "complaint"}
    assert {row.rationale for row in rows_of(labels)} == {""}
