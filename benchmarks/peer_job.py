"""What every runner of `benchmarks.peers` is told, and what it answers.

Plain standard library: each peer runs it in an environment of its own.

A runner is called as ``RUNNER JOB.json``. The job says::

    {"url": "http://127.0.0.1:1234/v1", "requests": 1000, "warm": 10, "flight": 50, "out": "/tmp/…",
     "result": "/tmp/….json"}

and the result::

    {"version": "1.5.3", "ready_s": 3.1, "run_s": 6.4, "cpu_s": 5.9, "rejected": {"truncated": 16},
     "retried": 16, "rows": [[17, "load 17; salt …"], …]}

where `run_s` begins when everything is imported and a first run of `warm` prompts is over (most load half of what they
need only then), and ends when the rows are on disk.
"""

from __future__ import annotations

import json
import os
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
        self.warm: int = said["warm"]
        self.flight: int = said["flight"]
        self.out = Path(said["out"])
        self.result = Path(said["result"])
        self.began_run = self.ended = self.began
        self.used_run = self.used = 0.0

    def ready(self) -> None:
        """Everything is imported, and the first run is over."""
        self.began_run, self.used_run = time.perf_counter(), processor_seconds()

    def over(self) -> None:
        """The rows are on disk."""
        self.ended, self.used = time.perf_counter(), processor_seconds()

    def done(
        self, version: str, rows: list[tuple[int, str]], rejected: dict[str, int] | None = None, retried: int = 0
    ) -> None:
        """Tell what there is."""
        found = {
            "version": version,
            "ready_s": self.began_run - self.began,
            "run_s": self.ended - self.began_run,
            "cpu_s": self.used - self.used_run,
            "rows": rows,
            "rejected": rejected or {},
            "retried": retried,
        }
        self.result.write_text(json.dumps(found), encoding="utf-8")


def processor_seconds() -> float:
    """Of this process and of those it has waited for."""
    return sum(os.times()[:4])


def number_in(text: object) -> int:
    """Whose reply it is; -1 where it says nothing."""
    found = _LOAD.search(str(text))
    return int(found.group(1)) if found else -1
