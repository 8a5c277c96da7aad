"""Recipes whose budget is spent in the middle: their rows are rows of the whole, and the whole follows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mashbill.engine import ScriptedEngine
from mashbill.store import Stored
from synth.generators.new_inputs import NewInputs
from synth.generators.pair_contexts import PairContexts
from synth.generators.tcia import TCIA
from tests.support.kernel import rejects_in, rows_of
from tests.support.tight import partial_then_whole
from tests.synth.rationale_helpers import run
from tests.synth.tcia_teacher import BULLETS, PLACE, good, searched
from tests.synth.test_boostqa import made
from tests.synth.test_boostqa import step as boostqa
from tests.synth.test_new_inputs import SEEDS, fresh
from tests.synth.test_pair_contexts import TEN, file_of


def ids(stored: Stored) -> set[str]:
    return {row.id for row in rows_of(stored)}


async def test_boostqa_ends_as_when_it_has_no_more_to_write_from(tmp_path: Path) -> None:
    async def make(root: Path) -> Stored:
        return await made(root, boostqa(24, wave=4))

    some, whole = await partial_then_whole(tmp_path, make, 20_000)
    assert 0 < len(rows_of(some)) < len(rows_of(whole)) == 24
    assert Counter(one.reason for one in rejects_in(some))["over_budget"] > 0
    assert ids(some) <= ids(whole)
    assert some.manifest.notes["wanted"] == 24


async def test_tcia_keeps_the_records_that_came_through_all_four_steps(tmp_path: Path) -> None:
    step = TCIA(pair=PairContexts(contexts=file_of(tmp_path, *TEN), each=2))
    rows = [searched(PLACE, BULLETS, number=number) for number in range(8)]

    async def make(root: Path) -> Stored:
        return await run(root, step, rows, ScriptedEngine(good, batch=2, calls=1))

    some, whole = await partial_then_whole(tmp_path, make, 12_000)
    assert 0 < len(rows_of(some)) < len(rows_of(whole))
    assert ids(some) < ids(whole)


async def test_new_questions_end_with_the_money(tmp_path: Path) -> None:
    async def make(root: Path) -> Stored:
        return await run(root, NewInputs(count=60, each=3), SEEDS, ScriptedEngine(fresh, batch=1, calls=1))

    some, whole = await partial_then_whole(tmp_path, make, 4_500)
    assert 0 < len(rows_of(some)) < len(rows_of(whole))
    assert ids(some) <= ids(whole)
