"""The log of a run: each line knows its run, step, record and ask, and none holds a prompt, a reply or a secret."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.run_bill import cook, kitchen_for, run_bill
from flows.run_log import level_of, run_log, scrubbed
from mashbill import logs
from mashbill.errors import EngineRefused, SettingsError, StepFailed, StoreError
from mashbill.ledger import Ledger
from mashbill.progress import Silent
from mashbill.run_id import new_run_id
from mashbill.settings import Settings
from mashbill.store import Stored
from tests.contract.fake_openai import FakeOpenai, status
from tests.flows.fake_kitchen import Project, project
from tests.support.kernel import rejects_in

SMALL = {"student": None, "train": None, "evaluate": None}
KEY = "mb-verysecretkey0123456789"
PASSWORD = "venns-password"


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenai]:
    async with FakeOpenai(key=KEY) as fake:
        yield fake


def lines_of(run: Project) -> list[dict[str, Any]]:
    """Every line of every log, in order."""
    files = sorted((run.root / "run-log").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def texts_of(run: Project) -> str:
    """All that is kept about runs."""
    return "".join(path.read_text(encoding="utf-8") for path in (run.root / "run-log").iterdir())


async def test_a_line_of_an_engine_names_the_record_and_the_ask_it_was_busy_with(
    server: FakeOpenai, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project(tmp_path, **SMALL, engine={"openai": {"model": "fake"}})
    monkeypatch.setenv("MASHBILL_API_KEY", KEY)
    monkeypatch.setenv("MASHBILL_ENGINE_URL", server.url)
    server.faults += [status(500, b"Ora Venn of house 3 is too much for me")]
    settings = Settings(root=run.root, log_level="debug")
    async with kitchen_for(run.bill, settings, Silent()) as kitchen:
        outcome = await cook(kitchen)
        (source,) = [await kitchen.source("almanac")]
    assert outcome.releases is not None

    lines = lines_of(run)
    assert {line["run"] for line in lines} == {kitchen.run.id}
    (retried,) = [line for line in lines if "to be tried again" in line["message"]]
    assert (retried["level"], retried["step"], retried["from"]) == ("warning", "tell_tales", "engine")
    assert "500" in retried["message"]
    ids = {row for part in source for row in part.column("id").to_pylist()}
    assert retried["record"] in ids
    ledger = Ledger(settings.ledger)
    entry = ledger.entry(retried["ask"])
    assert entry is not None, "the ask that failed first was answered later, under its key"
    await ledger.close()

    steps = [line["message"].split(":")[0] for line in lines if line["step"] == "tell_tales" and line["from"] == "step"]
    assert steps[0].startswith("begins with 8 records")
    assert steps[-1] == "ends"
    (released,) = [line for line in lines if line["message"].startswith("release tiny stands in")]
    assert (released["step"], released["record"], released["ask"]) == ("", "", "")


async def test_nothing_that_was_asked_or_said_and_no_secret_is_kept(
    server: FakeOpenai, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project(tmp_path, **SMALL, engine={"openai": {"model": "fake"}})
    monkeypatch.setenv("MASHBILL_API_KEY", KEY)
    monkeypatch.setenv("MASHBILL_ENGINE_URL", f"{server.url}?token={PASSWORD}")
    settings = Settings(root=run.root, log_level="debug")
    async with kitchen_for(run.bill, settings, Silent()) as kitchen:
        await cook(kitchen)
    prompts = {str(message["content"]) for body in server.seen for message in body["messages"]}
    server.always = status(400, f'{{"error": {{"message": "Ora Venn of house 3; {KEY}"}}}}'.encode())
    run.write(**SMALL, engine={"openai": {"model": "another"}})
    with pytest.raises(EngineRefused, match="Ora Venn of house 3"):
        async with kitchen_for(run.bill, settings, Silent()) as kitchen:
            await cook(kitchen)
    texts = texts_of(run)
    assert len(lines_of(run)) > 15
    assert [line["level"] for line in lines_of(run)].count("error") == 2
    for secret in (KEY, PASSWORD, "Ora Venn", "List the names", "sold salt", *prompts):
        assert secret not in texts, secret


def test_a_replay_or_a_bug_is_kept_without_the_text_it_quotes(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    tales = tmp_path / "steps" / "tell_tales.py"
    tales.write_text(
        tales.read_text().replace("async def tale(number):", "async def tale(number):\n            int(record.text)")
    )
    with pytest.raises(StepFailed, match="sold salt"):
        run_bill(run.bill, Settings(root=run.root), Silent())
    assert "sold salt" not in texts_of(run)
    (failed,) = [line for line in lines_of(run) if line["level"] == "error"]
    assert failed["message"].startswith("failed: StepFailed: tell_tales failed on record ")
    assert failed["message"].endswith(": ValueError")


def test_a_reject_is_kept_at_debug_with_its_record_and_its_ask(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    run_bill(run.bill, Settings(root=run.root, log_level="debug"), Silent())
    rejects = [line for line in lines_of(run) if line["message"] == "rejected: empty"]
    stored = rejects_in(Stored.open(run.one("tell_tales/*")))
    assert [(line["record"], line["ask"]) for line in rejects] != []
    assert sorted((line["record"], line["ask"]) for line in rejects) == sorted(
        (one.parents[0], one.made.asks[-1]) for one in stored if one.reason == "empty"
    )


def test_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = project(tmp_path, **SMALL)
    settings = Settings(root=run.root)
    run_bill(run.bill, settings, Silent())
    assert {line["level"] for line in lines_of(run)} == {"info"}
    assert capsys.readouterr() == ("", ""), "quiet unless a level is given"
    for log in (run.root / "run-log").iterdir():
        log.unlink()
    run_bill(run.bill, replace(settings, log_level="warning"), Silent())
    assert lines_of(run) == []
    run_bill(run.bill, replace(settings, log_level="info"), Silent())
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "info: run of the bill tiny begins"
    assert "info: length: was done before: 27 records read, 24 rows kept, 3 rejected" in shown
    with pytest.raises(
        SettingsError, match=r"'inof' \(did you mean info\?\); wanted one of debug, info, warning, error"
    ):
        run_bill(run.bill, replace(settings, log_level="inof"), Silent())


async def test_two_runs_of_one_process_have_logs_of_their_own(tmp_path: Path) -> None:
    both = asyncio.Barrier(2)

    async def one(name: str) -> str:
        run = new_run_id()
        with run_log(tmp_path, run) as path:
            await both.wait()
            logs.logger("step").info("of %s", name)
            await both.wait()
        return path.read_text()

    first, second = await asyncio.gather(one("first"), one("second"))
    assert ("of first" in first, "of second" in first) == (True, False)
    assert ("of first" in second, "of second" in second) == (False, True)
    assert logging.getLogger("mashbill").handlers[1:] == []


def test_what_is_scrubbed() -> None:
    environment = {"MASHBILL_API_KEY": "sk-47", "HF_TOKEN": "hf_123456", "TOKENIZERS_PARALLELISM": "parallel"}
    said = "sk-47 hf_123456 parallel; Authorization: Basic b3Jh, https://a:b@c/d?e https://c/@x"
    assert scrubbed(said, environment) == (
        "sk-47 *** parallel; Authorization: *** b3Jh, https://***@c/d?e https://c/@x"
    ), "a value of five characters is a word like others"


def test_an_exception_is_a_type_in_the_log(tmp_path: Path) -> None:
    with run_log(tmp_path, "20261201-041500-7f3a") as path:
        try:
            int("the will of Ora Venn")
        except ValueError:
            logs.logger("engine").exception("it failed")
    (line,) = [json.loads(one) for one in path.read_text().splitlines()]
    assert (line["exception"], line["message"], line["run"]) == ("ValueError", "it failed", "20261201-041500-7f3a")
    assert "Ora" not in path.read_text()


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "run-log").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"), run_log(tmp_path, new_run_id()):
        pass


def test_the_number_of_a_level() -> None:
    assert level_of("Warning") == logging.WARNING
