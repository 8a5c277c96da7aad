"""``mashbill tcia``: a database and a search, looked at."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from mashbill.records import Instruction
from synth.generators.constraint_search import ConstraintSearch
from synth.generators.instruction_database import InstructionDatabase
from tests.synth.rationale_helpers import rows_of, run
from tests.synth.tcia_helpers import task
from tests.synth.test_constraint_search_step import CORPUS, SEED, seeds


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MASHBILL_ROOT", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def said(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["tcia", *arguments])
    assert result.exit_code == code, result.output
    return result


def built(rows: list[Instruction]) -> None:
    async def both() -> None:
        base = await run(Path("runs"), InstructionDatabase(), rows, {})
        step = ConstraintSearch(seeds=seeds(Path("seeds.jsonl"), SEED), states=100, repeats=4, count=30)
        await run(Path("runs"), step, rows_of(base), {})

    asyncio.run(both())


def test_the_kinds_of_task_are_listed_the_largest_first() -> None:
    built([*CORPUS, task("Write a poem on salt.", "in rhymes", task_type="poem")])
    found = said("types", "instruction_database").stdout
    assert "10 tasks in 2 clusters of task types" in found
    first, second = (line.split() for line in found.splitlines()[-2:])
    assert first == ["meeting", "summary", "1", "9", "9", "11", "1.22"]
    assert second == ["poem", "1", "1", "1", "1", "1.00"]
    assert "and 1 more; show them with -n" in said("types", "instruction_database", "-n", "1").stdout


def test_tasks_of_a_kind_are_shown_with_their_constraints() -> None:
    built([*CORPUS, task("Write a poem on salt.", "in rhymes", task_type="poem")])
    found = said("show", "instruction_database", "poem").stdout
    assert "poem: 1 task of 1 type, 1 query, 1 constraint (1.00 for each query)" in found
    assert "Write a poem on salt.  (poem, corpus.jsonl:1)" in found
    assert "content            in rhymes" in found
    assert len(said("show", "instruction_database", "meeting summary", "-n", "2").stdout.split("Sum up")) == 3
    wrong = said("show", "instruction_database", "poems", code=2)
    assert "no cluster of task types is called 'poems' (did you mean poem?)" in wrong.stderr


def test_a_search_is_shown_by_hop() -> None:
    built(CORPUS)
    found = said("hops", "constraint_search").stdout
    assert found.startswith("1 seed: ")
    assert "30 sampled; ended: queue full 1" in found
    assert "pool of 9 similar tasks with 11 constraints for each seed" in found
    row = next(line for line in found.splitlines() if line.split()[:1] == ["1"] and "seed" not in line)
    assert row.count(" of 4") == 3
    wrong = said("hops", "instruction_database", code=2)
    assert "is a step of instruction_database; name one of constraint_search" in wrong.stderr


def test_a_step_that_is_no_database_is_refused() -> None:
    built(CORPUS)
    assert (
        "holds Instruction rows; a database has DatabaseTask rows" in said("types", "constraint_search", code=2).stderr
    )
    assert "no step under runs is called 'database'" in said("types", "database", code=2).stderr
