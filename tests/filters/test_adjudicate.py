from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from filters.adjudicate import Adjudicate
from filters.exact_dedup import ExactDedup
from mashbill.engine import Request, ScriptedEngine
from mashbill.records import QA
from tests.support.kernel import rejects_in, rows_of
from tests.synth.rationale_helpers import in_turn, run


def question(answer: str, asked: str = "Six times twelve?", **fields: Any) -> QA:
    return QA.new(question=asked, answer=answer, **fields)


ROWS = [
    question("74"),
    question("Ora Venn", "Who founded the guild?"),
    question("72", rationale="6 * 12 = 72"),
    question("72.", rationale="twelve sixes"),
    question("74", rationale="a guess"),
]


def order_shown(request: Request) -> list[str]:
    text = str(request.messages[-1].content)
    return re.findall(r"^\d+\. (.*)$", text, re.MULTILINE)


def choosing(answer: str) -> ScriptedEngine:
    """A judge who holds one answer right wherever it stands."""

    def reply(request: Request) -> str:
        order = [one.rstrip(".") for one in order_shown(request)]
        return json.dumps({"reason": "So it is.", "answer": order.index(answer) + 1 if answer in order else 0})

    return ScriptedEngine(reply)


async def test_the_answer_that_wins_is_kept_and_the_others_are_outvoted(tmp_path: Path) -> None:
    engine = choosing("72")
    made = await run(tmp_path, Adjudicate(), ROWS, engine)
    assert sorted(row.answer for row in rows_of(made)) == ["72", "72.", "Ora Venn"]
    kept = {row.id: row for row in rows_of(made)}
    assert kept[ROWS[2].id].verdicts[-1].name == "adjudicate:main"
    assert kept[ROWS[1].id].verdicts == ()
    rejects = rejects_in(made)
    assert {(reject.reason, reject.kept_id) for reject in rejects} == {("outvoted_answer", min(ROWS[2].id, ROWS[3].id))}
    assert len(rejects) == 2
    assert rejects[0].verdicts[-1].outcome == "fail"
    assert len({reject.cluster for reject in rejects}) == 1
    assert made.manifest.counts.noted == {"conflicts": 1, "conflicts_settled": 1}
    # Two answers, so two asks, each with another answer first; nothing is asked of the question with one answer.
    orders = [order_shown(request) for request in engine.seen]
    assert len(orders) == 2
    assert orders[0] == orders[1][::-1]


async def test_a_judge_who_always_takes_the_first_decides_nothing(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda _: json.dumps({"reason": "First.", "answer": 1}))
    made = await run(tmp_path, Adjudicate(rounds=2), ROWS, engine)
    assert [row.answer for row in rows_of(made)] == ["Ora Venn"]
    rejects = rejects_in(made)
    assert {reject.reason for reject in rejects} == {"undecided_conflict"}
    assert {reject.verdicts[-1].outcome for reject in rejects} == {"error"}
    assert len(engine.seen) == 4


async def test_a_judge_may_hold_no_answer_right(tmp_path: Path) -> None:
    made = await run(tmp_path, Adjudicate(), ROWS, choosing("71"))
    assert {reject.reason for reject in rejects_in(made)} == {"no_answer_right"}
    assert {reject.kept_id for reject in rejects_in(made)} == {""}


async def test_replies_that_cannot_be_used_are_no_votes(tmp_path: Path) -> None:
    for text in ("Hm.", json.dumps({"reason": "x", "answer": 9})):
        made = await run(tmp_path / text[:1], Adjudicate(), ROWS, in_turn(text))
        assert {reject.reason for reject in rejects_in(made)} == {"undecided_conflict"}
        assert {reject.detail for reject in rejects_in(made)} == {"votes of 2: no usable reply"}
        assert all(reject.made.asks for reject in rejects_in(made))


async def test_after_it_exact_dedup_finds_no_conflict(tmp_path: Path) -> None:
    made = await run(tmp_path / "a", Adjudicate(), ROWS, choosing("72"))
    assert ExactDedup().conflicts(made) == []
    assert len(rows_of(await run(tmp_path / "b", ExactDedup(), rows_of(made), choosing("72")))) == 2


def test_a_vote_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="rounds is 0"):
        Adjudicate(rounds=0)
    assert Adjudicate(judge="big").engines() == ("big",)
