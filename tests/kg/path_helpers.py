"""Small graphs, the real one where it is, and a generator of items that fails by rule."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path as FilePath

import pytest

from kg.load import read_triples
from mashbill.ask import Ask
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.records import QA, Path, Triple
from mashbill.step import Generator


def umls() -> list[Triple]:
    """The UMLS semantic network, or a skip with the reason."""
    folder = os.environ.get("MASHBILL_DATA")
    if not folder:
        pytest.skip("MASHBILL_DATA is not set: there is no real graph to read")
    return list(read_triples(FilePath(folder) / "umls.tsv"))


def grid(width: int, height: int) -> list[Triple]:
    """A grid of streets: every node has an east and a north neighbour."""
    triples = []
    for x in range(width):
        for y in range(height):
            if x + 1 < width:
                triples.append(Triple.new(head=f"n{x}.{y}", relation="east_of", tail=f"n{x + 1}.{y}"))
            if y + 1 < height:
                triples.append(Triple.new(head=f"n{x}.{y}", relation="north_of", tail=f"n{x}.{y + 1}"))
    return triples


@dataclass(frozen=True, kw_only=True)
class Rule(Generator[Path, QA]):
    """Asks once for each path, and fails a share of them by the reply."""

    fails: float = 0.0

    async def make(self, record: Path, ask: Ask) -> Iterable[QA | BadReply]:
        answer = await ask(f"Ask about {record.nodes}.", sampling=self.sampling)
        if seed_of(answer.text, answer.request.seed) < self.fails * (1 << 31):
            raise BadReply("too_dull", "it is dull", text=answer.text, asks=answer.keys)
        options = tuple(dict.fromkeys([record.nodes[-1], "x1", "x2", "x3"]))
        return [
            record.child(
                QA,
                question=f"Where do {record.nodes} lead?",
                options=options,
                answer=options[0],
                path=record.edges,
                rationale=answer.text,
                made=answer.made(),
            )
        ]
