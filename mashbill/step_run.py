"""One execution of one step: its parts, their accounting, and the manifest at the end."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.counts import Counts
from mashbill.disk import file_digest, write_json, write_parquet
from mashbill.errors import MashbillError, StepFailed, StoreError, TooManyRejects
from mashbill.filter_stack import FilterStack, label_of
from mashbill.ledger_states import Retry
from mashbill.partial import ASIDE, lacking_in, partial_digest, partial_identity, partial_sentence, share_parts
from mashbill.records import Record
from mashbill.runtime import NO_FAULT, UNANSWERED, RejectPolicy, Runtime
from mashbill.step import Filter, PartOutput, Step
from mashbill.store import Manifest, PartEntry, Stored, part_name

_COUNTS_KEY = "mashbill.counts"


def counts_in(part: Path) -> Counts:
    """The accounting that a part carries.

    Raises:
        OSError, pa.ArrowInvalid, KeyError, ValueError: when it cannot be read, or is no part of a step.
    """
    return Counts.model_validate_json((pq.read_schema(part).metadata or {})[_COUNTS_KEY.encode()])


class Place(NamedTuple):
    """Where a step's rows lie, and what that comes from."""

    path: Path
    identity: dict[str, Any]
    fingerprint: str
    plain: str
    """The fingerprint that it would have without retries."""
    asks: str
    """What its retries are found by: the step and its engines, whatever it reads; empty where it asks nobody."""
    retries: Mapping[str, Retry]
    """By the key of a request of the step, what is asked instead; those alone of records that it reads."""


