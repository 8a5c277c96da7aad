"""Run one step over one stored input: the only way rows are written.

One input part gives one output part (`mashbill.step_run`), whether a generator makes its rows
(`mashbill.generator_run`) or filters and dataset steps judge them (`mashbill.judge_run`). Every record is accounted
for, and the reject policy can stop the step before anything downstream starts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from mashbill.filter_stack import FilterStack, label_of
from mashbill.fingerprint import fingerprint, step_identity
from mashbill.generator_run import GeneratorRun
from mashbill.judge_run import JudgeRun
from mashbill.runtime import FILTER_POLICY, RejectPolicy, Runtime
from mashbill.step import Generator, Step
from mashbill.store import Stored


def identity_of(step: Step, source: Stored, engine: str) -> dict[str, Any]:
    """What decides a stored step's rows, as plain readable values."""
    steps: Sequence[Step] = step.filters if isinstance(step, FilterStack) else [step]
    return {
        "steps": [plain_identity(one) for one in steps],
        "input": source.manifest.fingerprint,
        "engine": engine,
    }


def plain_identity(step: Step) -> dict[str, Any]:
    """A step's name, version, class and fields as plain values, for a manifest."""
    whole = {"name": step.name, "version": step.version, **step_identity(step)}
    return dict(json.loads(orjson.dumps(whole, default=_unplain)))


def _unplain(value: Any) -> Any:
    # fingerprint() has refused unstable values before this is reached, so repr is only for reading.
    return sorted(value) if isinstance(value, set | frozenset) else repr(value)


def place_of(step: Step, source: Stored, runtime: Runtime) -> tuple[Path, dict[str, Any], str]:
    """Where a step's rows lie, with its identity and fingerprint.

    Raises:
        FingerprintError: when a field of the step has no stable bytes.
    """
    asks = isinstance(step, Generator) and runtime.asker is not None
    engine = runtime.asker.engine.identity if asks and runtime.asker is not None else ""
    steps: Sequence[Step] = step.filters if isinstance(step, FilterStack) else [step]
    exact = [(one.name, one.version, step_identity(one)) for one in steps]
    digest = fingerprint((exact, source.manifest.fingerprint, engine))
    return runtime.root / label_of(step) / digest, identity_of(step, source, engine), digest


async def execute(step: Step, source: Stored, runtime: Runtime, policy: RejectPolicy | None = None) -> Stored:
    """The stored output of a step over a stored input; finished work is opened, unfinished work goes on.

    Raises:
        TooManyRejects: with the top reasons and where to read them.
        StepFailed: for a bug in the step, with the record's id.
        EngineError, LedgerError, StoreError, Interrupted: finished parts and paid replies stay.
    """
    place, identity, digest = place_of(step, source, runtime)
    asks = isinstance(step, Generator)
    kind = GeneratorRun if asks else JudgeRun
    run = kind(step, source, runtime, place, digest, policy or (RejectPolicy() if asks else FILTER_POLICY))
    if Stored.finished(place):
        stored = Stored.open(place)
        run.check(stored.manifest.counts)  # the policy is no identity: it may be stricter now than when these were made
        runtime.progress.end(label_of(step), stored, reused=True)
        return stored
    await run.all_parts()
    return run.finish(identity)
