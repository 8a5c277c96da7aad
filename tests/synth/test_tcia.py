from __future__ import annotations

import json
from pathlib import Path

from mashbill.engine import ScriptedEngine
from mashbill.records import Constraint
from synth.generators.best_response import BestResponse
from synth.generators.compose_instruction import ComposeInstruction
from synth.generators.judge_instruction import JudgeInstruction
from synth.generators.pair_contexts import PairContexts
from synth.generators.tcia import TCIA
from tests.support.kernel import bytes_of
from tests.synth.rationale_helpers import count_reasons, rows_of, run
from tests.synth.tcia_teacher import BULLETS, PLACE, TONE, good, kind_of, part, searched, spoilt
from tests.synth.test_pair_contexts import TEN, file_of


async def test_a_set_of_constraints_becomes_answered_instructions_and_every_loss_has_a_reason(tmp_path: Path) -> None:
    low = json.dumps({"reason": "Vague.", "score": 2})
    script = spoilt(
        verify=lambda one: "No." if "Never" in one.messages[-1].content else good(one),
        validity=lambda one: low if "Vaguely" in part(one, "instruction") else good(one),
        quality=lambda one: low if "pan 3 leaks" in part(one, "instruction") else good(one),
    )
    rows = [
        searched(PLACE, BULLETS, TONE),
        searched(PLACE, Constraint(category="style", text="Never smile")),
        searched(PLACE, Constraint(category="style", text="Vaguely")),
    ]
    step = TCIA(pair=PairContexts(contexts=file_of(tmp_path, *TEN), each=10), respond=BestResponse(draws=2))
    made = await run(tmp_path, step, rows, script)
    kept = rows_of(made)
    assert len(kept) == 9
    assert all(row.hop == 1 and row.response and "leaks in" in row.text and row.source_id == rows[0].id for row in kept)
    assert count_reasons(made) == {"below_floor": 2, "constraint_not_judged": 1, "low_validity": 1, "not_best": 9}
    notes = made.manifest.notes
    assert notes["marks"]["validity"] == {"2": 1, "5": 20}
    assert notes["judge_errors"]["responses"]["wrong"] == 0
    assert notes["wins"]["main"]["won"] == 9
    assert kept[0].made.step == "tcia"


async def test_a_second_run_pays_for_nothing_and_gives_the_same_bytes(tmp_path: Path) -> None:
    step = TCIA(pair=PairContexts(contexts=file_of(tmp_path, *TEN), each=2))
    rows = [searched(PLACE, BULLETS, number=number) for number in range(4)]
    first = await run(tmp_path, step, rows, ScriptedEngine(good))
    before = bytes_of(first.path)
    for file in first.path.rglob("*.parquet"):
        file.unlink()
    (first.path / "manifest.json").unlink()
    engine = ScriptedEngine(good)
    again = await run(tmp_path, step, rows, engine)
    assert engine.seen == []
    assert bytes_of(again.path) == before


async def test_its_engines_are_those_of_its_steps(tmp_path: Path) -> None:
    step = TCIA(
        pair=PairContexts(contexts=file_of(tmp_path, *TEN)),
        compose=ComposeInstruction(verifier="judge"),
        judge=JudgeInstruction(judge="judge"),
        respond=BestResponse(writers=("main", "second")),
    )
    assert list(step.engines()) == ["judge", "second"]
    main, judge, second = (ScriptedEngine(good, name=name) for name in ("main", "judge", "second"))
    await run(tmp_path, step, [searched(PLACE, BULLETS)], main, judge=judge, second=second)
    assert {kind_of(one) for one in judge.seen} == {"verify", "validity", "consistency"}
    assert {kind_of(one) for one in second.seen} == {"answer"}
