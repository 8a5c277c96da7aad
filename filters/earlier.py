"""An index of rows that were released before, so that a new batch is held against them without reading their text.

A release in -> out: a folder of four files; a step with ``against: that folder`` removes new rows that are copies or
near copies of rows in it, ``exact_duplicate_of_earlier`` and ``near_duplicate_of_earlier``, with the old row's id as
``kept_id``.

``keys.u64`` has the band keys, band after band; ``shingles.u64`` the 64-bit hashes of each row's shingle set;
``rows.parquet`` id, source, sizes, digests and answers; ``index.json``, written last, the settings and the digests of
the other files. So a decision against an old row is made on the same exact similarity as between two new ones, and is
never wrong, at 8 bytes for each different shingle (2.4 kB for 300 words, as much as the text). Signatures alone would
take 512 bytes and be off by 0.04 (one standard deviation at 0.75 and 128 permutations), which is a wrong decision for
many a pair near the threshold. Keys are read band by band, sets only of rows that share a key.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from filters.compared_text import answer_columns, answer_keys, kind_of_parts, read_columns
from filters.exact_keys import keys_of_part
from filters.hashing import Hashes
from filters.near_rows import read_part, sorted_sets
from filters.spool import Spool
from filters.text_buffer import Ints
from mashbill.disk import file_digest, replacing, write_json, write_parquet
from mashbill.errors import BillError, InputError
from mashbill.records import Record
from mashbill.step import Parts

if TYPE_CHECKING:
    from filters.minhash_dedup import MinhashDedup

FILE = "index.json"
FILES = ("keys.u64", "shingles.u64", "rows.parquet")
_ROWS = pa.schema(
    [
        ("id", pa.string()),
        ("source_id", pa.string()),
        ("size", pa.int32()),
        ("digests", pa.list_(pa.binary())),
        ("answers", pa.list_(pa.string())),
    ]
)


class Settings(BaseModel):
    """What an index is of: rows found by other settings cannot be compared with its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    kind: str
    shingle_words: int
    num_perm: int
    seed: int
    bands: tuple[int, int]
    boilerplate: tuple[str, ...]
    rows: int = 0
    files: Mapping[str, str] = {}
    """The sha256 of each file."""


def settings_of(step: MinhashDedup, kind: str) -> Settings:
    """The settings under which a step finds what it finds."""
    return Settings(
        kind=kind,
        shingle_words=step.shingle_words,
        num_perm=step.num_perm,
        seed=step.seed,
        bands=step.bands(),
        boilerplate=step.boilerplate,
    )


def write_index(inputs: Iterable[Parts], folder: Path, step: MinhashDedup) -> int:
    """Index all rows of stored inputs of one record type; returns how many there are.

    Raises:
        BillError: for inputs of several record types.
        InputError: for a text that is no UTF-8.
        StoreError: when the folder cannot be written.
    """
    kinds, frames = set[type[Record]](), list[pa.Table]()
    with Spool(step.bands()[0], np.uint64, step.memory_mb * 500_000) as keys, replacing(folder / FILES[1]) as aside:
        with aside.open("wb") as file:
            for parts in inputs:
                kinds.add(kind := kind_of_parts(parts))
                for index in range(len(parts)):
                    sizes = [np.empty(0, np.int64)]
                    for some, made in read_part(step, parts, index, kind):
                        keys.append(made)
                        hashes, start, end = sorted_sets(some)
                        for low, high in zip(start.tolist(), end.tolist(), strict=True):
                            file.write(hashes[low:high].tobytes())
                        sizes.append(end - start)
                    frames.append(_described(parts, index, kind, step, np.concatenate(sizes)))
        if len(kinds) > 1:
            raise BillError(f"an index is of one record type; found {', '.join(sorted(one.__name__ for one in kinds))}")
        with replacing(folder / FILES[0]) as other, other.open("wb") as file:
            for band in range(keys.columns):
                file.write(keys.column(band).tobytes())
    rows = pa.concat_tables([_ROWS.empty_table(), *frames])
    write_parquet(folder / FILES[2], rows)
    settings = settings_of(step, next(iter(kinds)).__name__ if kinds else "Document")
    files = {name: file_digest(folder / name) for name in FILES}
    write_json(
        folder / FILE, settings.model_copy(update={"rows": rows.num_rows, "files": files}).model_dump(mode="json")
    )
    return int(rows.num_rows)


