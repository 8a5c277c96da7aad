"""Real instructions from reading to searched sets, with a decomposer that goes by rules: nothing is lost on the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.tcia_yields import steps
from mashbill.constraint_sets import set_key
from synth.decompose_reply import present_share, spoken_words
from tests.synth.rationale_helpers import rejects_in, rows_of


@pytest.mark.skipif(not os.environ.get("MASHBILL_DATA"), reason="MASHBILL_DATA names no folder of real data")
async def test_every_seed_task_is_a_task_or_has_a_reason(tmp_path: Path) -> None:
    path = Path(os.environ["MASHBILL_DATA"]) / "self_instruct_seed_tasks.jsonl"
    made = await steps(path, tmp_path, states=300, repeats=6, count=100)
    apart = rows_of(made["decompose"])
    assert len(apart) + len(rejects_in(made["decompose"])) == 175
    assert len(apart) > 100
    for row in apart:
        there = spoken_words(row.text)
        assert all(present_share(one.text, there) >= 0.6 for one in row.constraints)
    base = made["instruction_database"]
    assert len(rows_of(base)) + base.manifest.counts.rejects == len(apart)
    searched = rows_of(made["constraint_search"])
    assert len(searched) == len({set_key(row.constraints) for row in searched}) == 100
    assert {row.base_query for row in searched} == {"Write an email to the members of the guild."}
