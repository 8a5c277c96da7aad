"""How long `mashbill --help` takes, beside `python -c "import typer"` in the same run.

    python benchmarks/startup.py

Runs take turns, so that whatever else the machine does weighs on both; the least of each is what the code costs, and
the ratio of the two is comparable between machines.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import typer": ["-c", "import typer"],
    "mashbill --help": ["-m", "flows.cli", "--help"],
}


def seconds(arguments: list[str]) -> float:
    """The wall time of one process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            taken[name].append(seconds(arguments))
    for name, times in taken.items():
        print(f"{name:16} least {min(times) * 1000:6.1f} ms   median {statistics.median(times) * 1000:6.1f} ms")
    ratio = min(taken["mashbill --help"]) / min(taken["import typer"])
    print(f"mashbill --help / import typer: {ratio:.2f}")


if __name__ == "__main__":
    main()
