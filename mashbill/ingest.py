"""Run a source: files in, stored records out, every piece of every file accounted for.

An id is made of content alone, so a text that stands in two files, or twice in one, would be one row with one id. It
stays two rows: the n-th repeat of an id gets an id made of the first and n, and all that have the same text go back to
the first of them (`source_id`), so that no split holds out a text that another one trains on::

    a.jsonl:1  {"text": "Salt."}  ->  id 6f1c…  source_id 6f1c…
    a.jsonl:2  {"text": "Salt."}  ->  id c04e…  source_id 6f1c…
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mashbill.counts import Counts
from mashbill.disk import file_digest, write_json, write_parquet
from mashbill.errors import InputError
from mashbill.execute import plain_identity
from mashbill.fingerprint import DIGEST_BYTES, content_id, fingerprint, step_identity
from mashbill.records import Record, Reject, to_table
from mashbill.runtime import Runtime
from mashbill.step import BadInput, Source
from mashbill.store import Manifest, PartEntry, Stored, part_name

HARMLESS = frozenset({"empty", "unknown_kind"})
"""Reasons that never stop a run: nothing is lost with an empty piece, and a folder of texts may hold pictures."""


def ingest(
    source: Source[Any], root: Path, runtime: Runtime, only: Collection[str] | None = None, *, as_whole: bool = False
) -> Stored:
    """The stored records of a source whose files lie under `root`; read again only when a file changed.

    With `only`, no other files are read than those it names, and they may hold no record at all. `as_whole` takes them
    for all that there are: files that are skipped are noted, as without `only`.

    Raises:
        InputError: for an absent path, a folder with no documents, a file that cannot be read (unless the source
            says ``bad_input: reject``), or a source that gives no record at all.
    """
    # A source may refuse to have no files; here it may have come to that.
    files = [] if only is not None and not only else named_files(source, root)
    files = [(path, name) for path, name in files if only is None or name in only]
    contents = {name: digest_of(path) for path, name in files}
    # By name alone: what is in a picture changes nothing, and a film need not be read to know that.
    noted = only is None or as_whole
    skipped = [path.relative_to(root).as_posix() for path in source.skipped(root)] if noted else []
    digest = fingerprint((source.name, source.version, step_identity(source), contents, skipped))
    place = runtime.root / source.name / digest
    if Stored.finished(place):
        stored = Stored.open(place)
        runtime.progress.end(source.name, stored, reused=True)
        return stored
    runtime.progress.begin(source.name, len(files), 0)
    parts, seen = [], _Seen()
    for index, chunk in enumerate(
        _chunks(chain(_pieces(source, files, seen), map(_unread, skipped)), source.part_rows)
    ):
        parts.append(_write(place, index, chunk, source))
    counts = sum((part.counts for part in parts), Counts())
    if not counts.kept and only is None:
        found = ", ".join(f"{reason} {count}" for reason, count in counts.rejected.items()) or "no rows"
        raise InputError(f"gave no record at all ({found}); first: {seen.first_bad or 'nothing to read'}", path=root)
    manifest = Manifest(
        step=source.name,
        kind=source.writes.__name__,
        fingerprint=digest,
        identity={"steps": [plain_identity(source)], "files": contents, "skipped": skipped},
        parts=tuple(parts),
        counts=counts,
    )
    write_json(place / "manifest.json", manifest.model_dump(mode="json"))
    stored = Stored.open(place)
    runtime.progress.end(source.name, stored, reused=False)
    return stored


@dataclass(slots=True)
class _Seen:
    first_bad: str = ""
    firsts: dict[bytes, str] = field(default_factory=dict)
    """Digest of a text -> id of the first record that has it."""
    repeats: Counter[str] = field(default_factory=Counter)
    """Id -> how often it came when its text was there already."""

    def told_apart(self, record: Record) -> Record:
        """The record, with an id of its own and the source it shares with equal texts."""
        text = getattr(record, "text", record.id)
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()
        first = self.firsts.get(digest)
        if first is None:
            self.firsts[digest] = record.id
            return record
        number = self.repeats[record.id] + (record.id == first)
        self.repeats[record.id] += 1
        return dataclasses.replace(
            record,
            id=content_id(record.id, number) if number else record.id,
            # A source that groups its records itself, as chapters of one book, has said what they go back to.
            source_id=first if record.source_id == record.id else record.source_id,
        )


def named_files(source: Source[Any], root: Path) -> list[tuple[Path, str]]:
    """A source's files, each with its name: relative to the root, or its own where the root is the file."""
    return [(path, path.name if path == root else path.relative_to(root).as_posix()) for path in source.files(root)]


def digest_of(path: Path) -> str:
    """The digest of a file of the user's.

    Raises:
        InputError: when it cannot be read.
    """
    try:
        return file_digest(path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}; check its permissions", path=path) from error


def _pieces(source: Source[Any], files: list[tuple[Path, str]], seen: _Seen) -> Iterator[Record | BadInput]:
    for path, name in files:
        for piece in source.read(path, name):
            if isinstance(piece, BadInput):
                seen.first_bad = seen.first_bad or f"{piece.where}: {piece.detail}"
                if source.bad_input == "stop" and piece.reason not in HARMLESS:
                    raise InputError(
                        f"{piece.detail} (to go on without it, counted as {piece.reason!r}, set `bad_input: reject`)",
                        path=path,
                        line=piece.line,
                    )
                yield piece
            else:
                yield seen.told_apart(piece)


def _unread(name: str) -> BadInput:
    return BadInput(name, "unknown_kind", f"{Path(name).suffix or 'a file without a suffix'} is not read")


def _chunks(pieces: Iterator[Record | BadInput], size: int) -> Iterator[list[Record | BadInput]]:
    while chunk := list(islice(pieces, size)):
        yield chunk


def _write(place: Path, index: int, chunk: Iterable[Record | BadInput], source: Source[Any]) -> PartEntry:
    records = [piece for piece in chunk if isinstance(piece, Record)]
    rejects = [
        Reject.new(
            kind=source.writes.__name__,
            step=source.name,
            reason=piece.reason,
            detail=piece.detail,
            source=piece.where,
        )
        for piece in chunk
        if isinstance(piece, BadInput)
    ]
    total = len(records) + len(rejects)
    counts = Counts(
        read=total,
        attempts=total,
        kept=len(records),
        rejected=dict(sorted(Counter(reject.reason for reject in rejects).items())),
        barren=len(rejects),
    )
    kept_path, rejects_path = place / part_name(index), place / "rejects" / part_name(index)
    write_parquet(rejects_path, to_table(rejects, Reject))
    write_parquet(kept_path, to_table(records, source.writes))
    return PartEntry(
        name=kept_path.name, sha256=file_digest(kept_path), rejects_sha256=file_digest(rejects_path), counts=counts
    )
