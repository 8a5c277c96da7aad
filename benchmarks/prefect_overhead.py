"""What Prefect adds to a run: a fixed cost, and one for each task.

The same bills, each run with and without ``--prefect`` in a process of its own, in turn, against an instant server::

    small      one stream of a generator
    wide       `--streams` such streams: the difference in tasks gives the cost of one
    long       one stream whose server takes its time, so that the run lasts `--seconds`: the cost is measured in it,
               and not only reckoned

A run of ten minutes with as many tasks as `wide` then spends (fixed + tasks x each) of its 600 seconds on Prefect. Each
run has a root of its own, so Prefect's database is new too, as in the first run of a bill. Processor seconds, of all
processes together, are told beside: they hardly depend on what else the machine does.

    .venv/bin/python -m benchmarks.prefect_overhead --streams 20 --seconds 60 --json runs/prefect.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peer_server import instant_server

TEN_MINUTES = 600.0
TARGET = 0.03
BILL = """
name: overhead
steps: [{steps}]
sources: {{prompts: {{read_documents: {{path: prompts.jsonl}}}}}}
engine: {{openai: {{model: instant}}}}
streams:
"""
STREAM = "  s{number}: {{from: prompts, generate: {{say: {{sampling: {{max_tokens: {tokens}}}}}}}}}\n"


@dataclass(frozen=True)
class Shape:
    """A bill's size."""

    streams: int
    documents: int
    latency: float = 0.0
    """Seconds until the server answers."""

    @property
    def tasks(self) -> int:
        """Prefect tasks: the source, each step, the release."""
        return 2 + self.streams


def bill_in(folder: Path, shape: Shape) -> Path:
    """Such a bill with its prompts."""
    lines = (json.dumps({"text": f"The salt road, mile #{number}#"}) for number in range(shape.documents))
    (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = BILL.format(steps=Path(__file__).parent / "peer_steps")
    # Another limit in each stream: the same requests would come out of the ledger, and nothing would be measured.
    text += "".join(STREAM.format(number=number, tokens=512 + number) for number in range(shape.streams))
    (folder / "bill.yaml").write_text(text, encoding="utf-8")
    return folder / "bill.yaml"


def seconds(shape: Shape, *, prefect: bool) -> tuple[float, float]:
    """Wall and processor seconds of one run."""
    folder = Path(tempfile.mkdtemp(prefix="overhead-", dir=os.environ.get("MASHBILL_BENCH_DIR")))
    flag = ["--prefect"] if prefect else []
    try:
        with instant_server(latency=shape.latency) as url:
            command = [sys.executable, "-m", "flows.cli", "run", "-q", str(bill_in(folder, shape)), *flag]
            command += ["--root", str(folder / "runs")]
            env = os.environ | {"MASHBILL_ENGINE_URL": url, "MASHBILL_ENGINE_CONCURRENCY": "16"}
            began, used = time.perf_counter(), os.times()
            subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE)
            took, then = time.perf_counter() - began, os.times()
        return took, then.children_user - used.children_user + then.children_system - used.children_system
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(shapes: dict[str, Shape], rounds: int) -> dict[str, dict[str, float]]:
    """The least of some rounds, with and without in turn: what else the machine does only ever adds."""
    found: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for name, shape in shapes.items():
            one = found.setdefault(name, {"tasks": shape.tasks})
            for prefect in (False, True):
                took, used = seconds(shape, prefect=prefect)
                key = "prefect" if prefect else "plain"
                one[f"{key}_s"] = min(took, one.get(f"{key}_s", took))
                one[f"{key}_cpu_s"] = min(used, one.get(f"{key}_cpu_s", used))
                print(f"  {name:6} {key:8} {took:7.1f} s wall {used:7.1f} s cpu", file=sys.stderr, flush=True)
            one["added_s"] = one["prefect_s"] - one["plain_s"]
            one["added_cpu_s"] = one["prefect_cpu_s"] - one["plain_cpu_s"]
    return found


def reckoned(found: dict[str, dict[str, float]]) -> dict[str, float]:
    """Fixed cost, cost of a task, and their share of ten minutes with as many tasks as the widest bill."""
    small, wide = found["small"], found["wide"]
    each = max(0.0, (wide["added_s"] - small["added_s"]) / (wide["tasks"] - small["tasks"]))
    fixed = small["added_s"] - each * small["tasks"]
    return {"fixed_s": fixed, "task_s": each, "share": (fixed + each * wide["tasks"]) / TEN_MINUTES}


def render(found: dict[str, dict[str, float]], sum_: dict[str, float]) -> str:
    lines = [f"{'':6} {'tasks':>6} {'plain s':>9} {'prefect s':>10} {'added s':>9} {'added cpu s':>12}"]
    for name, one in found.items():
        figures = f"{one['plain_s']:9.1f} {one['prefect_s']:10.1f} {one['added_s']:9.1f} {one['added_cpu_s']:12.1f}"
        lines.append(f"{name:6} {one['tasks']:6.0f} {figures}")
    tasks = found["wide"]["tasks"]
    lines.append(
        f"fixed {sum_['fixed_s']:.1f} s + {tasks:.0f} tasks x {sum_['task_s'] * 1000:.0f} ms = "
        f"{sum_['share'] * TEN_MINUTES:.1f} s, {sum_['share']:.1%} of ten minutes (wanted: at most {TARGET:.0%})"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the long run lasts; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    options = parser.parse_args()
    shapes = {"small": Shape(1, 20), "wide": Shape(options.streams, 20)}
    if options.seconds:
        # 16 in flight: so many answers, one second each, last as long as is wanted.
        shapes["long"] = Shape(1, int(16 * options.seconds), latency=1.0)
    found = measure(shapes, options.rounds)
    sums = reckoned(found)
    print(render(found, sums))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        whole: dict[str, Any] = {"bills": found, **sums, "load": os.getloadavg(), "cores": os.cpu_count()}
        options.json.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
