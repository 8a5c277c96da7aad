r"""The two properties of task-centric instructions, hop by hop: how diverse they are, and how many are on task.

Rows of two arms -> one `HopMeasure` for each arm and hop::

    HopMeasure(arm="tcia", hop=2, rows=40, texts=40, diversity=0.41, diversity_on_task=0.4, judged=40,
               on_task_judge=0.95, on_task_centroid=1.0, rounds=1.2)

Diversity is 1 - the mean cosine of all pairs (arXiv 2508.20374); the number depends on the embedder, so only numbers of
one embedder compare. On task is measured twice: by the judge of `on_task`, and by whether the text is nearer to the
centre of its task's cluster in the database than to any other's, which asks no model and can be wrong in other ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mashbill.embedding import VectorEmbedder, unit_rows
from mashbill.fingerprint import content_id
from mashbill.records import DatabaseTask, Instruction, from_table
from mashbill.store import Stored
from synth.generators.on_task import NAME as ON_TASK
from synth.half_vectors import unpacked

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDS = "rounds"


@dataclass(frozen=True, kw_only=True)
class HopMeasure:
    """What the instructions of one arm at one hop are like; None where there is nothing to measure."""

    arm: str
    hop: int
    rows: int
    """Measured: the same number for every arm that has so many at the hop."""
    texts: int
    """Different ones among them."""
    diversity: float | None
    diversity_on_task: float | None
    """Of those alone that the judge holds to be on task: what drifts away is diverse too."""
    judged: int
    """Those on which the judge answered."""
    on_task_judge: float | None
    on_task_centroid: float | None
    rounds: float | None
    """Mean rounds of verification of those that were composed."""


@dataclass(frozen=True)
class Centres:
    """The centre of each cluster of task types in a database."""

    names: tuple[str, ...]
    rows: NDArray[np.float32]
    embedder: str

    def nearest(self, rows: NDArray[np.float32]) -> list[str]:
        """The cluster whose centre is nearest to each."""
        return [self.names[at] for at in np.argmax(rows @ self.rows.T, axis=1)]


def diversity(rows: NDArray[np.float32]) -> float | None:
    """1 - the mean cosine over all pairs of unit rows; None for fewer than two.

    >>> diversity(np.array([[1, 0], [1, 0]], dtype=np.float32)), diversity(np.eye(2, dtype=np.float32))
    (0.0, 1.0)
    """
    count = len(rows)
    if count < 2:
        return None
    total = rows.sum(axis=0, dtype=np.float64)
    own = np.einsum("ij,ij->", rows, rows, dtype=np.float64)
    return float(1 - (total @ total - own) / (count * (count - 1)))


def centres_of(database: Stored) -> Centres:
    """The mean vector of the base queries of each cluster."""
    sums: dict[str, NDArray[np.float32]] = {}
    embedder = ""
    for table in database:
        rows = from_table(table, DatabaseTask)
        vectors = unpacked(table["query_vector"])
        for row, vector in zip(rows, vectors, strict=True):
            sums[row.task_cluster] = sums.get(row.task_cluster, np.zeros_like(vector)) + vector
            embedder = row.embedder
    names = tuple(sorted(sums))
    return Centres(names, unit_rows(np.stack([sums[name] for name in names])), embedder)


def drawn(rows: Iterable[Instruction], count: int) -> list[Instruction]:
    """So many of the rows, the same ones whatever their order."""
    return sorted(rows, key=lambda row: content_id("hop_measures", row.id))[:count]


def measure(
    arms: Mapping[str, Sequence[Instruction]], embedder: VectorEmbedder, centres: Centres | None, most: int
) -> list[HopMeasure]:
    """Each arm at each hop, at equal count: as many rows as the smallest arm at that hop has, `most` at most.

    An arm with a single row at a hop is measured by itself and holds nobody down.
    """
    groups = dict[int, dict[str, list[Instruction]]]()
    for arm, rows in arms.items():
        for row in rows:
            groups.setdefault(row.hop, {}).setdefault(arm, []).append(row)
    found = []
    for hop in sorted(groups):
        sizes = [len(own) for own in groups[hop].values() if len(own) > 1]
        count = min([*sizes, most])
        for arm in arms:
            if own := groups[hop].get(arm):
                found.append(_measured(arm, hop, drawn(own, count), embedder, centres))
    return found


def _measured(
    arm: str, hop: int, rows: Sequence[Instruction], embedder: VectorEmbedder, centres: Centres | None
) -> HopMeasure:
    vectors = embedder.embed([row.text for row in rows])
    outcomes = [one.outcome for row in rows for one in row.verdicts if one.name == ON_TASK]
    at_task = [any(one.name == ON_TASK and one.passed for one in row.verdicts) for row in rows]
    judged = [outcome for outcome in outcomes if outcome != "error"]
    rounds = [one.value for row in rows for one in row.scores if one.name == ROUNDS]
    at_home = None
    if centres is not None:
        own = centres.nearest(embedder.embed([row.base_query for row in rows]))
        at_home = float(np.mean([one == other for one, other in zip(centres.nearest(vectors), own, strict=True)]))
    return HopMeasure(
        arm=arm,
        hop=hop,
        rows=len(rows),
        texts=len({row.text for row in rows}),
        diversity=diversity(vectors),
        diversity_on_task=diversity(vectors[np.array(at_task)]) if outcomes else None,
        judged=len(judged),
        on_task_judge=judged.count("pass") / len(judged) if judged else None,
        on_task_centroid=at_home,
        rounds=float(np.mean(rounds)) if rounds else None,
    )
