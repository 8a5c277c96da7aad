"""A training run in processes of its own, one or several, as torchrun starts them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

CHILD = """
import sys, time
from pathlib import Path
import torch
from mashbill.errors import Interrupted
from train.hardware import Hardware
from train.recipe import Lora, Scratch, StudentSpec, TrainRecipe
from train.run import train_student
torch.set_num_threads(1)
plan, out, stop_at, dies, every, ema = sys.argv[1:7]
seen = 0
def progress(line):
    global seen
    seen = line["step"]
    print(seen, flush=True)
    if seen == int(dies):
        raise SystemExit(9)
try:
    train_student(
        plan_dir=Path(plan), out=Path(out), progress=progress, stopping=lambda: 0 < int(stop_at) == seen,
        student=StudentSpec(scratch=Scratch(layers=2, width=32, heads=4, kv_heads=2, mlp_width=64)),
        recipe=TrainRecipe(learning_rate=3e-3, ema=float(ema)),
        hardware=Hardware(device="cpu", checkpoint_every=int(every), micro_batch=3),
    )
except Interrupted as stopped:
    print(stopped, flush=True)
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def command(
    plan_dir: Path, out: Path, *, stop_at: int = 0, dies: int = 0, every: int = 3, ema: float = 0.0
) -> list[str]:
    return [sys.executable, "-c", CHILD, *map(str, (plan_dir, out, stop_at, dies, every, ema))]


def run_processes(size: int, line: list[str], *, code: int = 0) -> str:
    """Run under `size` gloo processes; what the first one printed."""
    common = {
        **os.environ, "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    children = [
        subprocess.Popen(
            line, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        for rank in range(size)
    ]  # fmt: skip
    try:
        said = ""
        for rank, child in enumerate(children):
            printed, errors = child.communicate(timeout=400)
            assert child.returncode == code, errors
            said = said or (printed if rank == 0 else "")
        return said
    finally:
        for child in children:
            child.kill()
            child.communicate()


def terminated_after(line: list[str], step: int) -> str:
    """Run alone and send SIGTERM once a step is done; what it printed, having ended well."""
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        printed = []
        for said in child.stdout:
            printed.append(said)
            if said.strip() == str(step):
                child.send_signal(signal.SIGTERM)
        assert child.stderr is not None
        errors = child.stderr.read()
    assert child.returncode == 0, errors
    return "".join(printed)


def forget(out: Path, step: int) -> None:
    """Remove a finished run's result and its last checkpoint, so that it goes on from the one before."""
    (out / "result.json").unlink()
    entry = out / "checkpoints" / f"step-{step:08d}"
    shutil.rmtree(entry) if entry.is_dir() else entry.with_suffix(".pt").unlink()
