"""``mashbill exemplars``: a bank that grows from what a run kept, and never counts one run twice."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from filters.farthest_rationales import FarthestRationales
from flows.cli import app
from mashbill.execute import execute
from mashbill.exemplars import Exemplar, read_bank, write_bank
from mashbill.records import QA, Rationale
from mashbill.release import ReleasePlan, publish
from mashbill.runtime import Runtime
from mashbill.store import Stored
from synth.exemplars import FewShot
from synth.generators.teacher_rationale import TeacherRationale
from tests.support.kernel import store
from tests.synth.rationale_helpers import SALT, in_turn, rows_of, run

PERSONS = Exemplar.new(keys=("Two lamps cost 5 marks each.",), text="Two lamps …\n\n2 * 5 = 10\n#### 10", human=True)
REPLIES = ("3 * 4 = 12\n#### 12", "No.", "3 * 4 = 12\n#### 12", "Add 4 + 4 + 4 = 12 marks.\n#### 12")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MASHBILL_ROOT", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def said(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["exemplars", *arguments])
    assert result.exit_code == code, result.output
    return result


def made(root: Path) -> tuple[Stored, Stored]:
    """A teacher's step that showed the bank's one example, and a filter after it that keeps one row."""
    write_bank(root / "bank.parquet", [PERSONS])
    few = FewShot(shots=1, bank=str(root / "bank.parquet"))

    async def both() -> tuple[Stored, Stored]:
        step = TeacherRationale(task="maths", draws=4, few_shot=few)
        first = await run(root / "runs", step, [SALT], in_turn(*REPLIES))
        return first, await execute(FarthestRationales(most=1), first, Runtime(root=root / "runs"))

    return asyncio.run(both())


def test_a_bank_counts_a_run_once_and_takes_in_what_the_last_step_kept(tmp_path: Path) -> None:
    _, chosen = made(tmp_path)
    words = ("grow", "bank.parquet", "teacher_rationale", "farthest_rationales")
    assert "2 examples, 1 by people; 1 before, 1 offered, 2 steps counted" in said(*words).stdout
    bank = {one.human: one for one in read_bank(Path("bank.parquet"))}
    # Four draws showed it: two rows and a draw that says the same succeeded, one gave no answer.
    assert (bank[True].n_retrieved, bank[True].n_success) == (4, 3)
    assert rows_of(chosen)[0].id in bank[False].parents
    before = Path("bank.parquet").read_bytes()
    assert "0 steps counted, 2 counted before" in said(*words).stdout
    assert Path("bank.parquet").read_bytes() == before
    listed = said("ls", "bank.parquet").stdout
    assert "helped 3 of 4" in listed
    assert SALT.question[:40] in listed


def test_a_bank_is_made_where_there_is_none_and_hinted_rows_never_enter(tmp_path: Path) -> None:
    stored, _ = made(tmp_path)
    said("grow", "new/first.parquet", str(stored.path), "--most", "1")
    assert len(read_bank(Path("new/first.parquet"))) == 1
    row = dataclasses.replace(rows_of(stored)[0], hinted=True)
    told = store(tmp_path / "told", [row], 4)
    assert "0 offered" in said("grow", "none.parquet", str(told.path)).stdout


def test_of_a_release_the_training_rows_alone_enter(tmp_path: Path) -> None:
    rows = [
        QA.new(question=f"How many are {at} bags?", answer="1").child(
            Rationale, question=f"How many are {at} bags?", rationale=f"way {at}", answer="1", source_id=f"s{at}"
        )
        for at in range(20)
    ]
    stored = store(tmp_path / "runs", rows, 8)
    plan = ReleasePlan(
        name="bags",
        version="1",
        description="",
        license="CC0-1.0",
        language="en",
        seed=0,
        shares={},
        splits={"test": 0.5},
    )
    folder = publish(plan, {"bags": stored}, tmp_path / "runs")
    said("grow", "bank.parquet", str(folder))
    grown = {parent for one in read_bank(Path("bank.parquet")) for parent in one.parents}
    entered = [row for row in rows if row.id in grown]
    assert 0 < len(entered) < 20


def test_what_holds_no_rationales_is_refused(tmp_path: Path) -> None:
    stored = store(tmp_path / "runs", [SALT], 4)
    assert "holds QA, and examples are made of Rationale" in said("grow", "b.parquet", str(stored.path), code=2).output
    assert "is called 'nothing'" in said("grow", "b.parquet", "nothing", code=2).output
    Path("c.parquet").write_text("salt")
    assert "is no bank of exemplars" in said("ls", "c.parquet", code=2).output
    assert not Path("b.parquet").exists()
