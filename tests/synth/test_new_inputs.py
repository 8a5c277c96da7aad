from __future__ import annotations

import json
from pathlib import Path

import pytest

from mashbill.ask import Ask
from mashbill.engine import Request, Sampling, ScriptedEngine
from mashbill.errors import InputError
from mashbill.records import QA, to_table
from synth.generators.new_inputs import NewInputs, rouge_l
from tests.support.kernel import bytes_of, hashed
from tests.synth.rationale_helpers import asked, count_reasons, rejects_in, rows_of, run

THINGS = [
    *("anvils", "barges", "candles", "drums", "eels", "fiddles"),
    *("gates", "hammers", "ingots", "jars", "kettles", "lanterns"),
]
SEEDS = [
    QA.new(
        question=f"Ora sells {at + 2} {thing} at {at + 3} marks each. How many marks?", answer=str(at), domain="Veylund"
    )
    for at, thing in enumerate(THINGS[:6])
]
STEP = NewInputs(count=6, shots=2, each=3)


def fresh(request: Request) -> str:
    """Three questions that have little in common with anything."""
    number = hashed(request)
    words = [f"{thing}{number % 97 + at}" for at, thing in enumerate(THINGS)]
    questions = [" ".join(words[at : at + 4]) + f" {number + at}?" for at in (0, 4, 8)]
    return json.dumps({"questions": [{"question": one} for one in questions]})


async def test_new_questions_have_no_answer_and_come_from_the_seeds_they_were_shown(tmp_path: Path) -> None:
    engine = ScriptedEngine(fresh)
    made = await run(tmp_path, STEP, SEEDS, engine)
    rows = rows_of(made)
    assert len(rows) == 6
    assert {row.answer for row in rows} == {""}
    by_id = {seed.id: seed for seed in SEEDS}
    for row in rows:
        assert len(row.parents) == 2
        assert row.source_id == by_id[row.parents[0]].source_id
        assert row.domain == "Veylund"
    shown = asked(engine.seen[0])
    assert sum(seed.question in shown for seed in SEEDS) == 2
    assert "Write 3 new questions" in shown


async def test_what_is_nearly_a_seed_or_nearly_another_is_rejected(tmp_path: Path) -> None:
    copies = [
        SEEDS[0].question,
        "A mill grinds wheat for nine days without a rest.",
        "A mill grinds wheat for ten days without a rest.",
        "Too short",
    ]
    engine = ScriptedEngine(lambda _: json.dumps({"questions": [{"question": one} for one in copies]}))
    made = await run(tmp_path, NewInputs(count=2, shots=2, each=4, most_prompts=1), SEEDS, engine)
    assert [row.question for row in rows_of(made)] == [copies[1]]
    assert count_reasons(made) == {"near_another": 1, "near_seed": 1, "too_short": 1}
    near = {reject.reason: reject for reject in rejects_in(made)}
    assert near["near_seed"].subjects == (SEEDS[0].id,)
    assert near["near_another"].text == copies[2]


async def test_it_asks_on_until_there_are_enough_and_then_stops(tmp_path: Path) -> None:
    def half(request: Request) -> str:
        return fresh(request) if hashed(request) % 2 else "Nothing comes to mind."

    made = await run(tmp_path / "a", NewInputs(count=9, shots=2, each=3), SEEDS, half)
    counts = made.manifest.counts
    assert counts.attempts == counts.kept + counts.rejects
    assert counts.kept == 9 or counts.rejected["unparsable"] > 0
    given_up = await run(tmp_path / "b", NewInputs(count=9, shots=2, each=3), SEEDS, lambda _: "No.")
    assert count_reasons(given_up) == {"unparsable": 12}


async def test_labels_are_offered_again_and_options_of_a_question_are_not(tmp_path: Path) -> None:
    labelled = [QA.new(question=f"{seed.question} Really?", options=("yes", "no"), answer="yes") for seed in SEEDS]
    rows = rows_of(await run(tmp_path / "a", STEP, labelled, fresh))
    assert {row.options for row in rows} == {("yes", "no")}
    chosen = [QA.new(question=seed.question, options=("a", str(at)), answer="a") for at, seed in enumerate(SEEDS)]
    assert {row.options for row in rows_of(await run(tmp_path / "b", STEP, chosen, fresh))} == {()}


async def test_the_bytes_depend_on_neither_the_order_of_the_seeds_nor_the_engine(tmp_path: Path) -> None:
    first = await run(tmp_path / "a", STEP, SEEDS, fresh)
    again = await run(tmp_path / "b", STEP, SEEDS[::-1], ScriptedEngine(fresh, batch=1, calls=1), part_rows=2)
    kept = [[row.question for row in rows_of(made)] for made in (first, again)]
    assert kept[0] == kept[1]
    third = await run(tmp_path / "c", STEP, SEEDS, ScriptedEngine(fresh, batch=2))
    assert bytes_of(first.path) == bytes_of(third.path)


async def test_no_seeds_is_said() -> None:
    parts = NewInputs(count=1).make([to_table([], QA)], Ask(None, "r", "s"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no seed questions"):
        await anext(parts)


def test_fields_that_make_nothing_are_refused() -> None:
    for wrong, message in (
        ({"count": 0}, "count is 0"),
        ({"count": 1, "near": 0.0}, "near is 0.0"),
        ({"count": 1, "sampling": Sampling(temperature=0)}, "temperature 0"),
    ):
        with pytest.raises(ValueError, match=message):
            NewInputs(**wrong)


def test_likeness_is_that_of_words_in_order() -> None:
    assert rouge_l("abcd", "abcd") == 1.0
    assert rouge_l("abcd", "dcba") == 0.25
    assert rouge_l("a", "abcdef", at_least=0.7) == 0.0
    assert rouge_l("", "") == 0.0
