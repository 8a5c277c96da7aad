"""The ``loop`` section of a bill: what is refused, with its line, and what stands where nothing is said."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.loop_world import LOOP, World, write_project
from flows.loop import run_loop
from flows.loop_section import read_loop
from flows.run_bill import checked_bill, kitchen_for
from mashbill.errors import BillError
from mashbill.progress import Silent
from mashbill.settings import Settings


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = World.made(1, scale=0.25)
    return write_project(tmp_path_factory.mktemp("country"), world, each=4, tokens=400, control="")


def changed_bill(bill: Path, changed: dict[str, Any] | None) -> Path:
    """The bill with fields of its loop changed, or without it; None leaves a field out."""
    whole = yaml.safe_load(bill.read_text())
    loop = {**LOOP, "tokens": 400, "control": "", **(changed or {})}
    whole["loop"] = {name: one for name, one in loop.items() if one is not None}
    if changed is None:
        del whole["loop"]
    other = bill.with_name("changed.yaml")
    other.write_text(yaml.safe_dump(whole, sort_keys=False))
    return other


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rounds": 0}, r"changed.yaml:\d+: loop: rounds is 0; from 1 to 100 are wanted"),
        ({"validation": None}, r"loop: needs the field 'validation'"),
        ({"validation": "none.jsonl"}, r"loop.validation: no such file"),
        (
            {"test": "validation.jsonl"},
            r"validation.jsonl and validation.jsonl share 24 questions: v-bread-0 and v-brea",
        ),
        ({"recipes": ["note"]}, r"no stream is called 'note' \(did you mean notes\?\)"),
        ({"recipes": []}, r"recipes is \[\]; at least one stream is wanted"),
        ({"rows": 10}, r"tokens is 400 and rows 10; one of them is wanted"),
        ({"weak": "domain"}, r"loop.weak: is \{by: …\}"),
        ({"weak": {"by": "trade"}}, r"none of the 24 questions in validation.jsonl is in a group by trade; .*domain"),
        ({"weak": {"by": "cells"}}, r"none of the 24 questions in validation.jsonl is in a group by cells"),
        ({"weak": {"by": ["answer"]}}, r"the rows that notes takes are Document and lack the column answer"),
        ({"weak": {"by": "domain", "most": 0.5}}, r"loop.weak: least is 0.2, from 0 to 1, and most 0.5, 1"),
        ({"dedup": "length"}, r"loop.dedup.*: length cannot take out what an earlier round has"),
        ({"dedup": {"exact_dedup": {"against": "x"}}}, r"against: is the loop's to set"),
        ({"dedup": "exactdedup"}, r"no step is called 'exactdedup'"),
        ({"from_errors": ["gossip"]}, r"gossip reads Document, and a confident error is a question"),
        ({"from_errors": ["x"]}, r"from_errors names 'x', which is none of the recipes"),
        ({"patience": -1}, r"patience is -1; 0"),
        ({"rewards": {"gain": 0, "tokens": 0, "novelty": 0}}, r"the parts of a reward are 0 or more, and not all 0"),
        ({"train": {"batch": 2}}, r"loop.train: needs the field 'tokens'"),
        ({"train": {"tokens": 9, "arms": {}}}, r"loop.train.arms: unknown field"),
    ],
)
def test_a_loop_that_cannot_run_is_refused_with_its_line(country: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BillError, match=said):
        checked_bill(changed_bill(country, changed), Settings())


def test_a_bill_without_a_loop_is_told_where_to_look(country: Path, tmp_path: Path) -> None:
    async def inside() -> None:
        bill = changed_bill(country, None)
        async with kitchen_for(bill, Settings(root=tmp_path / "runs"), Silent()) as kitchen:
            await run_loop(kitchen)

    with pytest.raises(BillError, match=r"has no `loop` section; docs/loop\.md shows one"):
        asyncio.run(inside())


def test_what_a_loop_leaves_out_has_its_default(country: Path) -> None:
    read = read_loop(checked_bill(changed_bill(country, {"dedup": None, "ask": None}), Settings()))
    assert read is not None
    loop, sealed = read
    assert (loop.dedup.name, loop.spec.seed, loop.spec.unit, loop.spec.start) == ("minhash_dedup", 1, "tokens", "base")
    assert not any(str(country.parent / "test.jsonl") in repr(value) for value in vars(loop).values())
    assert not sealed.opened
