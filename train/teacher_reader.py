"""Stored signals for any slice of a plan's texts: mapped into memory, joined by what the tokens are.

The columns of each part are written out once more, uncompressed, as an Arrow file beside them (`mapped/`): the loop
then slices them as it slices the tokens, with the same record, start and length, and reads the pages it touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mashbill.disk import file_digest, replacing
from mashbill.errors import StoreError
from mashbill.store import part_name
from train.distill_spec import Distill
from train.teacher_store import TeacherManifest
from train.teacher_table import tokens_hash
from train.token_store import TokenStore

Ids = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float32]


class Piece(NamedTuple):
    """Positions of one record whose next token is learned; what its teacher says there is wanted."""

    number: int
    """The record, in the plan's tokens."""
    first: int
    length: int


@dataclass(frozen=True)
class TeacherArrays:
    """What a teacher said of n positions, as `train.soft_loss.SparseTarget` takes it."""

    ids: Ids
    shares: Shares
    tail: npt.NDArray[np.float32] | None
    scored: npt.NDArray[np.bool_]
    """False where no teacher was asked: such a stream is learned from its text alone."""


class TeacherReader:
    """The teacher columns of some streams of a plan."""

    def __init__(self, folders: Mapping[str, Path], store: TokenStore, spec: Distill, *, tokenizer: str) -> None:
        """Open the columns and find every record's row.

        Raises:
            StoreError: when columns are of another tokenizer or encoding, or a record has none.
        """
        self.spec, self.store = spec, store
        self.encoding: str = spec.encoding
        self._parts: list[dict[str, pa.ChunkedArray]] = []
        self._offsets: list[dict[str, npt.NDArray[np.int64]]] = []
        rows: dict[bytes, tuple[int, int]] = {}
        for folder in folders.values():
            _check(folder, TeacherManifest.read(folder), spec, tokenizer)
            for path in _mapped(folder):
                table = pa.ipc.open_file(pa.memory_map(str(path), "r")).read_all().combine_chunks()
                keys = table.column("tokens_hash").to_pylist()
                rows.update((key, (len(self._parts), row)) for row, key in enumerate(keys))
                self._take_in(table)
        self._rows = self._found(folders, rows)

    def _take_in(self, table: pa.Table) -> None:
        lists = {name: table.column(name).chunk(0) for name in table.column_names[3:]}
        self._parts.append({name: column.values.to_numpy(zero_copy_only=False) for name, column in lists.items()})
        self._offsets.append({name: column.offsets.to_numpy().astype(np.int64) for name, column in lists.items()})

    def _found(
        self, folders: Mapping[str, Path], rows: Mapping[bytes, tuple[int, int]]
    ) -> list[tuple[int, int] | None]:
        found: list[tuple[int, int] | None] = []
        lacking: list[str] = []
        for number in range(len(self.store)):
            wanted = self.store.streams[number] in folders
            key = tokens_hash(self.store.tokens(number)) if wanted else b""
            found.append(rows.get(key))
            if wanted and key not in rows:
                lacking.append(self.store.ids[number])
        if lacking:
            raise StoreError(
                f"{len(lacking):,} of {len(found):,} texts have no teacher columns, {lacking[0]} among them; they were "
                "scored as other tokens, or not at all: run `mashbill teach` again, and plan and columns will agree"
            )
        return found

    def arrays(self, pieces: Sequence[Piece]) -> TeacherArrays:
        """What the teacher says at the positions of the pieces, one piece after another."""
        total = sum(piece.length for piece in pieces)
        read = [(piece, self._rows[piece.number]) for piece in pieces]
        if self.encoding == "top_k":
            return self._top(read, total)
        return self._drawn(read, total)

    def _top(self, read: Sequence[tuple[Piece, tuple[int, int] | None]], total: int) -> TeacherArrays:
        k = self._width
        ids = np.tile(np.arange(k), (total, 1))
        logs = np.full((total, k + 1), -np.inf, np.float32)
        logs[:, k] = 0.0
        scored, at = np.zeros(total, bool), 0
        for piece, place in read:
            span = slice(at, at + piece.length)
            at += piece.length
            if place is None:
                continue
            ids[span] = self._slice(place, "ids", piece, k).reshape(-1, k)
            logs[span, :k] = self._slice(place, "log_probs", piece, k).reshape(-1, k)
            logs[span, k] = self._slice(place, "log_tail", piece, 1)
            scored[span] = True
            if self.spec.swap:
                labels = self.store.tokens(piece.number)[piece.first + 1 : piece.first + piece.length + 1]
                ids[span] = swapped(ids[span], labels)
        # float16 rounds each by up to 1 in 2,000: together they are made to be one again.
        shares = np.exp(logs)
        shares /= shares.sum(1, keepdims=True)
        return TeacherArrays(ids, shares[:, :k], shares[:, k], scored)

    def _drawn(self, read: Sequence[tuple[Piece, tuple[int, int] | None]], total: int) -> TeacherArrays:
        found, scored, at = [], np.zeros(total, bool), 0
        widest = 1
        for piece, place in read:
            if place is not None and piece.length:
                sizes = self._slice(place, "sizes", piece, 1).astype(np.int64)
                before = int(self._slice(place, "sizes", Piece(piece.number, 0, piece.first), 1).sum(dtype=np.int64))
                own = Piece(piece.number, before, int(sizes.sum()))
                found.append((at, sizes, self._slice(place, "ids", own, 1), self._slice(place, "counts", own, 1)))
                widest = max(widest, int(sizes.max()))
                scored[at : at + piece.length] = True
            at += piece.length
        ids, shares = np.zeros((total, widest), np.int64), np.zeros((total, widest), np.float32)
        for start, sizes, entries, counts in found:
            lines = np.repeat(np.arange(start, start + len(sizes)), sizes)
            columns = np.arange(len(entries)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            ids[lines, columns], shares[lines, columns] = entries, counts / np.float32(self.spec.draws)
        return TeacherArrays(ids, shares, None, scored)

    @property
    def _width(self) -> int:
        """Entries of a position: fewer than asked where the vocabulary is smaller."""
        ids, tails = self._offsets[0]["ids"][-1], self._offsets[0]["log_tail"][-1]
        return int(ids // max(tails, 1)) or 1

    def _slice(self, place: tuple[int, int], name: str, piece: Piece, each: int) -> npt.NDArray[Any]:
        part, row = place
        start = int(self._offsets[part][name][row]) + piece.first * each
        return np.asarray(self._parts[part][name][start : start + piece.length * each])


def swapped(ids: Ids, labels: npt.NDArray[np.int32]) -> Ids:
    """Top entries with the true token first: it gets the probability of the first, and the first that of it.

    Mix-CPT's logit swap (2407.10804): the target ranks the true token first and keeps the shape that the teacher gave
    it. Where the true token is not among the top, the first one takes its place among the others, whose mass together
    stays what it was.

    >>> swapped(np.array([[7, 3, 5], [7, 3, 5], [7, 3, 5]]), np.array([5, 7, 9], np.int32)).tolist()
    [[5, 3, 7], [7, 3, 5], [9, 3, 5]]
    """
    made, lines = ids.copy(), np.arange(len(ids))
    there = made == labels[:, None]
    places = there.argmax(1)
    known = there.any(1)
    made[lines[known], places[known]] = made[known, 0]
    made[:, 0] = labels
    return made


def _check(folder: Path, manifest: TeacherManifest, spec: Distill, tokenizer: str) -> None:
    if manifest.tokenizer != tokenizer:
        raise StoreError(
            f"{folder}: its columns are about tokens of tokenizer {manifest.tokenizer[:8]} and the plan's is "
            f"{tokenizer[:8]}; run `mashbill teach` with this student"
        )
    wanted = {
        "encoding": spec.encoding,
        "temperature": spec.temperature,
        "k": spec.k if spec.encoding == "top_k" else None,
        "draws": spec.draws if spec.encoding == "sampled" else None,
    }
    for name, value in wanted.items():
        if (found := getattr(manifest, name)) != value:
            raise StoreError(f"{folder}: its columns have {name} {found} and {value} is wanted; run `mashbill teach`")


def _mapped(folder: Path) -> list[Path]:
    """The parts of finished columns as Arrow files that can be mapped; written where they are not there yet."""
    found = []
    for number, part in enumerate(TeacherManifest.read(folder).parts):
        path = folder / "mapped" / f"{Path(part_name(number)).stem}.arrow"
        if not path.is_file():
            source = folder / part_name(number)
            if not source.is_file() or file_digest(source) != part.sha256:
                raise StoreError(f"{source}: is gone or changed since it was written; remove {folder} and score again")
            table = pq.read_table(source).combine_chunks()
            with (
                replacing(path) as aside,
                pa.OSFile(str(aside), "wb") as sink,
                pa.ipc.new_file(sink, table.schema) as writer,
            ):
                writer.write_table(table, max_chunksize=max(table.num_rows, 1))
        found.append(path)
    return found
