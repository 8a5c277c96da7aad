"""``mashbill judge``: the judge that a bill names is asked about a gold set, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app

ENGINE = '''
"""A judge that finds everything good and the first of two better."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mashbill.engine import Reply, Request


@dataclass(kw_only=True)
class Flatterer:
    name: str = "flatterer"
    batch: int = 8
    calls: int = 1

    @property
    def identity(self) -> str:
        return f"flatterer/{self.name}"

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        with Path("asked.txt").open("a") as asked:
            asked.write("x" * len(requests))
        for at, request in enumerate(requests):
            marks = {"reason": "", "relevance": 5, "brevity": 5, "factuality": 5}
            said = {"reason": "", "better": "A"} if "better" in request.schema else marks
            yield at, Reply(text=json.dumps(said), finish_reason="stop", prompt_tokens=1, completion_tokens=1)
'''
BILL = """
name: checked
steps: [own]
sources: {docs: {read_documents: {path: docs}}}
engine: {flatterer: {}}
engines: {judge: {flatterer: {name: other}}}
streams: {raw: {from: docs}}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MASHBILL_ROOT", "runs")
    for name in ("own", "docs"):
        (tmp_path / name).mkdir()
    (tmp_path / "own" / "flatterer.py").write_text(ENGINE, encoding="utf-8")
    (tmp_path / "bill.yaml").write_text(BILL, encoding="utf-8")


def said(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["judge", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_a_judge_is_checked_and_what_was_paid_is_not_paid_again() -> None:
    shown = said("check", "bill.yaml", "--json", "check.json").stdout
    assert "flatterer/other on 56 texts of the gold set knowledge, rubric knowledge" in shown
    assert "factuality" in shown
    assert "the first one chosen 100% (50% is unswayed)" in shown
    assert "same choice in both 0%" in shown
    figures = json.loads(Path("check.json").read_text())
    assert figures["dimensions"]["factuality"]["kappa"] == 0.0
    paid = len(Path("asked.txt").read_text())
    assert paid == 56 + 2 * 48
    said("check", "bill.yaml")
    assert len(Path("asked.txt").read_text()) == paid


def test_the_main_engine_and_a_gold_set_of_ones_own() -> None:
    line = {"text": "Brine is salt water.", "marks": {"factuality": 5}}
    Path("gold.jsonl").write_text(json.dumps(line), encoding="utf-8")
    shown = said("check", "bill.yaml", "--role", "main", "--gold", "gold.jsonl", "--no-pairs").stdout
    assert "flatterer/flatterer on 1 texts of the gold set gold.jsonl" in shown
    assert "1.00" in shown
    assert "pairs" not in shown


def test_an_unknown_role_is_answered_with_those_there_are() -> None:
    result = CliRunner().invoke(app, ["judge", "check", "bill.yaml", "--role", "juge"])
    assert result.exit_code == 2
    assert "has no engine of the role 'juge' (did you mean judge?); it has: main, judge" in result.output


def test_rubrics_are_listed_and_shown_as_a_judge_reads_them() -> None:
    shown = said("rubrics").stdout
    assert "knowledge     relevance, brevity, factuality: Whether a passage" in shown
    assert "5 = It tells what was asked." in said("rubrics", "knowledge").stdout
