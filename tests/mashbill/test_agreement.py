"""How often graders agree is told from rows and rejects together, and a missing verdict is neither yes nor no."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from mashbill.agreement import cohens_kappa, grader_agreement
from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.engine import ScriptedEngine
from mashbill.errors import BadReply
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import QA, Document, Verdict, to_table
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import Filter, Generator, reject_table
from tests.support.kernel import documents, rejects_in, store

# 20 times yes and yes, 5 times yes and no, 10 times no and yes, 15 times no and no: the table of Cohen (1960).
SAID = [("pass", "pass")] * 20 + [("pass", "fail")] * 5 + [("fail", "pass")] * 10 + [("fail", "fail")] * 15


@dataclass(frozen=True, kw_only=True)
class Graded(Generator[Document, QA]):
    """A row where both said yes, and a reject with what they said where not."""

    async def make(self, record: Document, ask: Ask) -> Iterable[QA | BadReply]:
        number = int(record.source.split(".")[0])
        both = (*SAID, ("pass", "error"))[number]
        verdicts = tuple(Verdict(name=f"grader:{n}", outcome=said) for n, said in zip("ab", both, strict=True))
        if set(both) == {"pass"}:
            return [record.child(QA, question=f"Q{number}", answer="x", verdicts=verdicts)]
        return [BadReply("grader_failed", "no", verdicts=verdicts)]


async def test_agreement_counts_what_was_refused_with_what_was_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    async with Asker(ScriptedEngine({}), ledger) as asker:
        source = store(tmp_path, documents(51), part_rows=20)
        runtime = Runtime(root=tmp_path, asker=asker)
        stored = await execute(Graded(), source, runtime, RejectPolicy(share=1.0))
    await ledger.close()
    ways = {"both_pass": 20, "first_alone": 5, "second_alone": 10, "both_fail": 15}
    assert grader_agreement(stored) == {"a, b": {"items": 50, "agree": 0.7, "kappa": 0.4, "no_verdict": 1, **ways}}
    refused = next(one for one in rejects_in(stored) if one.verdicts[0].outcome == "fail")
    assert [one.name for one in refused.verdicts] == ["grader:a", "grader:b"]


def test_agreement_where_chance_is_all_is_not_a_number() -> None:
    assert cohens_kappa(SAID) == pytest.approx(0.4)
    assert cohens_kappa([("pass", "pass")] * 3) is None


@pytest.mark.parametrize("row", [Document.new(text="x"), QA.new(question="q", answer="a", verdicts=(Verdict(name="n", outcome="fail"),))])  # fmt: skip  # noqa: E501
def test_a_filter_keeps_the_verdicts_of_what_it_rejects(row: Document | QA) -> None:
    frame = pl.DataFrame(pl.from_arrow(to_table([row], type(row))))
    table = reject_table(frame, step=Filter.name, kind=type(row), reason=pl.lit("gone"))
    assert table.column("verdicts").to_pylist()[0] == (
        [{"name": "n", "outcome": "fail", "detail": ""}] if isinstance(row, QA) else []
    )
