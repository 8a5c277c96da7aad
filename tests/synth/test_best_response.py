from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.engine import Request, Sampling, ScriptedEngine
from synth.generators.best_response import BestResponse
from synth.judge_errors import compared, counted
from synth.response_candidates import Marking
from synth.response_prompts import DIMENSIONS
from tests.synth.rationale_helpers import count_reasons, cut, rejects_in, rows_of, run
from tests.synth.tcia_teacher import BULLETS, FRENCH, TONE, checks, good, kind_of, part, searched, spoilt

ROW = searched(BULLETS, TONE, text="Write the minutes in at most five bullets.", context="Ora: two pans leak.")


def marks(by_answer: dict[str, dict[str, int] | int]) -> dict[str, Any]:
    """Marks by what the answer says: one for all dimensions, or by dimension (3 where none is said)."""

    def script(request: Request) -> str:
        found = next(mark for said, mark in by_answer.items() if said in part(request, "answer"))
        score = found if isinstance(found, int) else found.get(kind_of(request), 3)
        return json.dumps({"reason": "So.", "score": score})

    return dict.fromkeys(DIMENSIONS, script)


def writer(text: str) -> ScriptedEngine:
    return ScriptedEngine(spoilt(answer=text), name=text)


async def test_the_response_with_the_highest_mean_is_kept_and_the_others_can_be_read(tmp_path: Path) -> None:
    judge = ScriptedEngine(
        spoilt(**marks({"one": 4, "two": {"quality": 5, **dict.fromkeys(DIMENSIONS, 5)}, "three": 4}))
    )
    step = BestResponse(writers=("main", "second", "third"), marking=Marking(judge="judge"))
    assert list(step.engines()) == ["second", "third", "judge"]
    made = await run(
        tmp_path, step, [ROW], writer("- one"), second=writer("- two"), third=writer("- three"), judge=judge
    )
    (row,) = rows_of(made)
    assert row.response == "- two"
    assert row.made.engine.endswith("- two")
    assert {one.name: one.value for one in row.scores} == {**dict.fromkeys(DIMENSIONS, 5.0), "mean_mark": 5.0}
    assert count_reasons(made) == {"not_best": 2}
    assert {one.text for one in rejects_in(made)} == {"- one", "- three"}
    assert made.manifest.notes["wins"]["second"] == {"marked": 1, "won": 1, "share": 1.0}
    assert made.manifest.notes["wins"]["main"]["won"] == 0
    prompt = judge.seen[0].messages[-1].content
    assert "Ora: two pans leak." in prompt


async def test_five_prompts_are_asked_for_five_marks(tmp_path: Path) -> None:
    engine = ScriptedEngine(good)
    await run(tmp_path, BestResponse(judge_constraints=False), [ROW], engine)
    assert sorted(map(kind_of, engine.seen)) == sorted(["answer", *DIMENSIONS])


async def test_of_equal_means_the_writer_named_first_wins_whoever_answers_first(tmp_path: Path) -> None:
    for number in range(3):
        judge = ScriptedEngine(
            spoilt(**marks({"one": {"quality": 5, "helpfulness": 4}, "two": {"truthfulness": 5, "following": 4}}))
        )
        step = BestResponse(writers=("second", "main"), marking=Marking(judge="judge", min_mean=1))
        made = await run(tmp_path / str(number), step, [ROW], writer("- two"), second=writer("- one"), judge=judge)
        assert [row.response for row in rows_of(made)] == ["- one"]


@pytest.mark.parametrize("dimension", list(DIMENSIONS))
async def test_a_mark_that_did_not_come_is_no_zero_and_no_five(tmp_path: Path, dimension: str) -> None:
    made = await run(tmp_path, BestResponse(), [ROW], spoilt(**{dimension: "Splendid."}))
    assert count_reasons(made) == {"mark_missing": 1}
    (reject,) = rejects_in(made)
    assert dimension in reject.detail
    assert next(one for one in reject.verdicts if one.name == f"mark:{dimension}").outcome == "error"


async def test_a_missing_mark_takes_only_its_own_response_out(tmp_path: Path) -> None:
    def no_mark(request: Request) -> str:
        return "Splendid." if "one" in part(request, "answer") else json.dumps({"reason": "So.", "score": 4})

    step = BestResponse(writers=("main", "second"))
    made = await run(
        tmp_path, step, [ROW], ScriptedEngine(spoilt(answer="- one", quality=no_mark)), second=writer("- two")
    )
    assert [row.response for row in rows_of(made)] == ["- two"]
    assert count_reasons(made) == {"mark_missing": 1}


@pytest.mark.parametrize(
    ("given", "marking", "reason"),
    [
        ({"one": 3}, Marking(), "below_floor"),
        ({"one": {**dict.fromkeys(DIMENSIONS, 5), "truthfulness": 2}}, Marking(), "below_floor"),
        ({"one": {**dict.fromkeys(DIMENSIONS, 5), "truthfulness": 2}}, Marking(min_each=2), ""),
        ({"one": 3}, Marking(min_mean=3), ""),
    ],
)
async def test_the_best_of_bad_ones_is_not_kept(tmp_path: Path, given: Any, marking: Marking, reason: str) -> None:
    made = await run(tmp_path, BestResponse(marking=marking), [ROW], spoilt(answer="- one", **marks(given)))
    assert count_reasons(made) == ({reason: 1} if reason else {})


