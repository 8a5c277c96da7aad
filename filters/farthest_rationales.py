"""Keep the few rationales of a question that differ most from each other.

One question with nine rationales and ``most: 4`` -> the question's own first, then three times the one with the
greatest summed edit distance to those kept so far; the other five are rejected, ``too_alike``, with that distance.

RFT (arXiv 2308.01825) measures nearness so among paths of one skeleton; here it decides how many paths of a question
are kept at all, so that questions that teachers find easy do not fill the set. Put `skeleton_dedup` before it: a path
that copies one kept path and is far from the others has a large sum too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from filters.rationale_groups import Member, distance, farthest, groups
from filters.removal import SCHEMA, outputs
from mashbill.records import Rationale
from mashbill.step import DatasetStep, PartOutput, Parts


@dataclass(frozen=True, kw_only=True)
class FarthestRationales(DatasetStep[Rationale, Rationale]):
    """Keeps at most so many rationales of each question, those most unlike each other."""

    most: int = 4
    """Rationales of one question, its own included; four is a start (ours)."""

    def __post_init__(self) -> None:
        """Refuse a number that keeps nothing."""
        if self.most < 1:
            raise ValueError(f"most is {self.most}; keep 1 or more of each question")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        rows = [row for members in groups(parts) for row in self._removed(members)]
        yield from outputs(
            parts, pl.DataFrame(rows, schema=SCHEMA, orient="row"), step=self.name, kind=Rationale, reason="too_alike"
        )

    def _removed(self, members: list[Member]) -> Iterator[tuple[int, int, str, float, str]]:
        kept = [one for one in members if one.gold]
        left = [one for one in members if not one.gold]
        # Each pair is measured once: for a hundred draws that is most of the time.
        apart = {id(one): [distance(one, [other]) for other in kept] for one in left}
        while left and len(kept) < self.most:
            chosen = farthest(left, {key: sum(found) for key, found in apart.items()})
            kept.append(chosen)
            left = [one for one in left if one is not chosen]
            for one in left:
                apart[id(one)].append(distance(one, [chosen]))
        for one in left:
            near, nearest = min(zip(apart[id(one)], (other.id for other in kept), strict=True))
            yield one.part, one.row, nearest, float(near), ""