def _described(parts: Parts, index: int, kind: type[Record], step: MinhashDedup, size: Ints) -> pa.Table:
    table = read_columns(parts, index, ("id", "source_id", *answer_columns(kind)), step.name)
    answers = [sorted(one) for one in answer_keys(table, kind)]
    digests = [list(one) for one in keys_of_part(parts, index, kind, step.name)]
    columns = [table.column("id"), table.column("source_id"), size.astype(np.int32), digests, answers]
    return pa.table({field.name: pa.array(_plain(one), field.type) for field, one in zip(_ROWS, columns, strict=True)})


def _plain(column: Any) -> Any:
    return column.to_pylist() if isinstance(column, pa.ChunkedArray) else column


@dataclass(frozen=True)
class EarlierRows:
    """Rows of an index that share a key with new rows."""

    about: pl.DataFrame
    """id and source_id."""
    answers: list[frozenset[str]]
    keys: Hashes
    """One row each, a column a band."""
    sets: list[Hashes]


@dataclass(frozen=True)
class Earlier:
    """An index, opened."""

    folder: Path
    settings: Settings

    @classmethod
    def open(cls, folder: Path) -> Earlier:
        """The index in a folder.

        Raises:
            InputError: when there is none, or it is unfinished, or of another version.
        """
        file = folder / FILE
        if not file.is_file():
            raise InputError(f"no {FILE} there; make an index with `mashbill dedup index`", path=folder)
        try:
            settings = Settings.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise InputError(
                f"is not an index this version can read ({error.error_count()} errors)", path=file
            ) from error
        return cls(folder, settings)

    @property
    def digest(self) -> str:
        """What the index holds, for a step's identity."""
        return "".join(self.settings.files[name][:16] for name in FILES)

    def check(self, kind: type[Record], step: MinhashDedup | None = None) -> None:
        """Refuse an index of other rows or other settings than a step's.

        Raises:
            BillError: naming the setting that differs.
        """
        wanted = settings_of(step, kind.__name__) if step else self.settings.model_copy(update={"kind": kind.__name__})
        for name in ("kind", "shingle_words", "num_perm", "seed", "bands", "boilerplate"):
            mine, its = getattr(wanted, name), getattr(self.settings, name)
            if mine != its:
                raise BillError(
                    f"{self.folder}: is an index with {name} {its}, and the step has {mine}; index the release again "
                    "with the step's settings, or give the step the index's"
                )

    def sharing(self, keys: Spool) -> EarlierRows:
        """The rows that share a band key with one of a spool."""
        rows, bands = self.settings.rows, self.settings.bands[0]
        old = np.memmap(self.folder / FILES[0], np.uint64, "r", shape=(bands, rows)) if rows else np.empty((bands, 0))
        hit = np.zeros(rows, dtype=np.bool_)
        for band in range(bands):
            hit |= np.isin(old[band], np.unique(keys.column(band)))
        table = pq.read_table(self.folder / FILES[2], columns=["id", "source_id", "size", "answers"])
        size = table.column("size").to_numpy().astype(np.int64)
        hit &= size > 0
        some = np.flatnonzero(hit)
        start = np.cumsum(size) - size
        with (self.folder / FILES[1]).open("rb") as file:
            data = [os.pread(file.fileno(), int(size[row]) * 8, int(start[row]) * 8) for row in some]
        found = table.take(pa.array(some))
        return EarlierRows(
            about=pl.DataFrame({name: found.column(name).to_pylist() for name in ("id", "source_id")}, schema=_ABOUT),
            answers=[frozenset(one) for one in found.column("answers").to_pylist()],
            keys=np.ascontiguousarray(old[:, some].T, dtype=np.uint64),
            sets=[np.frombuffer(one, np.uint64) for one in data],
        )

    def digests(self) -> dict[bytes, tuple[str, frozenset[str]]]:
        """The digests of all rows, with the id and the answers of the first row that has each."""
        table = pq.read_table(self.folder / FILES[2], columns=["id", "digests", "answers"])
        found: dict[bytes, tuple[str, frozenset[str]]] = {}
        for name, digests, answers in zip(*(column.to_pylist() for column in table.columns), strict=True):
            for digest in digests:
                found.setdefault(digest, (name, frozenset(answers)))
        return found


_ABOUT = {"id": pl.String, "source_id": pl.String}
