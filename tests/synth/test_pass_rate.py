from __future__ import annotations

from pathlib import Path

import pytest

from mashbill.engine import ScriptedEngine
from synth.generators.pass_rate import PassRate
from tests.synth.rationale_helpers import SALT, count_reasons, cut, in_turn, rows_of, run

STEP = PassRate(task="maths", draws=4)


async def test_a_question_gets_the_share_of_right_draws_and_its_difficulty(tmp_path: Path) -> None:
    teacher = in_turn("So 3 * 4 = 12\n#### 12", "So 7\n#### 7", cut("So 3 * 4"), "Nothing.")
    (row,) = rows_of(await run(tmp_path, STEP, [SALT], teacher))
    assert (row.question, row.answer) == (SALT.question, SALT.answer)
    assert (row.pass_rate, row.difficulty) == (0.25, 4)
    assert (row.parents, row.source_id) == ((SALT.id,), SALT.source_id)
    assert len(row.made.asks) == 2, "the replies that could be read"


async def test_a_question_nobody_can_read_has_a_pass_rate_of_none_right(tmp_path: Path) -> None:
    (row,) = rows_of(await run(tmp_path, PassRate(task="maths", draws=2, bins=0), [SALT], lambda _: "Nothing."))
    assert (row.pass_rate, row.difficulty, row.made.step) == (0.0, None, "pass_rate")


async def test_a_question_without_a_gold_answer_cannot_be_measured(tmp_path: Path) -> None:
    engine = ScriptedEngine({})
    unknown = SALT.child(type(SALT), question=SALT.question, answer="")
    made = await run(tmp_path, STEP, [unknown], engine)
    assert count_reasons(made) == {"no_gold": 1}
    assert engine.seen == []


def test_fields_that_measure_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="bins is -1"):
        PassRate(bins=-1)
    with pytest.raises(ValueError, match="not compared"):
        PassRate(task="conversation")
