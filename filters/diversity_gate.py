"""Measure how diverse the rows are, and stop where a figure is beyond a limit that the bill names.

10,000 rows, ``least: {distinct_2: 0.3, opener_entropy: 0.6}, most: {self_similarity: 0.35}`` -> all rows, unchanged,
and the figures in the manifest and on the card; or, where half of the texts begin with "Sure, here is", an error::

    curate:
      - diversity_gate: {least: {distinct_2: 0.3}, entities: names.txt}

No row is kept or rejected for itself: that a set is monotonous is no row's fault (deduplication and `k_centre` choose
rows). What each figure is stands in `filters.diversity`. All but the coverage of names are of a sample, drawn by a hash
of the ids, since some of them fall with the number of rows; the names are looked for in every row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filters.diversity import NAMES, Coverage, Diversity
from filters.proxy_rows import drawn_ids
from filters.row_text import row_texts
from mashbill.embedding import DEFAULT, load_embedder
from mashbill.errors import GateFailed, InputError
from mashbill.fingerprint import fingerprint
from mashbill.records import Record, Reject, join_texts, to_table
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored

SCALE = 10_000
"""What figures are counted in, since a manifest counts in whole numbers."""


@dataclass(frozen=True, kw_only=True)
class DiversityGate(DatasetStep[Record, Record]):
    """Measures the diversity of the rows, and stops the run below a named limit."""

    least: Mapping[str, float] = field(default_factory=dict)
    """Figure -> the lowest it may be: ``distinct_1``, ``distinct_2``, ``vendi``, ``opener_entropy``,
    ``entity_coverage``, ``self_similarity``."""
    most: Mapping[str, float] = field(default_factory=dict)
    """Figure -> the highest it may be, as for ``self_similarity``."""
    columns: tuple[str, ...] = ("text",)
    """What of a row is looked at, joined."""
    sample: int = 10_000
    """Rows that figures are of; all, where there are fewer."""
    embedder: str = DEFAULT
    """Whose vectors ``vendi`` and ``self_similarity`` are of: figures of two embedders cannot be compared."""
    entities: str = field(default="", metadata={"identity": False, "file": True})
    """A text file of names that should be spoken of, one a line, relative to the bill."""
    seed: int = 0
    entities_digest: str = ""
    """What the names are: set by itself."""

    def __post_init__(self) -> None:
        """Read the names, and refuse limits of what is not measured."""
        names = self._names()
        object.__setattr__(self, "entities_digest", fingerprint(names) if names else "")
        known = NAMES if names else tuple(name for name in NAMES if name != "entity_coverage")
        for limit in (*self.least, *self.most):
            if limit not in known:
                why = "; give the names under `entities`" if limit in NAMES else ""
                raise ValueError(f"a limit names {limit}; measured are {', '.join(known)}{why}")
        if self.sample < 2 or not self.columns:
            raise ValueError(
                f"sample is {self.sample} and columns {list(self.columns)}; two rows and a column are wanted"
            )

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """Each part as it is.

        Raises:
            GateFailed: naming each figure beyond its limit, before any part is written.
        """
        figures, missing = self._figures(parts)
        self._check(figures, missing)
        noted = {name: round(value * SCALE) for name, value in figures.items()}
        for index in range(len(parts)):
            yield PartOutput(parts.table(index), to_table([], Reject), noted if index == 0 else {})

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """The figures, for the manifest and the card."""
        del source
        noted = made.manifest.counts.noted
        found = {name: noted[name] / SCALE for name in NAMES if name in noted}
        shown = ", ".join(f"{name} {value:.3g}" for name, value in found.items())
        rows = min(self.sample, made.manifest.counts.kept)
        return {"diversity": found, "card": [f"Diversity of {rows:,} rows ({self.embedder}): {shown}."]}

    def _figures(self, parts: Parts) -> tuple[dict[str, float], list[str]]:
        embedder, measured = load_embedder(self.embedder), Diversity()
        names = self._names()
        coverage = Coverage(names) if names else None
        drawn = drawn_ids(parts, self.sample, self.seed)
        for index in range(len(parts)):
            table = parts.table(index)
            texts, ids = row_texts(table, self.columns, self.name), table.column("id").to_pylist()
            if coverage is not None:
                coverage.add(texts)
            own = [text for text, row in zip(texts, ids, strict=True) if row in drawn and text]
            measured.add(own, embedder.embed(own))
        figures = measured.figures()
        if coverage is not None:
            figures["entity_coverage"] = coverage.share
        return figures, coverage.missing() if coverage is not None else []

    def _check(self, figures: Mapping[str, float], missing: Sequence[str]) -> None:
        low = [(name, limit, "more") for name, limit in self.least.items() if figures.get(name, -math.inf) < limit]
        high = [(name, limit, "less") for name, limit in self.most.items() if figures.get(name, math.inf) > limit]
        if not low and not high:
            return
        said = []
        for name, limit, wanted in (*low, *high):
            found = f"is {figures[name]:.3g}" if name in figures else "cannot be told of so few rows"
            absent = f" ({join_texts(missing)} stand nowhere)" if name == "entity_coverage" else ""
            said.append(f"{name} {found}{absent}, and {limit:g} or {wanted} is wanted")
        raise GateFailed(
            f"{self.name}: {'; '.join(said)}. Look at the rows with `mashbill show`, deduplicate, or have them made "
            "from more and other sources; move the limit to go on"
        )

    def _names(self) -> list[str]:
        if not self.entities:
            return []
        try:
            lines = Path(self.entities).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            said = f"cannot read the names: {error}; a text file with a name a line is wanted"
            raise InputError(said, path=self.entities) from error
        names = list(dict.fromkeys(line.strip() for line in lines if any(map(str.isalnum, line))))
        if not names:
            raise InputError("holds no name; give one or more, a line each", path=self.entities)
        return names