class StepRun:
    """What is done so far and how to write the rest; a subclass says how the rows of a part are made."""

    by_parts: ClassVar[bool] = True
    """Whether an output part comes from the input part of its number alone, so that a later run can take it over."""

    def __init__(self, step: Step, source: Stored, runtime: Runtime, where: Place, policy: RejectPolicy) -> None:
        self.step, self.source, self.runtime, self.policy = step, source, runtime, policy
        self.place, self.digest = where.path, where.fingerprint
        self.retries = where.retries
        self.plain = where.plain
        self.kind = source.kind if isinstance(step, FilterStack | Filter) else step.writes
        if self.kind is Record:
            self.kind = source.kind
        self.counts = Counts()
        self.parts: dict[int, PartEntry] = {}
        self.ranks = itertools.count()
        """Of records, in the order in which they are begun."""
        self.lacking: dict[int, Counter[str]] = {}
        """Parts in which records were not answered in this run: state -> records."""

    async def all_parts(self) -> None:
        """Do every part that is not done."""
        for index in range(len(self.source)):
            self.reuse(index)
        self.runtime.progress.begin(label_of(self.step), self.source.manifest.counts.kept, self.counts.read)
        await self.rest()

    def ask_for(self, asker: Asker, record_id: str, owner: str = "") -> Ask:
        """What a step asks with, on behalf of a record; `owner` is one that it reads, whatever is asked for it."""
        return Ask(
            asker,
            record_id,
            self.step.name,
            self.digest,
            askers=self.runtime.askers,
            owner=owner,
            retries=self.retries,
        )

    async def rest(self) -> None:
        """Do the parts that are not in `parts`."""
        raise TypeError(f"{type(self).__name__} does not say how its parts are made")

    def reuse(self, index: int) -> None:
        """Take a part that an earlier run finished."""
        kept, rejects = self.paths(index)
        if not (kept.is_file() and rejects.is_file()):
            return
        try:
            counts = counts_in(kept)
            found = pq.read_metadata(kept).num_rows, pq.read_metadata(rejects).num_rows
            if found != (counts.kept, counts.rejects):
                raise ValueError(f"{found[0]} rows and {found[1]} rejects of {counts.kept} and {counts.rejects}")
        except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
            raise StoreError(f"{kept}: an earlier run wrote it but it cannot be read ({error}); remove it") from error
        self._enter(index, counts)

    def paths(self, index: int) -> tuple[Path, Path]:
        """A part's kept rows and its rejects."""
        place = self.place / ASIDE if self.by_parts and index in self.lacking else self.place
        return place / part_name(index), place / "rejects" / part_name(index)

    @property
    def stopped(self) -> Path:
        """Rejects to be read when the policy stopped the step in the middle of its parts."""
        return self.place / "rejects" / "stopped.parquet"

    def _enter(self, index: int, counts: Counts) -> None:
        kept, rejects = self.paths(index)
        self.parts[index] = PartEntry(
            name=kept.name, sha256=file_digest(kept), rejects_sha256=file_digest(rejects), counts=counts
        )
        self.counts += counts

    def write(self, index: int, output: PartOutput, counts: Counts, lacking: Counter[str] | None = None) -> None:
        """Write one part, once its accounting adds up; aside where `lacking` says that records were not answered."""
        if counts.attempts != counts.kept + counts.rejects:
            raise StepFailed(
                f"{self.step.name}, part {index}: {counts.attempts} rows were tried but {counts.kept} kept and "
                f"{counts.rejects} rejected; every row must be one or the other"
            )
        if output.noted:
            counts = counts.model_copy(update={"noted": dict(sorted(output.noted.items()))})
        if lacking:
            self.lacking[index] = lacking
        kept, rejects = self.paths(index)
        # Rejects first: a part counts as done when the kept file is there.
        write_parquet(rejects, output.rejects)
        write_parquet(kept, output.kept, {_COUNTS_KEY: counts.model_dump_json()})
        self._enter(index, counts)

    def check(self, counts: Counts) -> None:
        """Stop the step where its rejects are over the line."""
        if not self.policy.broken_by(counts):
            return
        faults = Counter(
            {reason: count for reason, count in counts.rejected.items() if reason not in NO_FAULT | UNANSWERED}
        )
        top = ", ".join(f"{reason} {count}" for reason, count in faults.most_common(3))
        raise TooManyRejects(
            f"{label_of(self.step)}: {faults.total()} of {counts.attempts} attempts were rejected, more than the "
            f"{self.policy.share:.0%} the bill allows; top reasons: {top}. Read them with "
            f"`mashbill rejects {self.place}`; raise `rejects.share` in the bill to go on"
        )

    def finish(self, identity: dict[str, Any]) -> Stored:
        """Write the manifest: from now on the step is finished, or a partial one is (`mashbill.partial`)."""
        parts = tuple(self.parts[index] for index in sorted(self.parts))
        # Summed here: parts are written on several threads, and `self.counts` is for the watcher.
        counts = sum((part.counts for part in parts), Counts())
        self.check(counts)
        place, digest, lacking = self.place, self.digest, lacking_in(list(self.lacking.values()))
        if lacking:
            digest = partial_digest(self.digest, parts)
            place = self.place.parent / digest
            identity = identity | partial_identity(self.digest, counts.read, lacking)
            if not Stored.finished(place):
                aside = {self.parts[index].name for index in self.lacking} if self.by_parts else set[str]()
                names = [part.name for part in parts]
                share_parts(self.place, place, names, aside, link=self.by_parts)
        manifest = Manifest(
            step=label_of(self.step),
            kind=self.kind.__name__,
            fingerprint=digest,
            identity=identity,
            inputs={self._input_name(): self.source.manifest.fingerprint},
            engine=identity["engine"],
            engines=identity.get("engines", {}),
            parts=parts,
            counts=counts,
        )
        notes = self._notes(Stored(place, manifest))
        if lacking:
            said = partial_sentence(counts.read, lacking, of_records=self.by_parts)
            notes["card"] = [said, *notes.get("card", ())]
        self.stopped.unlink(missing_ok=True)
        shutil.rmtree(self.place / ASIDE, ignore_errors=True)
        write_json(place / "manifest.json", manifest.model_copy(update={"notes": notes}).model_dump(mode="json"))
        stored = Stored.open(place)
        self.runtime.progress.end(label_of(self.step), stored, reused=False)
        return stored

    def _input_name(self) -> str:
        path, root = self.source.path, self.runtime.root
        # An input may lie under another root; where that is would be no identity.
        return (path.relative_to(root) if path.is_relative_to(root) else Path(*path.parts[-2:])).as_posix()

    def _notes(self, made: Stored) -> dict[str, Any]:
        report = getattr(self.step, "report", None)
        if report is None:
            return {}
        with self.named_failures():
            return dict(report(self.source, made))

    @contextlib.contextmanager
    def named_failures(self) -> Iterator[None]:
        """A failure of the step's own code names the step."""
        try:
            yield
        except MashbillError:
            raise
        except Exception as error:
            failed = StepFailed(f"{self.step.name} failed on {self.source.path}: {error!r}")
            failed.logged = f"{self.step.name} failed on {self.source.path}: {type(error).__name__}"
            raise failed from error
