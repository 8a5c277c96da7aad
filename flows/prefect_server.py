"""A Prefect server for one run, which ends with the run however that ends.

Prefect's own temporary server outlives a run that is killed, and shares its process group, so that Ctrl-C ends it
before the run can report to it. This one is a process that watches a pipe from the run: when the run is gone, the pipe
closes, and so does the server. Its database lies under the run's root. A server of the user's own is used as it is.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flows.prefect_database import keep_database, lend_database
from mashbill.errors import MashbillError, PrefectDown, SettingsError

STARTUP = "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
ANSWER = 5.0
"""Seconds that a server has to answer its health check: one that needs more cannot carry a run."""
SCHEDULES = "--schedules"


def prefect_home(root: Path) -> None:
    """Say to Prefect, before it is imported, what it is to log and where its home is: under the root, unless set."""
    # The command line says in one line how a run ended; Prefect would log its traceback once a task and once a flow.
    if os.environ["PREFECT_LOGGING_LEVEL"] == "WARNING":  # what `flows` sets, unless the user does
        os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"
    home = Path.home() / ".prefect"
    if "PREFECT_HOME" not in os.environ:
        # Runs share no database; but where the user's server is, is in the user's own profiles.
        ours = (root / "prefect").resolve()
        ours.mkdir(parents=True, exist_ok=True)
        os.environ["PREFECT_HOME"] = str(ours)
        if (home / "profiles.toml").is_file():
            os.environ.setdefault("PREFECT_PROFILES_PATH", str(home / "profiles.toml"))


@contextlib.contextmanager
def prefect_server(root: Path, *, schedules: bool = False) -> Iterator[None]:
    """A server for the flows run inside; to be entered before Prefect is imported.

    The user's is asked once whether it is there. One of the run's own starts flows by itself only with `schedules`.

    Raises:
        SettingsError: when Prefect is not installed.
        PrefectDown: when nobody answers at the user's server.
        MashbillError: when the server does not start.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        _refuse_closed(url)
    prefect_home(root)
    if importlib.util.find_spec("prefect") is None:
        raise SettingsError("Prefect is not installed: `pip install 'mashbill[prefect]'`, or run without it")
    with contextlib.ExitStack() as servers:
        # Begun before Prefect is imported here: that takes seconds, and the server's start takes more.
        own = None if url else servers.enter_context(_own_server(schedules))
        from prefect.settings import Settings

        if (named := Settings().api.url) is not None:
            servers.close()  # one of the user's is named in a profile or a file of settings
            _ask_after(named)
            yield
            return
        assert own is not None
        with _served_by(own):
            yield


@contextlib.contextmanager
def _served_by(own: _OwnServer) -> Iterator[None]:
    os.environ["PREFECT_API_URL"] = own.url
    try:
        from prefect.context import refresh_global_settings_context

        # Its threads take settings from what was read when it was imported.
        refresh_global_settings_context()
        for name in ("prefect.flows", "prefect.tasks"):  # while the server starts: flows are made of them
            importlib.import_module(name)
        own.wait()
        yield
    finally:
        del os.environ["PREFECT_API_URL"]


def _refuse_closed(url: str) -> None:
    """Say it at once where nothing listens: Prefect takes seconds to be imported. Behind a proxy that says nothing."""
    if urllib.request.getproxies():
        return
    place = urllib.parse.urlsplit(url)
    port = place.port or (443 if place.scheme == "https" else 80)
    try:
        socket.create_connection((place.hostname or "", port), timeout=ANSWER).close()
    except OSError as error:
        raise _down(url, error) from error


def _down(url: str, error: Exception) -> PrefectDown:
    why = str(error).splitlines()[0] if str(error) else type(error).__name__
    return PrefectDown(
        f"{url}: no Prefect server answers there ({why}); start it (`prefect server start`), mend PREFECT_API_URL or "
        "unset it, so that there is one for this run alone, or go on without Prefect (`--or-without`): "
        "the bytes are the same"
    )


def _ask_after(url: str) -> None:
    """One health request, with the key and the certificates that Prefect is set to use."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        client = get_client(sync_client=True, httpx_settings={"timeout": ANSWER})
        error = client.api_healthcheck()
    if error is not None:
        raise _down(url, error) from error


@dataclass(frozen=True)
class _OwnServer:
    """A server's process, which says its port before it answers there."""

    process: subprocess.Popen[str]
    port: str
    home: Path
    makes_database: bool

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.port}/api"

    def wait(self) -> None:
        """Until it answers.

        Raises:
            MashbillError: when it does not in time.
        """
        # No proxy stands between us and ourselves.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        until = time.monotonic() + float(os.environ[STARTUP])
        while self.port and self.process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(urllib.error.URLError, OSError), opener.open(f"{self.url}/health", timeout=5):
                if self.makes_database:
                    keep_database(self.home)
                return
            time.sleep(0.1)
        raise MashbillError(
            f"the Prefect server of this run did not start (waited up to {os.environ[STARTUP]} s, {STARTUP}); "
            "run without --prefect, or set PREFECT_API_URL to a server of your own"
        )


@contextlib.contextmanager
def _own_server(schedules: bool) -> Iterator[_OwnServer]:
    home = Path(os.environ["PREFECT_HOME"])
    makes_database = lend_database(home)
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.prefect_server", *([SCHEDULES] if schedules else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for the run, which then reports its end to the server.
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        yield _OwnServer(process, process.stdout.readline().strip(), home, makes_database)
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serve(schedules: bool) -> None:
    """Be the server, until the pipe from the run closes; with its scheduler only where flows are to be started."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=not schedules, final=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")).run(sockets=[listening])


def _end_with_the_run() -> None:
    sys.stdin.read()
    # At once: its database is a journal that survives this, and nobody is left to ask it anything.
    os._exit(0)


if __name__ == "__main__":
    serve(SCHEDULES in sys.argv)
