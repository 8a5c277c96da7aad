from __future__ import annotations

from pathlib import Path

import datasketch
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from filters.minhash_dedup import MinhashDedup
from flows.cli import app
from mashbill.execute import execute
from mashbill.release import ReleasePlan, publish
from mashbill.runtime import Runtime
from tests.support.kernel import document, rejects_in, rows_of, store

SAID = "The guild of salt sells it by the bag and by the barge, and keeps ledgers of each in year"


@pytest.mark.parametrize("released", [False, True])
async def test_a_batch_is_held_against_what_was_indexed(tmp_path: Path, released: bool) -> None:
    rows = [document(number, f"{SAID} {number}. {'Nobody knows more. ' * number}") for number in range(6)]
    old = store(tmp_path, rows[:4], part_rows=2)
    name = str(old.path)
    if released:
        plan = ReleasePlan(
            name="r", version="1", description="", license="", language="en", seed=1, shares={}, splits={}
        )
        name = str(publish(plan, {"main": old}, tmp_path))
    done = CliRunner().invoke(
        app, ["dedup", "index", name, "--out", str(tmp_path / "i"), "--threshold", "0.9", "--root", str(tmp_path)]
    )
    assert (done.exit_code, done.output) == (
        0,
        f"{tmp_path / 'i'}: 4 rows; name it as `against` in exact_dedup or minhash_dedup\n",
    )
    batch = store(tmp_path, [rows[1], rows[4], rows[5]], step="batch")
    made = await execute(MinhashDedup(against=str(tmp_path / "i"), threshold=0.9), batch, Runtime(root=tmp_path))
    assert rows_of(made) == rows[4:]
    (gone,) = rejects_in(made)
    assert (gone.reason, gone.kept_id, gone.value) == ("near_duplicate_of_earlier", rows[1].id, 1.0)
    assert made.manifest.notes["across_sources"] + made.manifest.notes["within_source"] == 1


def test_signatures_go_to_a_file_that_datasketch_reads(tmp_path: Path) -> None:
    old = store(tmp_path, [document(number) for number in range(3)])
    file = tmp_path / "signatures.parquet"
    done = CliRunner().invoke(app, ["dedup", "signatures", str(old.path), "--out", str(file), "--root", str(tmp_path)])
    assert done.exit_code == 0, done.output
    values = pq.read_table(file).column("lean_minhash").to_pylist()
    assert [len(datasketch.LeanMinHash.deserialize(value)) for value in values] == [128, 128, 128]
