"""Judges whose budget is spent: no row passes unjudged, none is lost, and the whole follows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from filters.adjudicate import Adjudicate
from filters.judge import Judge
from filters.proxy_judge import ProxyJudge
from mashbill.records import QA
from mashbill.store import Stored
from tests.filters.judging import judged, scripted, told
from tests.filters.test_adjudicate import choosing
from tests.filters.test_judge import ALL
from tests.filters.test_proxy_judge import corpus, on_salt
from tests.support.kernel import rejects_in, rows_of, store
from tests.support.tight import partial_then_whole
from tests.synth.rationale_helpers import run


async def test_a_judge_rejects_what_it_did_not_come_to(tmp_path: Path) -> None:
    async def make(root: Path) -> Stored:
        rows = [told(f"Salt water number {number}.") for number in range(20)]
        step = Judge(rubric="knowledge", least={"factuality": 3})
        return await judged(step, store(root, rows), scripted(lambda _: ALL))

    some, whole = await partial_then_whole(tmp_path, make, 6_000)
    kept = rows_of(some)
    assert 0 < len(kept) < 20
    assert Counter(one.reason for one in rejects_in(some)) == {"over_budget": 20 - len(kept)}
    assert {row.id for row in kept} < {row.id for row in rows_of(whole)}
    assert len(rows_of(whole)) == 20


async def test_a_proxy_judge_decides_nothing_by_a_sample_it_did_not_judge_whole(tmp_path: Path) -> None:
    async def make(root: Path) -> Stored:
        step = ProxyJudge(instruction="Is it about salt?", sample=40, most_escalated=0.2)
        return await judged(step, store(root, corpus(80), part_rows=30), scripted(on_salt))

    some, whole = await partial_then_whole(tmp_path, make, 3_000)
    assert some.manifest.counts.rejected == {"over_budget": 80}
    assert whole.manifest.counts.kept > 20


async def test_a_proxy_judge_that_runs_out_among_the_doubtful_keeps_the_parts_it_decided(tmp_path: Path) -> None:
    async def make(root: Path) -> Stored:
        step = ProxyJudge(instruction="Is it about salt?", sample=40, most_escalated=1.0, sure=0.999)
        return await judged(step, store(root, corpus(90, mixed=0.3), part_rows=30), scripted(on_salt))

    some, whole = await partial_then_whole(tmp_path, make, 6_500)
    counts = some.manifest.counts
    assert counts.rejected["over_budget"] in (30, 60)
    assert counts.attempts == 90
    assert {row.id for row in rows_of(some)} < {row.id for row in rows_of(whole)}


async def test_a_conflict_that_was_not_put_to_the_vote_loses_its_answers_and_says_why(tmp_path: Path) -> None:
    rows = [
        QA.new(question=f"Six times {number}?", answer=answer)
        for number in range(12, 20)
        for answer in (f"{6 * number}", "74 or so")
    ]

    async def make(root: Path) -> Stored:
        return await run(root, Adjudicate(rounds=2), rows, choosing("74 or so"))

    some, whole = await partial_then_whole(tmp_path, make, 3_000)
    reasons = Counter(one.reason for one in rejects_in(some))
    assert reasons["over_budget"] % 2 == 0
    assert reasons["over_budget"] > 0
    assert {one.verdicts[-1].outcome for one in rejects_in(some) if one.reason == "over_budget"} == {"error"}
    assert len(rows_of(whole)) == 8
    assert {row.id for row in rows_of(some)} < {row.id for row in rows_of(whole)}
