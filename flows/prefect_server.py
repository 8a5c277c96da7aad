"""A Prefect server for one run, which ends with the run however that ends.

Prefect's own temporary server outlives a run that is killed, and shares its process group, so that Ctrl-C ends it
before the run can report to it. This one is a process that watches a pipe from the run: when the run is gone, the pipe
closes, and so does the server. Its database lies under the run's root. A server of the user's own is used as it is.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from mashbill.errors import MashbillError, SettingsError

STARTUP = "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"


@contextlib.contextmanager
def prefect_server(root: Path) -> Iterator[None]:
    """A server for the flows run inside; to be entered before Prefect is imported.

    Raises:
        SettingsError: when Prefect is not installed.
        MashbillError: when the server does not start.
    """
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
    try:
        from prefect.settings import Settings
    except ImportError as error:
        raise SettingsError("Prefect is not installed: `pip install 'mashbill[prefect]'`, or run without it") from error
    if Settings().api.url is not None:
        yield
        return
    with _own_server() as url:
        os.environ["PREFECT_API_URL"] = url
        from prefect.context import refresh_global_settings_context

        # Its threads take settings from what was read when it was imported.
        refresh_global_settings_context()
        try:
            yield
        finally:
            del os.environ["PREFECT_API_URL"]


@contextlib.contextmanager
def _own_server() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.prefect_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for the run, which then reports its end to the server.
        start_new_session=True,
    )
    try:
        yield _answering(process)
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answering(process: subprocess.Popen[str]) -> str:
    """Where the server is, once it answers."""
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    url = f"http://127.0.0.1:{port}/api"
    # No proxy stands between us and ourselves.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + float(os.environ[STARTUP])
    while port and process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(urllib.error.URLError, OSError), opener.open(f"{url}/health", timeout=5):
            return url
        time.sleep(0.1)
    raise MashbillError(
        f"the Prefect server of this run did not start (waited up to {os.environ[STARTUP]} s, {STARTUP}); "
        "run without --prefect, or set PREFECT_API_URL to a server of your own"
    )


def serve() -> None:
    """Be the server, until the pipe from the run closes."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=True, final=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")).run(sockets=[listening])


def _end_with_the_run() -> None:
    sys.stdin.read()
    # At once: its database is a journal that survives this, and nobody is left to ask it anything.
    os._exit(0)


if __name__ == "__main__":
    serve()
