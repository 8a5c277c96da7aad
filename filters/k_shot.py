"""Keep the rows nearest to a few examples of the task at hand, each measured by the example it is nearest to.

Fifty shots, 100,000 rows, ``keep: 5000`` -> the 5,000 rows whose nearest shot is nearest, with that similarity as the
score ``k_shot``; the others rejected, ``far_from_shots``.

    curate:
      - k_shot: {shots: shots.jsonl, columns: [text, response], keep: 5000, embedder: minilm}

After Rocket (arXiv 2408.15915), which takes the rows nearest to the *mean* of the shots: where a task has several kinds
of question, the mean lies between them and is near to none. Here a row's score is the maximum over the shots. Two
passes over the parts; twelve bytes a row are held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from filters.chosen import chosen_output
from filters.row_text import id_hashes, row_texts
from mashbill.embedding import DEFAULT, load_embedder
from mashbill.errors import InputError
from mashbill.records import Record
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class KShot(DatasetStep[Record, Record]):
    """Keeps the rows nearest to any of a few examples."""

    shots: str = field(metadata={"identity": False, "file": True})
    """A JSON-lines file, relative to the bill: an example a line, with the columns below."""
    keep: int
    """Rows that stay; all, where there are fewer."""
    columns: tuple[str, ...] = ("text",)
    """What of a row is compared, joined."""
    embedder: str = DEFAULT
    """`minilm` knows meaning; the default only spelling."""
    least: float = -1.0
    """A similarity, from -1 to 1, that a row must have even where there is room."""
    seed: int = 0
    """Decides among rows that are equally near."""
    shots_digest: str = ""
    """What the shots say: set by itself."""

    def __post_init__(self) -> None:
        """Read the shots, and refuse what could keep nothing."""
        if self.keep < 1 or not self.columns or not -1 <= self.least <= 1:
            raise ValueError(
                f"keep is {self.keep}, columns {list(self.columns)} and least {self.least:g}; wanted are a row, a "
                "column and a similarity from -1 to 1"
            )
        texts = read_shots(Path(self.shots), self.columns)
        object.__setattr__(self, "shots_digest", hashlib.sha256(orjson.dumps(texts)).hexdigest())

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        embedder = load_embedder(self.embedder)
        shots = embedder.embed(read_shots(Path(self.shots), self.columns))
        near, nearest, hashes = self._measured(parts, embedder, shots)
        stays = _best(near, hashes, self.keep, self.least)
        start = 0
        for index in range(len(parts)):
            table = parts.table(index)
            own = slice(start, start + table.num_rows)
            start += table.num_rows
            reasons = [
                "" if kept else "nothing_to_compare" if np.isnan(one) else "far_from_shots"
                for kept, one in zip(stays[own].tolist(), near[own].tolist(), strict=True)
            ]
            counts = np.bincount(nearest[own][stays[own]], minlength=len(shots))
            noted = {f"shot {at:03d}": int(count) for at, count in enumerate(counts) if count}
            yield chosen_output(
                table, reasons, step=self.name, scores={"k_shot": near[own]}, value=near[own], noted=noted
            )

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """How many of the kept rows each shot drew in, for the manifest: a shot that drew none is far from all."""
        del source
        noted = made.manifest.counts.noted
        texts = read_shots(Path(self.shots), self.columns)
        drew = {f"{at}: {text[:60]}": noted.get(f"shot {at:03d}", 0) for at, text in enumerate(texts)}
        return {"kept_by_nearest_shot": drew}

    def _measured(
        self, parts: Parts, embedder: Any, shots: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.uint64]]:
        """For each row its similarity to the nearest shot (NaN for a blank row), which that is, and its tie-break."""
        near, nearest, hashes = [np.zeros(0, np.float32)], [np.zeros(0, np.int32)], [np.zeros(0, np.uint64)]
        for index in range(len(parts)):
            # The first part whole: where a column is missing, the message names those that there are.
            table = parts.table(index, ["id", *dict.fromkeys(self.columns)] if index else None)
            texts = row_texts(table, self.columns, self.name)
            found = embedder.embed(texts) @ shots.T if texts else np.zeros((0, len(shots)), np.float32)
            # Rounded: by which others a text was embedded moves the last digits, and ties are decided by the hash.
            best = found.max(axis=1).round(5)
            best[[not text for text in texts]] = np.nan
            near.append(best)
            nearest.append(found.argmax(axis=1).astype(np.int32))
            hashes.append(id_hashes(table, self.seed))
        return np.concatenate(near), np.concatenate(nearest), np.concatenate(hashes)


def read_shots(path: Path, columns: Sequence[str]) -> list[str]:
    """The texts of the examples in a JSON-lines file.

    Raises:
        InputError: when it cannot be read, is empty, or a line lacks a column; with the line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"cannot read the shots: {error.strerror}", path=path) from error
    texts = list[str]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(f"is not JSON: {error}", path=path, line=number) from error
        if not isinstance(row, dict) or any(not isinstance(row.get(name, ""), str) for name in columns):
            raise InputError(f"an example is an object with text under {', '.join(columns)}", path=path, line=number)
        text = "\n".join(part for name in columns if (part := row.get(name, "").strip()))
        if not text:
            raise InputError(f"an example has nothing under {', '.join(columns)}", path=path, line=number)
        texts.append(text)
    if not texts:
        raise InputError("holds no example; give one or more, a JSON object a line", path=path)
    return texts


def _best(near: NDArray[np.float32], hashes: NDArray[np.uint64], keep: int, least: float) -> NDArray[np.bool_]:
    """Which rows stay: the nearest, among equally near ones those of the lowest hash."""
    stays = np.zeros(len(near), dtype=np.bool_)
    able = np.flatnonzero(~np.isnan(near) & (near >= least))
    order = np.lexsort((hashes[able], -near[able]))
    stays[able[order[:keep]]] = True
    return stays
