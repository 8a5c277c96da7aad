"""What every runner of `benchmarks.peers` is told and answers; plain standard library, since each peer runs it in its own
environment.

A runner is called as ``RUNNER JOB.json``. The job says::

    {"url": "http://127.0.0.1:1234/v1", "requests": 1000, "flight": 50, "out": "/tmp/…", "result": "/tmp/….json"}

and the result::

    {"version": "1.5.3", "import_s": 3.1, "run_s": 6.4, "rows": [[17, "load 17; salt …"], …]}

where `run_s` begins when everything is imported and ends when the rows are on disk.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

TEXT = "The salt road ran from the flats to the upper market, and every barge paid the lock keeper in kind."
QUESTION = "What does it say?"
_LOAD = re.compile(r"load (\d+);")


def prompt_of(number: int) -> str:
    """The prompt of a number; the same for all."""
    return f"{TEXT} #{number}#\n\n{QUESTION}"


class Job:
    """One job, with the clock of the runner."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        said: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        self.url: str = said["url"]
        self.requests: int = said["requests"]
        self.flight: int = said["flight"]
        self.out = Path(said["out"])
        self.result = Path(said["result"])
        self.imported = self.began

    def ready(self) -> None:
        """Everything is imported."""
        self.imported = time.perf_counter()

    def done(self, version: str, rows: list[tuple[int, str]]) -> None:
        """The rows are on disk."""
        ended = time.perf_counter()
        found = {
            "version": version,
            "import_s": self.imported - self.began,
            "run_s": ended - self.imported,
            "rows": rows,
        }
        self.result.write_text(json.dumps(found), encoding="utf-8")


def number_in(text: object) -> int:
    """Whose reply it is; -1 where it says nothing."""
    found = _LOAD.search(str(text))
    return int(found.group(1)) if found else -1
