"""Run one step over one stored input: the only way rows are written.

One input part gives one output part (`mashbill.step_run`), whether a generator makes its rows
(`mashbill.generator_run`) or filters and dataset steps judge them (`mashbill.judge_run`); a dataset generator makes as
many as it likes (`mashbill.dataset_generator_run`). Every record is accounted for, and the reject policy can stop the
step before anything downstream starts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from mashbill import logs
from mashbill.dataset_generator_run import DatasetGeneratorRun
from mashbill.errors import StepFailed
from mashbill.filter_stack import FilterStack, label_of
from mashbill.fingerprint import fingerprint, step_identity
from mashbill.generator_run import GeneratorRun
from mashbill.judge_run import JudgeRun
from mashbill.ledger_states import Retry, digest_of
from mashbill.runtime import FILTER_POLICY, RejectPolicy, Runtime
from mashbill.step import DatasetGenerator, Generator, Step
from mashbill.step_run import Place, StepRun
from mashbill.store import Stored


def identity_of(
    step: Step, source: Stored, engine: str, engines: Mapping[str, str], retries: Mapping[str, Retry]
) -> dict[str, Any]:
    """What decides a stored step's rows, as plain readable values."""
    steps: Sequence[Step] = step.filters if isinstance(step, FilterStack) else [step]
    identity: dict[str, Any] = {
        "steps": [plain_identity(one) for one in steps],
        "input": source.manifest.fingerprint,
        "engine": engine,
    }
    if engines:
        identity["engines"] = dict(engines)
    if retries:
        identity["retries"] = {"asks": len(retries), "digest": digest_of(retries)}
    return identity


def plain_identity(step: Step) -> dict[str, Any]:
    """A step's name, version, class and fields as plain values, for a manifest."""
    whole = {"name": step.name, "version": step.version, **step_identity(step)}
    return dict(json.loads(orjson.dumps(whole, default=_unplain)))


def _unplain(value: Any) -> Any:
    # fingerprint() has refused unstable values before this is reached, so repr is only for reading.
    return sorted(value) if isinstance(value, set | frozenset) else repr(value)


def place_of(step: Step, source: Stored, runtime: Runtime) -> Place:
    """Where a step's rows lie, with its identity and fingerprint.

    What `mashbill retry` has it ask otherwise, of the records that it reads, is part of both.

    Raises:
        FingerprintError: when a field of the step has no stable bytes.
        LedgerError: when the ledger cannot be read.
    """
    engine = runtime.asker.identity if step.asks and runtime.asker is not None else ""
    engines = _engines_of(step, runtime)
    steps: Sequence[Step] = step.filters if isinstance(step, FilterStack) else [step]
    exact = [(one.name, one.version, step_identity(one)) for one in steps]
    whole = (exact, source.manifest.fingerprint, engine)
    plain = fingerprint((*whole, engines) if engines else whole)
    asks = fingerprint((exact, engine, engines)) if engine else ""
    retries = _retries_of(step, source, runtime, asks)
    digest = fingerprint((plain, digest_of(retries))) if retries else plain
    identity = identity_of(step, source, engine, engines, retries)
    return Place(runtime.root / label_of(step) / digest, identity, digest, plain, asks, retries)


def _retries_of(step: Step, source: Stored, runtime: Runtime, asks: str) -> Mapping[str, Retry]:
    """What a step asks otherwise of what it reads: the same step may read other records elsewhere."""
    retries = runtime.asker.ledger.retries(asks) if asks and runtime.asker is not None else {}
    if not retries or not isinstance(step, Generator):
        # One over all records asks on behalf of pairs and of rows that it made itself: which, only its run tells.
        return retries
    read = {one for part in range(len(source)) for one in source.table(part, ["id"]).column("id").to_pylist()}
    return {key: one for key, one in retries.items() if one.record in read}


def _engines_of(step: Step, runtime: Runtime) -> dict[str, str]:
    """Role -> identity of the engines a step asks besides the main one."""
    roles = sorted(set(step.engines()))
    if missing := [role for role in roles if role not in runtime.askers]:
        raise StepFailed(
            f"{step.name} asks the engines {', '.join(missing)}, and the run has {', '.join(runtime.askers) or 'none'} "
            "besides the main one; name them under `engines` in the bill"
        )
    return {role: runtime.askers[role].identity for role in roles}


async def execute(step: Step, source: Stored, runtime: Runtime, policy: RejectPolicy | None = None) -> Stored:
    """The stored output of a step over a stored input; finished work is opened, unfinished work goes on.

    Raises:
        TooManyRejects: with the top reasons and where to read them.
        StepFailed: for a bug in the step, with the record's id.
        EngineError, LedgerError, StoreError, Interrupted: finished parts and paid replies stay.
    """
    where = place_of(step, source, runtime)
    makes = step.asks and not step.judges
    run = _run_for(step)(step, source, runtime, where, policy or (RejectPolicy() if makes else FILTER_POLICY))
    if Stored.finished(where.path):
        stored = Stored.open(where.path)
        run.check(stored.manifest.counts)  # the policy is no identity: it may be stricter now than when these were made
        runtime.progress.end(label_of(step), stored, reused=True)
        return stored
    token = logs.WHERE.set((label_of(step), ""))
    try:
        await run.all_parts()
        return run.finish(where.identity)
    finally:
        logs.WHERE.reset(token)


def _run_for(step: Step) -> type[StepRun]:
    if isinstance(step, Generator):
        return GeneratorRun
    return DatasetGeneratorRun if isinstance(step, DatasetGenerator) else JudgeRun
