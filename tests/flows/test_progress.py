"""What a person sees of a run, on a terminal and in a log."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from flows.progress import RichProgress
from mashbill.counts import Counts
from mashbill.progress import Progress
from mashbill.store import Manifest, Stored
from mashbill.usage import Usage


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def stored(counts: Counts) -> Stored:
    manifest = Manifest(step="retell", kind="Document", fingerprint="0", identity={}, parts=(), counts=counts)
    return Stored(Path("x"), manifest)


def tried(read: int, rejected: int) -> Counts:
    reasons = {"truncated": rejected} if rejected else {}
    return Counts(read=read, attempts=read * 10, kept=read * 10 - rejected, rejected=reasons)


def log() -> tuple[RichProgress, io.StringIO, Clock]:
    file, clock = io.StringIO(), Clock()
    return RichProgress(Console(file=file, width=100, force_terminal=False), clock), file, clock


def live(progress: RichProgress) -> str:
    """The line under way, as text."""
    out = Console(file=io.StringIO(), width=200)
    with out.capture() as captured:
        out.print(progress._bars.get_renderable())
    return captured.get()


def terminal() -> tuple[RichProgress, Clock]:
    clock = Clock()
    return RichProgress(Console(file=io.StringIO(), width=200, force_terminal=True), clock), clock


def test_it_is_a_progress() -> None:
    progress, _, _ = log()
    watching: Progress = progress
    assert watching is progress


def test_a_log_gets_one_plain_line_for_each_finished_step() -> None:
    progress, file, clock = log()
    with progress:
        progress.begin("retell", 12, 0)
        clock.now = 134.0
        progress.advance("retell", tried(12, 3), Usage(asks=120, replayed=20, new_completion_tokens=900))
        progress.end("retell", stored(tried(12, 3)), reused=False)
    assert file.getvalue() == (
        "retell: 12 records read, 117 kept, 3 rejected (truncated 3), 20 of 120 asks replayed, 2:14\n"
    )


def test_a_step_done_before_says_so_and_a_long_line_is_not_broken() -> None:
    progress, file, _ = log()
    reasons = {f"a_rather_long_reason_{at}": 5 - at for at in range(5)}
    counts = Counts(read=1200, attempts=1200, kept=1185, rejected=reasons)
    with progress:
        progress.end("filters", stored(counts), reused=True)
    assert file.getvalue() == (
        "filters: 1,200 records read, 1,185 kept, 15 rejected (a_rather_long_reason_0 5, a_rather_long_reason_1 4, "
        "a_rather_long_reason_2 3, 2 more), done before\n"
    )


def test_the_live_line_has_done_kept_rejected_replayed_speed_and_time_left() -> None:
    progress, clock = terminal()
    with progress:
        progress.begin("retell", 12, 2)
        clock.now = 10.0
        progress.advance("retell", tried(7, 7), Usage(asks=70, replayed=20, new_completion_tokens=1000))
        line = live(progress)
    # 5 of this run's 10 records took 10 s: the 2 done before do not make it look fast.
    for wanted in ("7/12 records", "63 kept", "7 rejected 10%", "20 replayed", "100 tokens/s", "10.0 s left"):
        assert wanted in line


def test_what_earlier_steps_used_does_not_count_for_the_next() -> None:
    progress, clock = terminal()
    with progress:
        progress.begin("first", 1, 0)
        progress.advance("first", tried(1, 0), Usage(asks=9, replayed=9, new_completion_tokens=5000))
        progress.end("first", stored(tried(1, 0)), reused=False)
        progress.begin("second", 4, 0)
        clock.now = 2.0
        progress.advance("second", tried(1, 0), Usage(asks=10, replayed=9, new_completion_tokens=5200))
        line = live(progress)
    assert "first" not in line
    assert "100 tokens/s" in line
    assert "replayed" not in line


def test_training_shows_loss_and_speed_and_ends_with_one_line() -> None:
    progress, file, clock = log()
    with progress:
        for step in (1, 2, 3):
            clock.now = float(step)
            progress.training(
                {"name": "raw", "step": step, "steps": 3, "loss": 3.5 - step, "tokens_per_second": 1234.5}
            )
    assert file.getvalue() == "raw: 3 steps, loss 0.500, 1,234 tokens/s, 2.0 s\n"


def test_training_on_a_terminal_is_one_live_line() -> None:
    progress, clock = terminal()
    with progress:
        progress.training({"step": 41, "steps": 100, "loss": 3.0, "tokens_per_second": 900})
        clock.now = 1.0
        progress.training({"step": 42, "steps": 100, "loss": 2.9, "tokens_per_second": 900})
        line = live(progress)
    for wanted in ("train", "42/100 steps", "loss 2.900", "900 tokens/s", "29.0 s left"):
        assert wanted in line
