"""``mashbill batches``: what a run left at a provider is listed, looked at, cancelled and forgotten."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from tests.support import fake_batches as fake
from tests.support.fake_batches import FakeBatches

BILL = """
name: salt
sources: {texts: {read_documents: {path: corpus}}}
engine: {openai: {model: fake}}
rejects: {share: 1.0}
streams:
  easy: {from: texts, generate: {rephrase: {styles: [easy], min_words: 1}}}
"""


@pytest.fixture
def server() -> Iterator[FakeBatches]:
    """A provider in a thread of its own: the command line has the main one."""
    loop, made, ready = asyncio.new_event_loop(), FakeBatches(), threading.Event()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> None:
        await made.__aenter__()
        ready.set()

    asyncio.run_coroutine_threadsafe(begin(), loop)
    assert ready.wait(10)
    yield made
    asyncio.run_coroutine_threadsafe(made.__aexit__(None, None, None), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def bill(tmp_path: Path, server: FakeBatches, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MASHBILL_ENGINE_URL", server.url)
    monkeypatch.setenv("MASHBILL_ENGINE_BATCH", "1")
    monkeypatch.setenv("MASHBILL_ENGINE_BATCH_POLL", "0.02")
    monkeypatch.setenv("MASHBILL_ENGINE_BATCH_LINGER", "0.01")
    (tmp_path / "corpus").mkdir()
    for number in range(70):
        (tmp_path / f"corpus/{number:02d}.md").write_text(f"# salt\nBarge {number} carries salt.\n")
    (tmp_path / "bill.yaml").write_text(BILL)
    return tmp_path / "bill.yaml"


def mashbill(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_bill_runs_in_batches_under_the_root_it_was_given(bill: Path, server: FakeBatches) -> None:
    done = mashbill("run", "-q", "--root", "here", str(bill))
    assert done.exit_code == 0, done.output
    [job] = server.jobs.values()
    assert len(job.rows) == 70, "more than the records in flight that the settings say"
    listed = mashbill("batches", "--root", "here").output
    assert "batch_0" in listed
    assert "completed" in listed
    assert not (bill.parent / "runs").exists()


def test_a_stopped_run_says_what_goes_on_and_the_next_takes_it_up(bill: Path, server: FakeBatches) -> None:
    stopped = leave_one(bill, server)
    assert "1 batch with 70 requests goes on at the provider" in stopped.output
    looked = mashbill("batches", "--look").output
    assert "in_progress" in looked
    server.jobs["batch_0"].looks = 0
    assert mashbill("run", "-q", str(bill)).exit_code == 0
    assert len(server.jobs) == 1
    assert "no batch 'all' is under way" in mashbill("batches", "--cancel", "all").output


def test_a_batch_is_cancelled_and_what_it_answered_is_used(bill: Path, server: FakeBatches) -> None:
    leave_one(bill, server)
    job = server.jobs["batch_0"]
    del job.output[40:]
    said = mashbill("batches", "--cancel", "batch_0")
    assert said.exit_code == 0, said.output
    assert "asked to cancel 1" in said.output
    assert job.cancelled
    assert mashbill("run", "-q", str(bill)).exit_code == 0
    assert [len(one.rows) for one in server.jobs.values()] == [70, 30]


def test_a_batch_that_is_forgotten_is_asked_again(bill: Path, server: FakeBatches) -> None:
    leave_one(bill, server)
    del server.jobs["batch_0"]
    refused = mashbill("run", "-q", str(bill))
    assert refused.exit_code == 3
    assert "--forget batch_0" in refused.output
    assert "asks its 70 requests again" in mashbill("batches", "--forget", "batch_0").output
    assert mashbill("run", "-q", str(bill)).exit_code == 0
    assert len(server.jobs) == 1
    assert mashbill("batches", "--forget", "batch_9").exit_code == 2


def test_a_batch_at_an_endpoint_that_no_setting_reaches(
    bill: Path, server: FakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_one(bill, server)
    monkeypatch.delenv("MASHBILL_ENGINE_URL")
    missing = mashbill("batches", "--look")
    assert missing.exit_code == 2
    monkeypatch.setenv("MASHBILL_JUDGE__ENGINE_URL", server.url)
    assert mashbill("batches", "--look").exit_code == 0, "reached as some role is"


def test_where_there_are_none(tmp_path: Path) -> None:
    assert (
        "MASHBILL_ENGINE_BATCH=1 has the openai engine make them" in mashbill("batches", "--root", str(tmp_path)).output
    )


def leave_one(bill: Path, server: FakeBatches) -> Result:
    """A run that is stopped while its batch is under way."""
    server.next.append(fake.slow(10**6))

    def interrupt(what: str) -> None:
        if what == "before GET batch":
            server.event = lambda _: None  # a second Ctrl-C would mean something else
            os.kill(os.getpid(), signal.SIGINT)

    server.event = interrupt
    stopped = mashbill("run", "-q", str(bill))
    assert stopped.exit_code == 130, stopped.output
    return stopped
