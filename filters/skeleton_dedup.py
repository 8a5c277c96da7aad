"""Keep one rationale of each way of reasoning: of those with one skeleton, the one most unlike what is kept already.

One question, rows in -> out: ``3*4=12`` twice and ``4+4=8;8+4=12`` once -> one row of each, the other rejected,
``same_skeleton``, with ``kept_id``.

The number of different ways, not of rows, is what teaches (RFT, arXiv 2308.01825: 41.7 of GSM8K with the paths of one
model, 49.3 with those of several). As there, among equals the one with the greatest summed edit distance to those kept
stays, and the rationale that a question came with always does. A row without a skeleton (a bare label) is never a copy.
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
class SkeletonDedup(DatasetStep[Rationale, Rationale]):
    """Keeps one rationale of each skeleton of a question."""

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        rows = [row for members in groups(parts) for row in removed(members)]
        yield from outputs(
            parts,
            pl.DataFrame(rows, schema=SCHEMA, orient="row"),
            step=self.name,
            kind=Rationale,
            reason="same_skeleton",
        )


Removed = tuple[int, int, str, float, str]
"""Part, row, the id kept in its place, its summed edit distance to the kept ones, and a detail."""


def removed(members: list[Member]) -> Iterator[Removed]:
    """The members of one question that go."""
    classes: dict[str, list[Member]] = {}
    for one in members:
        if one.skeleton:
            classes.setdefault(one.skeleton, []).append(one)
    kept = [one for one in members if one.gold]
    # By skeleton, so that the choice depends on the rows alone and not on how they were stored.
    for skeleton in sorted(classes):
        alike = classes[skeleton]
        own = [one for one in alike if one.gold]
        if len(alike) == 1:  # nothing to choose, and most ways are written once
            kept += [] if own else alike
            continue
        sums = {id(one): distance(one, kept) for one in alike if not one.gold}
        stays = own[0] if own else farthest(alike, sums)
        for one in alike:
            if one is not stays and not one.gold:
                yield one.part, one.row, stays.id, float(sums[id(one)]), skeleton[:200]
        if not own:
            kept.append(stays)
