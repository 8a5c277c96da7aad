"""A vLLM server of our own: started in its environment, bound to loopback, behind a random key, stopped with the run.

How it runs (`VllmRun`) is not identity. The server's own sampling defaults are switched off (``--generation-config
vllm``): without that, a model's ``generation_config.json`` would change top-k or the repetition penalty unseen.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import aiohttp

from mashbill.embedded import cache_dir
from mashbill.engine_env import engine_environ
from mashbill.errors import EngineDown, SettingsError
from synth.engines.openai_run import Secret

KEEPER = Path(__file__).with_name("vllm_keeper.py")
STOP_SECONDS = 30.0
TAIL_LINES = 15

CPU_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # oneDNN picks AMX tiles where the processor claims them, and dies where the virtual machine does not pass them on.
    "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI",
}
CPU_ARGUMENTS = ("--dtype", "float32", "--enforce-eager")


@dataclass(frozen=True, kw_only=True)
class VllmRun:
    """How the managed server runs: none of it is identity."""

    python: Path = Path(".venv-vllm/bin/python")
    """The interpreter of the environment that `make vllm` builds."""
    device: Literal["cpu", "cuda"] = "cuda"
    arguments: tuple[str, ...] = ()
    """More arguments for the server: ``("--max-model-len", "4096", "--tensor-parallel-size", "2")``."""
    log: Path | None = None
    """Where the server's output goes; None for a file in the cache directory."""
    start_seconds: float = 900.0
    """Until it must be ready: large weights over a network take minutes."""
    restarts: int = 1
    """How often a server that died is started again; one that dies twice has a reason."""
    concurrency: int = 256
    timeout: float = 3600.0

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> VllmRun:
        """Read MASHBILL_VLLM_PYTHON, _DEVICE, _ARGS, _LOG and _START_SECONDS.

        Raises:
            SettingsError: for a variable that cannot be read.
        """
        env = engine_environ(environ)
        device = env.get("MASHBILL_VLLM_DEVICE") or ("cuda" if shutil.which("nvidia-smi") else "cpu")
        if device not in ("cpu", "cuda"):
            raise SettingsError(f"MASHBILL_VLLM_DEVICE is {device!r}, wanted cpu or cuda; mend or unset it")
        try:
            seconds = float(env.get("MASHBILL_VLLM_START_SECONDS") or cls.start_seconds)
            arguments = tuple(shlex.split(env.get("MASHBILL_VLLM_ARGS", "")))
        except ValueError as error:
            raise SettingsError(f"MASHBILL_VLLM_START_SECONDS or MASHBILL_VLLM_ARGS: {error}; mend or unset") from None
        log = env.get("MASHBILL_VLLM_LOG")
        return cls(
            python=Path(env.get("MASHBILL_VLLM_PYTHON") or cls.python),
            device="cpu" if device == "cpu" else "cuda",
            arguments=arguments,
            log=Path(log) if log else None,
            start_seconds=seconds,
            # A CPU computes few sequences at once; more only wait inside the server.
            concurrency=64 if device == "cpu" else cls.concurrency,
        )


@dataclass(kw_only=True)
class VllmServer:
    """One server process."""

    name: str
    """What it calls the model, in requests and errors: never the path."""
    weights: str
    """A directory or a hub name."""
    run: VllmRun
    revision: str = ""
    """For a hub name: the commit."""
    key: Secret = field(default_factory=lambda: Secret(secrets.token_urlsafe(24)))
    port: int = 0
    log: Path = Path()
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            SettingsError: when the environment is absent.
            EngineDown: when it ends or is not ready in time, with the end of its log.
        """
        if not self.run.python.is_file():
            raise SettingsError(
                f"{self.run.python} is not there: the vllm engine runs in an environment of its own; build it with "
                "`make vllm`, or set MASHBILL_VLLM_PYTHON to the interpreter that has vllm, or use the openai engine "
                "with a server you start yourself"
            )
        self.port = _free_port()
        self.log = self.run.log or cache_dir() / "logs" / f"vllm-{os.getpid()}-{self.port}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = self._launch(log)
        try:
            await self._until_ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the whole process group; safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()  # what the keeper waits for
        try:
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    def tail(self) -> str:
        """The end of its log, for a message."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
            return "\n".join(lines).replace(self.key.reveal(), "***")
        return "(no log)"

    def command(self) -> list[str]:
        """The server's command line; the key is not on it, since anyone may read those."""
        return [
            str(self.run.python),
            *("-m", "vllm.entrypoints.openai.api_server"),
            *("--model", self.weights, "--served-model-name", self.name),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--generation-config", "vllm", "--max-logprobs", "-1", "--seed", "0"),
            *(("--revision", self.revision, "--tokenizer-revision", self.revision) if self.revision else ()),
            *(CPU_ARGUMENTS if self.run.device == "cpu" else ()),
            *self.run.arguments,
        ]

    def environment(self) -> dict[str, str]:
        """Ours without other keys, with its own key, and with nothing phoned home."""
        kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
            kept.pop(name, None)
        quiet = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        offline = {"HF_HUB_OFFLINE": "1"} if Path(self.weights).is_dir() else {}
        # The user's own values of the CPU settings win.
        cpu = {} if self.run.device == "cuda" else CPU_ENVIRONMENT
        return cpu | kept | quiet | offline | {"VLLM_API_KEY": self.key.reveal()}

    def _launch(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", str(KEEPER), *self.command()],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self.environment(),
            # Ctrl-C is for the run, which then finishes what is in flight; the server must live until it is done.
            start_new_session=True,
        )

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + self.run.start_seconds
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while time.monotonic() < deadline:
                if not self.alive:
                    raise EngineDown(f"the vLLM server for {self.name} ended while it started; {self._see_log()}")
                if await self._answers(session):
                    return
                await asyncio.sleep(0.25)
        raise EngineDown(
            f"the vLLM server for {self.name} was not ready in {self.run.start_seconds:g} s; raise "
            f"MASHBILL_VLLM_START_SECONDS if it only needs longer; {self._see_log()}"
        )

    async def _answers(self, session: aiohttp.ClientSession) -> bool:
        # With the key: a stranger's server that took the port between our look and vLLM's bind would refuse it.
        headers = {"Authorization": f"Bearer {self.key.reveal()}"}
        try:
            async with session.get(f"{self.url}/models", headers=headers) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _see_log(self) -> str:
        return f"its log is {self.log} and ends:\n{self.tail()}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
