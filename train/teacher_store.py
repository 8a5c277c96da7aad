"""Teacher columns on disk: parts of a stream's signals, and a manifest that says whose they are, written last.

    teachers/made/71bc…/   part-00000.parquet  part-00001.parquet  manifest.json

A folder is found by what its bytes depend on: the tokens of the stream, the tokenizer, the teacher's weights and dtype,
the encoding and this code's version. A killed run goes on with the first part that is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from mashbill.disk import file_digest, write_json
from mashbill.errors import StoreError
from mashbill.fingerprint import fingerprint
from mashbill.store import MANIFEST, part_name
from train.distill_spec import Distill
from train.identity import teacher_identity
from train.recipe import StudentSpec
from train.teacher_table import Signal, signal_table, write_signals
from train.token_store import TokenStore

CODE = 1
"""Raised when the same teacher and tokens would give other bytes."""
PART_TOKENS = 1 << 20
"""Tokens in a part: what a killed run may have to do again, and well below what 32-bit offsets of a list can say."""

Tokens = npt.NDArray[np.int32]
Text = tuple[str, Tokens]


class Scores(Protocol):
    """What gives signals: `train.score_texts.TextScorer`, or `train.served_teacher.ServedTeacher`."""

    def signals(self, texts: Sequence[Tokens], names: Sequence[str]) -> list[Signal]:
        """The signal of each text."""
        ...


class PartFile(BaseModel):
    """One finished part."""

    model_config = ConfigDict(frozen=True)

    rows: int
    tokens: int
    bytes: int
    sha256: str


class TeacherManifest(BaseModel):
    """Whose signals these are, and of what."""

    model_config = ConfigDict(frozen=True)

    code: int
    stream: str
    """The digest of the stream's ids and tokens, as its plan has it."""
    tokenizer: str
    teacher: str
    """The hash of its weights; the name and revision of one that is served."""
    teacher_name: str
    dtype: str
    encoding: str
    k: int | None
    draws: int | None
    temperature: float
    parts: list[PartFile]
    long_texts: int = 0
    """Texts longer than the teacher's context, read in windows that overlap."""

    @property
    def tokens(self) -> int:
        """Tokens scored."""
        return sum(part.tokens for part in self.parts)

    @property
    def bytes_per_token(self) -> float:
        """As stored."""
        return sum(part.bytes for part in self.parts) / max(self.tokens, 1)

    @staticmethod
    def read(folder: Path) -> TeacherManifest:
        """The manifest of finished columns.

        Raises:
            StoreError: when they are not there, or not of this version.
        """
        file = folder / MANIFEST
        if not file.is_file():
            raise StoreError(f"{folder}: has no {MANIFEST}: its teacher columns are not finished; run `mashbill teach`")
        try:
            return TeacherManifest.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise StoreError(f"{file}: is no manifest of teacher columns that this version reads: {error}") from error


def described(spec: Distill, student: StudentSpec, *, stream: str, tokenizer: str) -> TeacherManifest:
    """The manifest of columns yet to be made: all that their bytes depend on."""
    return TeacherManifest(
        code=CODE,
        stream=stream,
        tokenizer=tokenizer,
        teacher=teacher_identity(spec, student),
        teacher_name=spec.teacher.served or spec.teacher.spec(student).name,
        dtype=spec.teacher.dtype,
        encoding=spec.encoding,
        k=spec.k if spec.encoding == "top_k" else None,
        draws=spec.draws if spec.encoding == "sampled" else None,
        temperature=spec.temperature,
        parts=[],
    )


def columns_dir(root: Path, name: str, manifest: TeacherManifest) -> Path:
    """Where the columns of a stream lie."""
    kept = manifest.model_dump(exclude={"parts", "long_texts", "teacher_name"})
    return root / "teachers" / name / fingerprint(kept)


def write_columns(
    folder: Path,
    texts: Iterable[Text],
    manifest: TeacherManifest,
    scorer: Callable[[], Scores],
    *,
    part_tokens: int = PART_TOKENS,
    progress: Callable[[int], None] | None = None,
) -> TeacherManifest:
    """Score every text and write the columns, or what an earlier run left to do; finished ones are opened.

    The texts come in the same order each time (`texts_of`), or the parts of two runs would not fit together.
    `scorer` is called when there is something to score: a finished folder loads no model. `progress` gets the tokens
    done so far.
    """
    if (folder / MANIFEST).is_file():
        return TeacherManifest.read(folder)
    parts: list[PartFile] = []
    scores: Scores | None = None
    for number, group in enumerate(_groups(texts, part_tokens)):
        path = folder / part_name(number)
        if not path.is_file():
            scores = scores or scorer()
            names = [name for name, _ in group]
            found = scores.signals([tokens for _, tokens in group], names)
            rows = [(name, tokens, signal) for (name, tokens), signal in zip(group, found, strict=True)]
            write_signals(path, signal_table(manifest.encoding, rows))
        parts.append(_part(path, group))
        if progress:
            progress(sum(part.tokens for part in parts))
    done = manifest.model_copy(update={"parts": parts, "long_texts": getattr(scores, "long", 0)})
    write_json(folder / MANIFEST, done.model_dump(mode="json"))
    return done


def texts_of(store: TokenStore, stream: str) -> Iterator[Text]:
    """The texts of a stream in a plan's tokens, by id: the order in which a plan holds them may be another."""
    mine = sorted((store.ids[number], store.views[number], number) for number in range(len(store))
                  if store.streams[number] == stream)  # fmt: skip
    for record_id, _, number in mine:
        yield record_id, store.tokens(number)


def _groups(texts: Iterable[Text], most: int) -> Iterator[list[Text]]:
    """Texts up to so many tokens; one that is longer by itself is a group of its own."""
    group: list[Text] = []
    held = 0
    for name, tokens in texts:
        if group and held + len(tokens) > most:
            yield group
            group, held = [], 0
        group.append((name, tokens))
        held += len(tokens)
    if group:
        yield group


def _part(path: Path, group: list[Text]) -> PartFile:
    rows = pq.read_metadata(path).num_rows
    if rows != len(group):
        raise StoreError(f"{path}: has {rows} rows and {len(group)} are wanted; remove it and score again")
    tokens = sum(len(tokens) for _, tokens in group)
    return PartFile(rows=rows, tokens=tokens, bytes=path.stat().st_size, sha256=file_digest(path))
