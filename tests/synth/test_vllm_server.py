"""The managed server's life and death, with a fake server in the place of vLLM."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mashbill.engine import Request, user
from mashbill.errors import EngineDown, SettingsError
from synth.engines.vllm import Vllm
from synth.engines.vllm_server import KEEPER, VllmRun, VllmServer

FAKE = Path(__file__).with_name("fake_vllm.py")
ASK = Request(messages=(user("hello"),))
DIE = Request(messages=(user("die"),))


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An interpreter that runs the fake whatever module it is told to."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {FAKE} "$@"\n')
    script.chmod(0o755)
    return script


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    place = tmp_path / "checkpoint"
    place.mkdir()
    (place / "config.json").write_text("{}")
    (place / "model.safetensors").write_bytes(b"weights")
    return place


def engine(python: Path, checkpoint: Path, **run: object) -> Vllm:
    how = VllmRun(python=python, device="cpu", log=python.parent / "server.log", start_seconds=30, **run)  # type: ignore[arg-type]
    return Vllm(model=str(checkpoint), run=how)


async def ask(under_test: Vllm, request: Request = ASK) -> str:
    [(index, reply)] = [pair async for pair in under_test.complete([request])]
    assert index == 0
    return reply.text


async def test_starts_answers_and_stops(python: Path, checkpoint: Path) -> None:
    under_test = engine(python, checkpoint)
    await under_test.start()
    pid = int((await ask(under_test)).split()[0])
    await under_test.close()
    await under_test.close()
    assert not psutil.pid_exists(pid)


async def test_the_command_line_holds_no_key_and_the_environment_no_other(
    python: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-the-server")
    under_test = engine(python, checkpoint)
    await under_test.start()
    server = under_test.server
    assert server is not None
    names = await ask(under_test)
    log = server.log.read_text().split(" key ")[0]
    await under_test.close()
    assert server.key.reveal() not in log + repr(server) + repr(under_test) + str(server.command())
    assert "--generation-config vllm" in log
    assert "--dtype float32" in log
    assert f"--served-model-name local --host 127.0.0.1 --port {server.port}" in log
    assert "OPENAI_API_KEY" not in names
    assert "VLLM_NO_USAGE_STATS" in names


async def test_a_server_that_dies_is_started_once_more(python: Path, checkpoint: Path) -> None:
    under_test = engine(python, checkpoint)
    await under_test.start()
    before = (await ask(under_test)).split()[0]
    os.kill(int(before), signal.SIGKILL)
    both = await asyncio.gather(ask(under_test), ask(under_test))
    assert {text.split()[0] for text in both} != {before}
    server = under_test.server
    assert server is not None
    with pytest.raises(EngineDown, match="died 2 times; mend what its log") as caught:
        await ask(under_test, DIE)
    assert server.key.reveal() not in str(caught.value)
    await under_test.close()


async def test_a_server_that_ends_at_once_shows_its_log(python: Path, checkpoint: Path) -> None:
    under_test = engine(python, checkpoint, arguments=("--broken",))
    with pytest.raises(EngineDown, match="ended while it started") as caught:
        await under_test.start()
    assert "No available memory for the cache blocks" in str(caught.value)
    assert "key ***" in str(caught.value)
    await under_test.close()


async def test_a_server_that_is_never_ready(python: Path, checkpoint: Path) -> None:
    how = VllmRun(python=python, device="cpu", arguments=("--slow",), log=python.parent / "log", start_seconds=0.5)
    with pytest.raises(EngineDown, match=r"not ready in 0\.5 s; raise MASHBILL_VLLM_START_SECONDS"):
        await VllmServer(name="m", weights=str(checkpoint), run=how).start()


async def test_without_its_environment_it_says_make_vllm(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(SettingsError, match="build it with `make vllm`"):
        await engine(tmp_path / "nowhere", checkpoint).start()


def test_identity_is_the_name_and_the_weights(python: Path, checkpoint: Path, tmp_path: Path) -> None:
    first = engine(python, checkpoint).identity
    assert first.startswith("vllm/local@")
    assert str(tmp_path) not in first
    (checkpoint / "model.safetensors").write_bytes(b"WEIGHTS")
    assert engine(python, checkpoint).identity != first
    assert Vllm(model="org/name", revision="abc").identity == "vllm/org/name@abc"
    with pytest.raises(SettingsError, match="give its revision too"):
        _ = Vllm(model="org/name").identity


def test_the_server_dies_with_a_run_that_was_killed(tmp_path: Path) -> None:
    said = tmp_path / "pid"
    sleeper = f"import os,time; open({str(said)!r},'w').write(str(os.getpid())); time.sleep(600)"
    run = (
        "import subprocess,sys,time; subprocess.Popen([sys.executable, *sys.argv[1:]], stdin=subprocess.PIPE,"
        "start_new_session=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", run, str(KEEPER), sys.executable, "-c", sleeper]) as parent:
        pid = int(until(lambda: said.exists() and said.read_text()))
        parent.kill()
    until(lambda: ended(pid))


def ended(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True  # it may go between any two looks


def until(there: object, seconds: float = 20.0) -> str:
    assert callable(there)
    deadline = time.monotonic() + seconds
    while not (found := there()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return str(found)


def test_settings_from_the_environment() -> None:
    run = VllmRun.from_env(
        {
            "MASHBILL_VLLM_PYTHON": "/opt/v/bin/python",
            "MASHBILL_VLLM_DEVICE": "cuda",
            "MASHBILL_VLLM_ARGS": "--max-model-len 4096 --tensor-parallel-size 2",
            "MASHBILL_VLLM_LOG": "v.log",
            "MASHBILL_VLLM_START_SECONDS": "60",
        }
    )
    assert run.arguments == ("--max-model-len", "4096", "--tensor-parallel-size", "2")
    assert (run.python, run.log, run.start_seconds) == (Path("/opt/v/bin/python"), Path("v.log"), 60.0)
    server = VllmServer(name="m", weights="org/m", revision="abc", run=run)
    assert "float32" not in server.command()
    assert "--revision abc --tokenizer-revision abc" in " ".join(server.command())
    assert VllmRun.from_env({"MASHBILL_VLLM_DEVICE": "cpu"}).concurrency == 64
    for wrong in ({"MASHBILL_VLLM_DEVICE": "tpu"}, {"MASHBILL_VLLM_ARGS": "'"}, {"MASHBILL_VLLM_START_SECONDS": "x"}):
        with pytest.raises(SettingsError, match="MASHBILL_VLLM_"):
            VllmRun.from_env(wrong)