async def test_a_response_that_breaks_a_constraint_by_code_is_out_before_any_mark_is_asked_for(tmp_path: Path) -> None:
    six = "\n".join("- pans" for _ in range(6))
    engine = ScriptedEngine(spoilt(answer=six, audit=checks({1: "yes", 2: "yes"})))
    made = await run(tmp_path, BestResponse(), [ROW], engine)
    assert count_reasons(made) == {"constraint_broken": 1}
    assert "too_many: 6 bullet points" in rejects_in(made)[0].detail
    assert sorted(map(kind_of, engine.seen)) == ["answer", "audit"]
    assert made.manifest.notes["judge_errors"] == {
        "checked": 1, "wrong": 1, "error_rate": 1.0, "passed_wrongly": 1, "failed_wrongly": 0, "kappa": 0.0,
        "no_verdict": 0,
    }  # fmt: skip
    left = await run(tmp_path / "b", BestResponse(code_decides=False), [ROW], spoilt(answer=six))
    (row,) = rows_of(left)
    assert next(one for one in row.verdicts if one.name == "code:r.1").outcome == "fail"


async def test_a_judge_that_does_not_answer_is_counted_beside(tmp_path: Path) -> None:
    made = await run(tmp_path, BestResponse(), [ROW], spoilt(audit="Yes."))
    assert len(rows_of(made)) == 1
    assert made.manifest.notes["judge_errors"]["no_verdict"] == 1
    assert made.manifest.notes["judge_errors"]["error_rate"] is None


async def test_nothing_is_asked_about_constraints_that_code_does_not_read(tmp_path: Path) -> None:
    engine = ScriptedEngine(good)
    await run(tmp_path, BestResponse(), [searched(TONE, text="Be kind.")], engine)
    assert "audit" not in map(kind_of, engine.seen)


async def test_several_draws_of_one_engine_stand_in_for_several_engines(tmp_path: Path) -> None:
    made = await run(tmp_path, BestResponse(draws=3, system="Be brief."), [ROW], good)
    (row,) = rows_of(made)
    assert next(one for one in row.verdicts if one.name == "best:main").detail.startswith("draw 1 of 3, mean 5.00")
    assert len({row.response, *(one.text for one in rejects_in(made))}) == 3
    assert made.manifest.notes["wins"] == {"main": {"marked": 3, "won": 1, "share": 1.0}}


async def test_losing_to_a_better_one_is_no_fault_that_stops_a_run(tmp_path: Path) -> None:
    rows = [searched(TONE, text=f"Be kind {number}.") for number in range(60)]
    made = await run(tmp_path, BestResponse(draws=4), rows, good, share=0.5)
    assert len(rows_of(made)) == 60
    assert count_reasons(made) == {"not_best": 180}


@pytest.mark.parametrize(("reply", "reason"), [(cut("- one and"), "truncated"), ("  ", "empty")])
async def test_a_response_that_is_not_whole_is_a_reason(tmp_path: Path, reply: Any, reason: str) -> None:
    assert count_reasons(await run(tmp_path, BestResponse(), [ROW], spoilt(answer=reply))) == {reason: 1}


async def test_a_language_is_checked_in_the_response(tmp_path: Path) -> None:
    row = searched(FRENCH, text="Write the minutes in French.")
    made = await run(
        tmp_path, BestResponse(), [row], spoilt(answer="The two pans by the bay leak, and Venn mends them.")
    )
    assert count_reasons(made) == {"constraint_broken": 1}


async def test_a_row_without_a_text_is_a_reason(tmp_path: Path) -> None:
    assert count_reasons(await run(tmp_path, BestResponse(), [searched(TONE)], good)) == {"no_text": 1}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"writers": ()}, "name one engine"),
        ({"writers": ("main", "main")}, "each once"),
        ({"draws": 0}, "draws is 0"),
        ({"draws": 2, "sampling": Sampling(temperature=0)}, "at temperature 0"),
    ],
)
def test_fields_that_make_nothing_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BestResponse(**fields)
    for wrong in ({"min_mean": 6}, {"min_each": 0}, {"quality": "{instruction}"}, {"constraints": "{response}"}):
        with pytest.raises(ValueError, match=r"marks go from|lacks"):
            Marking(**wrong)


OUTCOMES = st.sampled_from(["pass", "fail", "error"])


@given(st.lists(st.tuples(OUTCOMES, OUTCOMES), max_size=30))
def test_an_error_of_judge_or_code_is_never_an_error_made(pairs: list[tuple[str, str]]) -> None:
    verdicts = [
        (f"{who}:r.{at}", outcome)
        for at, pair in enumerate(pairs)
        for who, outcome in zip(("judge", "code"), pair, strict=True)
    ]
    found, unanswered = compared([*verdicts, ("judge:1.1", "pass"), ("code:1.1", "fail")], "r")
    answered = [pair for pair in pairs if "error" not in pair]
    assert sorted(found) == sorted(answered)
    assert unanswered == sum(judge == "error" and code != "error" for judge, code in pairs)
    counts = counted(found, unanswered)
    assert counts["wrong"] == counts["passed_wrongly"] + counts["failed_wrongly"] == sum(a != b for a, b in answered)
