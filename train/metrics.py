"""One line of JSON per optimiser step, and none twice.

::

    {"step": 41, "loss": 3.217, "lr": 9.8e-05, "tokens": 2752512, "stream_loss": {"made": 3.31, "replay": 2.94},
     "domain_loss": {"Veylund": 3.3}, "stream_accuracy": {"made": 0.38, "replay": 0.41}, "grad_norm": 1.4,
     "tokens_per_second": 118200.0, "mfu": 0.31, "peak_tflops": 989.0, "peak_memory_gb": 21.4, "seconds": 0.55}

`step` counts steps done and `tokens` all tokens so far. The first line has `mfu_formula`. A supervised run whose
examples have two views has the loss of each as `view_loss`; one whose objective has parts has theirs as `part_loss`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Self


class MetricsFile:
    """The metrics of a run; opened after a crash it drops the lines past the checkpoint."""

    def __init__(self, path: Path, *, steps_done: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in _lines(path) if _step(line) <= steps_done] if steps_done else []
        aside = path.with_suffix(".tmp")
        aside.write_text("".join(kept), encoding="utf-8")
        aside.replace(path)
        self._file: IO[str] = path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def write(self, line: Mapping[str, object]) -> None:
        """Add one step."""
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=True) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """On disk before the checkpoint is, so that no checkpoint is ahead of its metrics."""
        os.fsync(self._file.fileno())


def read_metrics(path: Path) -> list[dict[str, object]]:
    """All whole lines of a metrics file."""
    return [json.loads(line) for line in _lines(path)]


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    # A line without its end was being written when the run was killed.
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


def _step(line: str) -> int:
    return int(json.loads(line)["step"])
