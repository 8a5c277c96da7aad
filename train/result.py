"""What a finished training run is, as `result.json` keeps it; written last, read without torch.

::

    {"run": {"plan": "0b26…", "student": "77aa…", "recipe": "1f0c…"}, "student": "smollm2-135m-instruct", "steps": 98,
     "tokens": 100352, "first_loss": 3.91, "final_loss": 2.87, "tokens_per_second": 118200.0, "mfu": 0.31, …}
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from mashbill.disk import write_json
from mashbill.errors import StoreError
from train.identity import differing

RESULT = "result.json"
MODEL, ADAPTER, CHECKPOINTS, METRICS = "model", "adapter", "checkpoints", "metrics.jsonl"


class StepTimes(BaseModel):
    """How long steps took, in seconds: a high 95th percentile over the median is jitter, of the machine or the data."""

    model_config = ConfigDict(frozen=True)

    median: float
    p95: float
    longest: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> StepTimes:
        """Of the seconds of each step; the first one, which warms up, is left out where there are more.

        >>> StepTimes.of([9.0, 1.0, 1.0, 3.0])
        StepTimes(median=1.0, p95=3.0, longest=3.0)
        """
        ordered = sorted(seconds[1:] or seconds)
        at = math.ceil(0.95 * len(ordered)) - 1
        return cls(median=statistics.median(ordered), p95=ordered[at], longest=ordered[-1])


class TrainResult(BaseModel):
    """The outcome of a run."""

    model_config = ConfigDict(frozen=True)

    run: dict[str, str]
    """What was run: the hashes of plan, student and recipe, and of LoRA's settings where there are any."""
    fingerprint: str
    """All of `run` in one."""
    student: str
    parameters: int
    """Of the student; what LoRA adds to train it is not counted."""
    trained: int | None = None
    """Weights that were trained, where that is not all of them; else None, and not written."""
    steps: int
    tokens: int
    first_loss: float
    final_loss: float
    """The mean of the last ten steps, or of all where there are fewer: one step's loss is mostly its rows' luck."""
    tokens_per_second: float
    """The median over steps."""
    mfu: float | None
    step_seconds: StepTimes | None = None
    peak_memory_gb: float | None = None
    """Of the first process; on a CPU of all it held, on a GPU of its tensors."""
    stream_loss: dict[str, float] = Field(default_factory=dict)
    """The loss of each source, over the same steps as the final loss; of those that had rows in them."""
    stream_accuracy: dict[str, float] = Field(default_factory=dict)
    """The same of the share of learned tokens that were the student's likeliest."""
    out: Path
    """Where it lies; not part of the file."""

    @model_serializer(mode="wrap")
    def _without_what_it_is_not(self, whole: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {name: value for name, value in whole(self).items() if name != "trained" or value is not None}

    @property
    def model_dir(self) -> Path:
        """The trained student, a Hugging Face checkpoint; with LoRA its updates are merged into it."""
        return self.out / MODEL

    @property
    def adapter_dir(self) -> Path:
        """With LoRA: the updates alone, as PEFT reads them."""
        return self.out / ADAPTER

    @property
    def metrics(self) -> Path:
        """One JSON line per step."""
        return self.out / METRICS

    def write(self) -> None:
        """Write `result.json`: from now on the run is finished."""
        write_json(self.out / RESULT, self.model_dump(mode="json", exclude={"out"}))

    @classmethod
    def read(cls, out: Path, run: dict[str, str] | None = None) -> TrainResult | None:
        """The result in a directory, None where the run is not finished.

        Raises:
            StoreError: when it is another run's than `run`.
        """
        file = out / RESULT
        if not file.is_file():
            return None
        try:
            found = cls.model_validate({**_json(file), "out": out})
        except ValidationError as error:
            raise StoreError(f"{file}: is not a result this version can read: {error}") from error
        if run is not None and (other := differing(run, found.run)):
            raise StoreError(
                f"{out}: holds a finished run whose {' and '.join(other)} differ from what is asked; "
                "give another output directory, or remove that one"
            )
        return found


def _json(file: Path) -> dict[str, object]:
    import json

    try:
        return dict(json.loads(file.read_bytes()))
    except (ValueError, TypeError) as error:
        raise StoreError(f"{file}: is not JSON ({error}); remove {file.parent} and train again") from error
