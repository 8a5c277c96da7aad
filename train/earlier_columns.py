"""Signals that were scored before: a text is found by its tokens, whatever dataset or stream it stood in then.

A teacher reads a text once. What ``mashbill teach`` scored for a dataset serves every bill under the same root whose
streams hold the same texts, and a stream that gained a hundred texts has only those scored. Only columns whose bytes
would be the same are taken: of the same tokenizer, teacher, dtype, encoding and temperature.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mashbill.disk import file_digest
from mashbill.errors import StoreError
from mashbill.store import MANIFEST, part_name
from train.teacher_store import Scores, TeacherManifest, Tokens
from train.teacher_table import Signal, read_signals, tokens_hash

_DECIDES = ("code", "tokenizer", "teacher", "dtype", "encoding", "k", "draws", "temperature")
"""What a text's signal depends on besides its tokens."""


@dataclass
class EarlierColumns:
    """Finished columns under a root that have the signals wanted."""

    places: dict[bytes, tuple[Path, int]] = field(default_factory=dict)
    """Digest of a text's tokens -> the part and the row that hold its signal."""
    _open: tuple[Path, pa.Table] | None = None

    @classmethod
    def find(cls, root: Path, wanted: TeacherManifest) -> EarlierColumns:
        """Look through all finished columns; those of other versions, or changed since, are no help and are left."""
        found = cls()
        for file in sorted((root / "teachers").glob(f"*/*/{MANIFEST}")):
            with contextlib.suppress(StoreError):
                manifest = TeacherManifest.read(file.parent)
                if all(getattr(manifest, name) == getattr(wanted, name) for name in _DECIDES):
                    found._take_in(file.parent, manifest)
        return found

    def _take_in(self, folder: Path, manifest: TeacherManifest) -> None:
        for number, part in enumerate(manifest.parts):
            path = folder / part_name(number)
            if path.is_file() and file_digest(path) == part.sha256:
                keys = pq.read_table(path, columns=["tokens_hash"]).column(0).to_pylist()
                self.places.update((key, (path, row)) for row, key in enumerate(keys))

    def signals(self, keys: Sequence[bytes]) -> dict[bytes, Signal]:
        """The signals of those of these texts that are there."""
        rows: dict[Path, list[int]] = defaultdict(list)
        for path, row in {self.places[key] for key in keys if key in self.places}:
            rows[path].append(row)
        found: dict[bytes, Signal] = {}
        for path in sorted(rows):
            found.update(read_signals(self._part(path).take(pa.array(sorted(rows[path])))))
        return found

    def _part(self, path: Path) -> pa.Table:
        if self._open is None or self._open[0] != path:
            self._open = path, pq.read_table(path)
        return self._open[1]


class ScoresOrEarlier:
    """Signals from earlier columns where they are there; from a teacher, loaded when the first is not."""

    def __init__(self, earlier: EarlierColumns, scorer: Callable[[], Scores]) -> None:
        self.earlier, self._scorer = earlier, scorer
        self._scores: Scores | None = None

    @property
    def long(self) -> int:
        """Texts scored now that were longer than the teacher's context."""
        return int(getattr(self._scores, "long", 0))

    def signals(self, texts: Sequence[Tokens], names: Sequence[str]) -> list[Signal]:
        """The signal of each text, in order."""
        keys = [tokens_hash(tokens) for tokens in texts]
        found = self.earlier.signals(keys)
        # Two texts of the same tokens are one question.
        lacking = list({key: number for number, key in reversed(list(enumerate(keys))) if key not in found}.values())
        if lacking:
            self._scores = self._scores or self._scorer()
            new = self._scores.signals([texts[number] for number in lacking], [names[number] for number in lacking])
            found.update(zip((keys[number] for number in lacking), new, strict=True))
        return [found[key] for key in keys]


def with_earlier(root: Path, wanted: TeacherManifest, scorer: Callable[[], Scores]) -> Callable[[], Scores]:
    """As `scorer`, but what was scored before is read."""
    return lambda: ScoresOrEarlier(EarlierColumns.find(root, wanted), scorer)
