"""Several indexes of earlier rows, held against as one.

``against: [index/2026-11-30, index/2026-12-01]`` -> a new row goes that is like a row of either. So each release of a
series is read into an index once, and the next one adds an index of its own instead of making that of all anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from filters.earlier import Earlier, EarlierRows
from filters.spool import Spool
from mashbill.records import Record

if TYPE_CHECKING:
    from filters.minhash_dedup import MinhashDedup


@dataclass(frozen=True)
class Indexes:
    """Indexes, opened; a row that stands in several counts once, as the first of them has it."""

    opened: tuple[Earlier, ...]

    @classmethod
    def open(cls, against: str | Sequence[str]) -> Indexes:
        """The indexes in one folder or several; none for no folder.

        Raises:
            InputError: when there is none in a folder, or it is unfinished, or of another version.
        """
        folders = [against] if isinstance(against, str) else against
        return cls(tuple(Earlier.open(Path(folder)) for folder in folders if folder))

    @property
    def digest(self) -> str:
        """What the indexes hold, for a step's identity; empty when there is none."""
        return "".join(one.digest for one in self.opened)

    def check(self, kind: type[Record], step: MinhashDedup | None = None) -> None:
        """Refuse indexes of other rows or other settings than a step's.

        Raises:
            BillError: naming the index and the setting that differs.
        """
        for one in self.opened:
            one.check(kind, step)

    def sharing(self, keys: Spool) -> EarlierRows | None:
        """The rows that share a band key with one of a spool; None when there is no index."""
        if not self.opened:
            return None
        found = [one.sharing(keys) for one in self.opened]
        about = pl.concat([one.about for one in found])
        first = about["id"].is_first_distinct()
        rows = np.flatnonzero(first.to_numpy())
        answers = [one for some in found for one in some.answers]
        sets = [one for some in found for one in some.sets]
        return EarlierRows(
            about=about.filter(first),
            answers=[answers[row] for row in rows],
            keys=np.concatenate([one.keys for one in found])[rows],
            sets=[sets[row] for row in rows],
        )

    def digests(self) -> dict[bytes, tuple[str, frozenset[str]]]:
        """The digests of all rows, with the id and the answers of the first row that has each."""
        found: dict[bytes, tuple[str, frozenset[str]]] = {}
        for one in self.opened:
            for digest, row in one.digests().items():
                found.setdefault(digest, row)
        return found
