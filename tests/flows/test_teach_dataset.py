"""Teacher columns of a dataset without a bill, and a bill that takes its signals from there."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from tests.train.taught_plans import teacher_at
from train.score_texts import TextScorer

WORDS = ["salt", "guild", "tax", "river", "barrel", "mash", "rye", "oak", "copper", "still"]
BILL = """
name: salt
sources:
  documents: {read_documents: {path: corpus}}
streams:
  raw: {from: documents}
release: {splits: {test: 0.25}}
student: {scratch: {layers: 1, width: 16, heads: 2}}
"""
TAUGHT = """
train:
  tokens: 1500
  sequence_length: 64
  batch: 4
  distill: {teacher: {path: teacher}, k: 8, control: false}
  arms: {taught: {raw: 1}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rng = random.Random(0)
    (tmp_path / "corpus").mkdir()
    for number in range(8):
        (tmp_path / "corpus" / f"d{number}.txt").write_text(" ".join(rng.choices(WORDS, k=30)))
    teacher_at(tmp_path / "teacher")
    (tmp_path / "bill.yaml").write_text(BILL)
    called(tmp_path, "run", str(tmp_path / "bill.yaml"))
    return tmp_path


def called(place: Path, *words: str, root: str = "runs", code: int = 0) -> str:
    result = CliRunner().invoke(app, [*words, "--root", str(place / root), "--quiet"])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.output


def dataset(place: Path, *words: str, code: int = 0, what: str = "salt") -> str:
    return called(place, "teach", what, "--student", "bytes", "--teacher", str(place / "teacher"), *words, code=code)


def columns(place: Path, name: str, root: str = "runs") -> bytes:
    (part,) = (place / root / "teachers" / name).glob("*/part-*.parquet")
    return part.read_bytes()


def nobody(self: TextScorer, texts: Sequence[Any], names: Sequence[str]) -> Any:
    raise AssertionError(f"scored again: {list(names)}")


def test_a_bill_takes_what_was_scored_for_a_dataset(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = dataset(place, "--k", "8")
    assert said.startswith("salt: ")
    assert "top 8 by teacher" in said
    (place / "bill.yaml").write_text(BILL + TAUGHT)
    called(place, "teach", str(place / "bill.yaml"), root="alone")
    monkeypatch.setattr(TextScorer, "signals", nobody)
    # No teacher is asked, and the bytes are those that the bill alone would have made.
    called(place, "teach", str(place / "bill.yaml"))
    assert columns(place, "raw") == columns(place, "raw", root="alone")
    assert dataset(place, "--k", "8") == said


def test_only_texts_that_are_new_are_scored(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset(place, "--encoding", "sampled", "--draws", "9")
    (place / "corpus" / "more.txt").write_text("one more text about salt and rye and oak")
    called(place, "run", str(place / "bill.yaml"))
    asked: list[str] = []
    whole = TextScorer.signals

    def counted(self: TextScorer, texts: Sequence[Any], names: Sequence[str]) -> Any:
        asked.extend(names)
        return whole(self, texts, names)

    monkeypatch.setattr(TextScorer, "signals", counted)
    release = max((place / "runs" / "releases" / "salt").iterdir(), key=lambda one: one.stat().st_mtime)
    dataset(place, "--encoding", "sampled", "--draws", "9", what=str(release))
    assert len(asked) == 1
    # Other draws are other signals.
    dataset(place, "--encoding", "sampled", "--draws", "8", what=str(release))
    assert len(asked) == 1 + 9


def test_columns_that_were_changed_are_not_taken(place: Path) -> None:
    dataset(place, "--k", "8")
    (part,) = (place / "runs" / "teachers" / "salt").glob("*/part-*.parquet")
    good = part.read_bytes()
    part.write_bytes(b"x" + good)
    (place / "bill.yaml").write_text(BILL + TAUGHT)
    called(place, "teach", str(place / "bill.yaml"))
    shutil.rmtree(place / "runs" / "teachers" / "salt")
    called(place, "teach", str(place / "bill.yaml"), root="alone")
    assert columns(place, "raw") == columns(place, "raw", root="alone")


def test_a_stored_step_is_a_dataset_too(place: Path) -> None:
    assert "read_documents: " in dataset(place, what="read_documents")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["teach", "salt"], "say whose tokens and what teacher"),
        (["teach", "salt", "--student", "bytes"], "both --student and --teacher"),
        (["teach", "nothing", "--student", "bytes", "--teacher", "{}/teacher"], "is called 'nothing'"),
        (["teach", "salt", "--student", "bytes", "--teacher", "{}/absent"], "no Hugging Face checkpoint is there"),
        (["teach", "salt", "--student", "{}/absent", "--teacher", "{}/teacher"], "--student"),
        (["teach", "salt", "--student", "bytes", "--teacher", "http://127.0.0.1:1/v1"], "needs `served`"),
        (["teach", "salt", "--student", "bytes", "--teacher", "{}/teacher", "--encoding", "live"], "top_k or sampled"),
        (["teach", "salt", "--student", "bytes", "--teacher", "{}/teacher", "--k", "0"], "k is 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(place: Path, words: list[str], said: str) -> None:
    result = CliRunner().invoke(app, [*(word.format(place) for word in words), "--root", str(place / "runs"), "-q"])
    assert result.exit_code == 2
    assert said in result.output
