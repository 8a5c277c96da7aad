"""Letting a bank of worked examples learn from finished steps and releases.

A bank of 40 examples, the step `teacher_rationale` and the filter after it that kept 9 rows -> a bank of 49 with the
counts of the 40 raised, and a line that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.stored import Thing
from mashbill.errors import StoreError
from mashbill.exemplars import counted, grown, read_bank, steps_counted, write_bank
from mashbill.records import Rationale, from_table, schema_of
from mashbill.release_manifest import ReleaseManifest, opened_shard
from mashbill.store import Stored
from synth.rationale_bank import exemplars_of


def grow_bank(path: Path, things: Sequence[Thing], most: int | None) -> str:
    """Raise the counts by each step that was not counted before, take in the last thing's rows, and store the bank.

    Raises:
        StoreError: when one of them is unfinished, or the last holds no rationales.
        InputError: when there is a file that is no bank.
    """
    bank = read_bank(path) if path.exists() else []
    done = set(steps_counted(path)) if path.exists() else set()
    before = len(bank)
    steps = [Stored.open(one.path) for one in things if one.sort == "step"]
    # What was never counted is counted once; what enters now was shown to nobody yet.
    fresh = [one for one in steps if one.manifest.fingerprint not in done]
    for one in fresh:
        bank = counted(bank, one)
    accepted = exemplars_of(_rationales(things[-1]))
    bank = grown(bank, accepted, most)
    write_bank(path, bank, done | {one.manifest.fingerprint for one in steps})
    seen = f", {len(steps) - len(fresh)} counted before" if len(steps) > len(fresh) else ""
    return (
        f"{path}: {len(bank):,} examples, {sum(one.human for one in bank):,} by people; {before:,} before, "
        f"{len(accepted):,} offered, {len(fresh):,} steps counted{seen}"
    )


def _rationales(thing: Thing) -> list[Rationale]:
    if thing.sort == "step":
        stored = Stored.open(thing.path)
        _must_be_rationales(thing, stored.kind.__name__)
        return [row for table in stored for row in from_table(table, Rationale)]
    manifest = ReleaseManifest.read(thing.path)
    _must_be_rationales(thing, manifest.kind)
    # Of the training split alone: an example is seen in training, and what tests must not be.
    shards = manifest.splits["train"].shards if "train" in manifest.splits else ()
    rows: list[Rationale] = []
    for shard in shards:
        with opened_shard(thing.path, shard) as file:
            rows += from_table(file.read(columns=schema_of(Rationale).names), Rationale)
    return rows


def _must_be_rationales(thing: Thing, kind: str) -> None:
    if kind != Rationale.__name__:
        raise StoreError(
            f"{thing} holds {kind}, and examples are made of Rationale; name a step or release of those last"
        )
