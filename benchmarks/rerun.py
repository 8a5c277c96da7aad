"""What a run costs that finds everything done: its wall time beside that of its imports alone.

A tiny bill is run once (scripted teacher, two students of a few thousand weights), then again and again, each time in a
fresh process, in turns with a process that only imports the modules the repeat had imported. The repeat must ask
nothing, and take less than two seconds more than the imports.

    .venv/bin/python -m benchmarks.rerun --rounds 5 --json runs/rerun.json
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mashbill.disk import write_json
from tests.flows.fake_kitchen import Project, project

BOUND = 2.0
"""Seconds a repeat may take beyond its imports."""

RUN = """
import sys
from flows.cli import app
try:
    app(["run", "tiny.yaml", "--quiet"], standalone_mode=False)
finally:
    if sys.argv[1:]:
        with open(sys.argv[1], "w") as file:
            file.write("\\n".join(name for name in sys.modules if not name.startswith(("__main__", "mashbill_steps"))))
"""
IMPORTS = """
import contextlib, importlib, sys
with open(sys.argv[1]) as file:
    names = file.read().split()
for name in names:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
"""


def seconds(run: Project, code: str, *arguments: str) -> float:
    """The wall time of one fresh process in the project's folder."""
    began = time.perf_counter()
    command = [sys.executable, "-c", code, *arguments]
    subprocess.run(command, cwd=run.folder, env=run.environment(), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    """Run once, then repeat in turns with the imports."""
    run, modules = project(folder), str(folder / "modules.txt")
    first = seconds(run, RUN)
    asked, started = len(run.paid()), run.engine_starts()
    seconds(run, RUN, modules)
    seconds(run, IMPORTS, modules)
    repeats, imports = [], []
    for _ in range(rounds):
        repeats.append(seconds(run, RUN))
        imports.append(seconds(run, IMPORTS, modules))
    # The least of each is what the code costs: whatever else the machine does only adds.
    repeat, importing = min(repeats), min(imports)
    names = Path(modules).read_text(encoding="utf-8").split()
    return {
        "rounds": rounds,
        "first_run_seconds": first,
        "first_run_asks": asked,
        "repeat_seconds": repeat,
        "repeat_seconds_all": repeats,
        "imports_seconds": importing,
        "imports_seconds_all": imports,
        "modules": len(names),
        "torch_imported": "torch" in names,
        "beyond_imports_seconds": repeat - importing,
        "bound_seconds": BOUND,
        "asks_of_repeats": len(run.paid()) - asked,
        "engine_starts_of_repeats": run.engine_starts() - started,
    }


def main() -> int:
    """Measure and print; 1 when a repeat asks, or takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.rounds)
    for name, value in found.items():
        if not name.endswith("_all"):
            shown = f"{value:.2f}" if isinstance(value, float) else str(value)
            print(f"{name.replace('_', ' '):28} {shown:>8}")
    if options.json is not None:
        write_json(options.json, found)
    held = found["beyond_imports_seconds"] < BOUND and not found["asks_of_repeats"] and not found["torch_imported"]
    print("held" if held else "NOT held")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
