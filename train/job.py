"""A training as a file, so that processes of their own can carry it out together.

    python -m train.job runs/students/salt-all/90ac…/job.json            one process
    torchrun --nproc-per-node 8 -m train.job …/job.json                  eight, each with these arguments
    torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d … -m train.job …/job.json

``mashbill run`` writes the file before it trains, and with ``processes`` under ``[hardware]`` starts the processes
itself (`train.processes`). The first process prints each line of the metrics as JSON. SIGTERM finishes the step,
stores it and ends with 0; started again it goes on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mashbill.disk import write_bytes
from mashbill.errors import Interrupted, MashbillError, StoreError
from train.distill_spec import Distill
from train.hardware import Hardware
from train.identity import run_identity
from train.plan_manifest import PlanManifest
from train.recipe import Lora, StudentSpec, TrainRecipe
from train.result import TrainResult
from train.run import train_student

JOB = "job.json"
Line = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Job:
    """The arguments of `train.run.train_student`."""

    plan_dir: Path
    out: Path
    student: StudentSpec
    recipe: TrainRecipe
    hardware: Hardware
    dataset: str = ""
    lora: Lora | None = None
    start: Path | None = None
    """The folder of the finished run that it goes on from."""
    distill: Distill | None = None
    columns: Mapping[str, Path] = field(default_factory=dict)

    def write(self) -> Path:
        """Write it beside what it makes."""
        path = self.out / JOB
        write_bytes(path, _ADAPTER.dump_json(self, indent=2) + b"\n")
        return path

    @staticmethod
    def read(path: Path) -> Job:
        """A job from its file.

        Raises:
            StoreError: when it cannot be read.
        """
        try:
            return _ADAPTER.validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise StoreError(f"{path}: is no job ({error}); `mashbill run` writes one before it trains") from error

    def started_from(self) -> TrainResult | None:
        """The finished run that it goes on from."""
        if self.start is None:
            return None
        found = TrainResult.read(self.start)
        if found is None:
            raise StoreError(f"{self.start}: is not finished, and {self.out} goes on from it; run the bill again")
        return found

    def finished(self) -> TrainResult | None:
        """Its result, where it is done; without torch.

        Raises:
            StoreError: when another run's stands in its place.
        """
        start = self.started_from()
        manifest = PlanManifest.read(self.plan_dir)
        after = start.fingerprint if start else ""
        run = run_identity(manifest, self.student, self.recipe, self.lora, after, self.distill)
        return TrainResult.read(self.out, run)

    def train(
        self, progress: Callable[[Line], None] | None = None, stopping: Callable[[], bool] | None = None
    ) -> TrainResult:
        """Carry it out here, alone or as one of the processes that the environment tells of."""
        return train_student(
            plan_dir=self.plan_dir,
            student=self.student,
            recipe=self.recipe,
            hardware=self.hardware,
            out=self.out,
            progress=progress,
            dataset=self.dataset,
            lora=self.lora,
            start=self.started_from(),
            stopping=stopping,
            distill=self.distill,
            columns=self.columns,
        )


_ADAPTER = TypeAdapter(Job)


def main(arguments: list[str]) -> int:
    """What ``python -m train.job FILE`` does: 0 when done or stopped, 2 for what the user can mend."""
    if len(arguments) != 1:
        print("usage: python -m train.job JOB.json", file=sys.stderr)
        return 2
    try:
        Job.read(Path(arguments[0])).train(lambda line: print(json.dumps(line), flush=True))
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
    except MashbillError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
