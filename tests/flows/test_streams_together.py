"""A bill whose streams take several sources and other streams: run, run again, and traced."""

from __future__ import annotations

import json
from pathlib import Path

from flows.run_bill import run_bill
from mashbill.lineage import ancestry
from mashbill.progress import Silent
from mashbill.release_manifest import ReleaseManifest
from mashbill.settings import Settings
from tests.flows.test_estimate import STEP, TEACHER
from tests.support.kernel import bytes_of

BILL = """
name: together
steps: steps
sources:
  docs: {read_documents: {path: docs.jsonl}}
  more: {read_documents: {path: more.jsonl}}
engine: {length_teacher: {}}
streams:
  back: {from: docs, generate: [backwards]}
  all: {from: [back, more], curate: [{length: {min_words: 1}}]}
  seen: {from: all, generate: [backwards]}
release: {streams: {all: 1}}
"""


def test_streams_that_take_others_run_and_their_rows_are_traced(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "length_teacher.py").write_text(TEACHER, encoding="utf-8")
    (tmp_path / "steps" / "backwards.py").write_text(STEP, encoding="utf-8")
    for name, word in (("docs", "salt"), ("more", "lamp")):
        rows = [json.dumps({"text": f"{word} road {at}"}) for at in range(6)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "bill.yaml").write_text(BILL, encoding="utf-8")
    settings = Settings(root=tmp_path / "runs")
    folder = run_bill(tmp_path / "bill.yaml", settings, Silent()).releases
    assert folder is not None
    release = ReleaseManifest.read(folder)
    assert release.rows == 12
    steps = [step.step for step in release.streams["all"].steps]
    assert steps.count("read_documents") == 2
    assert steps[-2:] == ["join", "length"]
    assert "join" in (folder / "README.md").read_text(encoding="utf-8")
    made = next(row for row in _rows(folder) if row["text"].endswith("salt"))
    assert ancestry(settings.root, made["id"], None).parents[0].place.row["text"].startswith("salt")
    before = bytes_of(settings.root / "join")
    run_bill(tmp_path / "bill.yaml", settings, Silent())
    assert bytes_of(settings.root / "join") == before


def _rows(folder: Path) -> list[dict[str, str]]:
    import pyarrow.parquet as pq

    return [row for path in sorted(folder.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]
