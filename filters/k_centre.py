"""Choose rows to be labelled, so that what a proxy thinks of all rows is near to what it thinks of a labelled one.

A proxy that was fitted on 1,600 judged rows, 100,000 others, ``choose: 100`` -> the 100 rows that cover the others
best, each with the score ``k_centre``, its distance from all that were labelled or chosen before it; the rest rejected,
``covered``.

    curate:
      - k_centre: {proxy: proxies/substance.json, choose: 100}

PCoreSet (arXiv 2506.00910): greedy k-centre, by Euclidean distance, in the space of class probabilities and not of
embeddings; the centres to begin with are the proxy's probabilities of the rows it was fitted on. Each choice is the row
farthest from all centres, and greedy choice is at most twice as far from covering all as the best one (Gonzalez 1985).
Out of core: probabilities lie on disk, and each choice reads them once; twenty bytes a row are held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from filters.chosen import chosen_output
from filters.row_text import id_hashes, row_texts
from filters.spilled import Spilled
from mashbill.proxy import Proxy
from mashbill.proxy_file import load_proxy
from mashbill.records import Record
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALE = 10_000
"""What distances are counted in, since a manifest counts in whole numbers."""


@dataclass(frozen=True, kw_only=True)
class KCentre(DatasetStep[Record, Record]):
    """Chooses rows that cover the others in the space of a proxy's probabilities."""

    proxy: str = field(metadata={"identity": False, "file": True})
    """A proxy's file, relative to the bill (`proxy_judge` writes them: ``save``)."""
    choose: int
    """Rows that stay; 100 a round in the paper."""
    columns: tuple[str, ...] = ("text",)
    """What of a row the proxy is given, joined: what it was fitted on."""
    seed: int = 0
    """Decides among rows that are equally far."""
    proxy_identity: str = ""
    """What the proxy is: set by itself."""

    def __post_init__(self) -> None:
        """Read the proxy, and refuse what could choose nothing."""
        if self.choose < 1 or not self.columns:
            raise ValueError(f"choose is {self.choose} and columns {list(self.columns)}; a row and a column are wanted")
        object.__setattr__(self, "proxy_identity", load_proxy(Path(self.proxy)).identity)

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        proxy = load_proxy(Path(self.proxy))
        with Spilled(len(proxy.labels)) as points:
            blank, hashes = self._spill(parts, proxy, points)
            far = np.concatenate([from_centres(block, proxy.judged) for block in points] or [np.zeros(0, np.float32)])
            far[blank] = -1.0
            begun = float(far.max(initial=0.0))
            picked = list(_greedy(points, far, hashes, self.choose))
        distance = np.full(len(far), np.nan)
        distance[[row for row, _ in picked]] = [value for _, value in picked]
        start = 0
        for index in range(len(parts)):
            table = parts.table(index)
            own = slice(start, start + table.num_rows)
            start += table.num_rows
            reasons = [
                "nothing_to_compare" if empty else "covered" if np.isnan(value) else ""
                for empty, value in zip(blank[own].tolist(), distance[own].tolist(), strict=True)
            ]
            noted = {"radius before": round(begun * SCALE), "radius after": round(float(far.max(initial=0.0)) * SCALE)}
            left = np.where(blank[own], np.nan, np.maximum(far[own], 0.0)).round(5)
            yield chosen_output(
                table,
                reasons,
                step=self.name,
                scores={"k_centre": distance[own]},
                value=left,
                noted=noted if index == 0 else {},
            )

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """How far the farthest row was from a labelled one, before and after the choice, for the manifest."""
        del source
        noted = made.manifest.counts.noted
        return {name.replace(" ", "_"): noted.get(name, 0) / SCALE for name in ("radius before", "radius after")}

    def _spill(self, parts: Parts, proxy: Proxy, points: Spilled) -> tuple[NDArray[np.bool_], NDArray[np.uint64]]:
        blank, hashes = [np.zeros(0, np.bool_)], [np.zeros(0, np.uint64)]
        for index in range(len(parts)):
            table = parts.table(index)
            texts = row_texts(table, self.columns, self.name)
            points.add(proxy.probabilities(texts) if texts else np.zeros((0, points.width)))
            blank.append(np.array([not text for text in texts], dtype=np.bool_))
            hashes.append(id_hashes(table, self.seed))
        return np.concatenate(blank), np.concatenate(hashes)


def from_centres(points: NDArray[Any], centres: NDArray[Any]) -> NDArray[np.float32]:
    """The distance of each point from the nearest of some centres; infinite where there is none.

    >>> from_centres(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[1.0, 0.0], [0.0, 1.0]])).round(3).tolist()
    [0.0, 0.7070000171661377]
    """
    from scipy.spatial import cKDTree

    if not len(centres):
        return np.full(len(points), np.inf, dtype=np.float32)
    nearest, _ = cKDTree(np.unique(np.asarray(centres, dtype=np.float64), axis=0)).query(points)
    found: NDArray[np.float32] = np.asarray(nearest, dtype=np.float32)
    return found


def _greedy(
    points: Spilled, far: NDArray[np.float32], hashes: NDArray[np.uint64], choose: int
) -> Iterator[tuple[int, float]]:
    """Each choice with its distance from the centres before it; `far` is kept up, and is below 0 for what is chosen."""
    for _ in range(min(choose, int((far >= 0).sum()))):
        farthest = far.max()
        tied = np.flatnonzero(far == farthest)
        row = int(tied[hashes[tied].argmin()])
        yield row, float(farthest)
        centre, start = points.rows(row, row + 1)[0], 0
        for block in points:
            own = far[start : start + len(block)]
            np.minimum(own, np.sqrt(((block - centre) ** 2).sum(axis=1)), out=own)
            start += len(block)
        far[row] = -1.0
