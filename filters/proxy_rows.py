"""What a proxy step reads of its rows: what a judge is shown of each, which are judged first, and what is to be learnt.

A part of three rows, one of them blank -> ``[{"query": "What is brine?", "text": "Salt water."}, None, {…}]``
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from filters.opinion import Opinion, parts_of_row, shown_columns
from filters.rewrite import kind_of
from filters.rubric_file import Rubric
from mashbill.errors import BadReply, ProxyError
from mashbill.proxy import Judged, Proxy, fit_proxy
from mashbill.step import Parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

Shown = Mapping[str, str] | None
"""What a judge is shown of a row, by tag; None where what must be shown is blank."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows of one type are shown by a rubric."""

    rubric: Rubric
    characters: int

    def shown(self, table: pa.Table) -> list[Shown]:
        """What a judge is shown of each row of a table."""
        columns = shown_columns(self.rubric, kind_of(table))
        names = sorted({name for have in columns.values() for name in have})
        return [self._one(columns, row) for row in table.select(names).to_pylist()]

    def _one(self, columns: Mapping[str, Sequence[str]], row: Mapping[str, object]) -> Shown:
        try:
            return parts_of_row(self.rubric, columns, row, self.characters)
        except BadReply:
            return None


def text_of(shown: Mapping[str, str]) -> str:
    """The text that a proxy sees of a row."""
    return "\n".join(text for text in shown.values() if text)


def drawn_ids(parts: Parts, count: int, seed: int) -> set[str]:
    """The ids of so many rows, by a hash of each: the same ones in whatever order and parts the rows come."""
    return {row for _, row in heapq.nsmallest(count, _hashed(parts, seed))}


def _hashed(parts: Parts, seed: int) -> Iterator[tuple[bytes, str]]:
    key = str(seed).encode()
    seen = set[bytes]()
    for index in range(len(parts)):
        for row in parts.table(index, ["id"]).column("id").to_pylist():
            digest = hashlib.blake2b(row.encode("utf-8", "surrogatepass"), digest_size=16, key=key).digest()
            if digest not in seen:  # two rows of one id are drawn as one, or the sample would be smaller
                seen.add(digest)
                yield digest, row


def makers_of(parts: Parts) -> set[str]:
    """The engines that made any of the rows."""
    found = set[str]()
    for index in range(len(parts)):
        made = parts.table(index, ["made"]).column("made").combine_chunks()
        found.update(made.field("engine").unique().to_pylist())
    return found - {""}


@dataclass(frozen=True, slots=True)
class Sampled:
    """A row that the judge was asked about."""

    text: str
    source_id: str
    opinion: Opinion


def fit_dimensions(
    rubric: Rubric, sampled: Sequence[Sampled], must: Sequence[str], embedder: str, held_out: float, seed: int
) -> dict[str, Proxy]:
    """A proxy for each dimension, from the rows that have a mark for it.

    Raises:
        ProxyError: for a dimension that decides about rows and cannot be learnt; others are left out.
    """
    found = dict[str, Proxy]()
    for name in rubric.dimensions:
        rows = [
            Judged(text=one.text, label=mark, source_id=one.source_id)
            for one in sampled
            if (mark := one.opinion.marks[name]) is not None
        ]
        try:
            found[name] = fit_proxy(rows, embedder, levels=rubric.levels, held_out=held_out, seed=seed)
        except ProxyError as error:
            if name in must:
                raise ProxyError(f"{name} of the rubric {rubric.name}: {error}") from error
    return found


def agreement_of(proxy: Proxy, levels: Sequence[str], least: str | None) -> tuple[float, float | None]:
    """Accuracy and kappa on held-out rows: of whether a row reaches the least level, or without one by label."""
    if least is None:
        return proxy.report.accuracy, proxy.report.kappa
    level = next((one for one in proxy.labels if levels.index(one) >= levels.index(least)), None)
    found = next((one for one in proxy.report.decisions if one.level == level), None)
    return (found.accuracy, found.kappa) if found else (1.0, None)


def reach(proxy: Proxy, probabilities: NDArray[Any], levels: Sequence[str], least: str) -> NDArray[Any]:
    """The probability that a row reaches a level, which need not be one that the proxy ever saw."""
    high = [levels.index(one) >= levels.index(least) for one in proxy.labels]
    found: NDArray[Any] = probabilities[:, high].sum(axis=1)
    return found
