"""From what proxies and the judge say of a part's rows to kept rows and rejects, by columns.

A row of which the proxy gives substance 4 or more a chance of 0.07 -> rejected, ``judge_low_substance``, value 0.07;
one of 0.93 -> kept, with the scores ``judge_substance`` 4.2 (the expected mark) and ``judge_asked`` 0. A row that the
judge was asked about has its own marks, and ``judge_asked`` 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from filters.opinion import DETAIL, Opinion
from filters.proxy_rows import reach
from filters.removal import frame_of
from filters.rewrite import kind_of
from filters.rubric_file import Rubric
from mashbill.filter_stack import with_scores
from mashbill.proxy import Proxy, vectors_of
from mashbill.step import PartOutput, conform, reject_table

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Deciding:
    """What decides about rows."""

    rubric: Rubric
    least: Mapping[str, str]
    proxies: Mapping[str, Proxy]
    prefix: str
    step: str

    def numbers(self, texts: Sequence[str]) -> NDArray[Any]:
        """For each text the probabilities of all proxies beside each other, and last how sure they are of it."""
        if not self.proxies:
            return np.zeros((len(texts), 1))
        vectors = vectors_of(texts, next(iter(self.proxies.values())).embedder)
        found = {name: proxy.of_vectors(vectors) for name, proxy in self.proxies.items()}
        sure = [self._sure(name, probabilities) for name, probabilities in found.items() if not self._idle(name)]
        whole: NDArray[Any] = np.hstack([*found.values(), np.min(sure, axis=0)[:, None]])
        return whole

    def _idle(self, name: str) -> bool:
        return bool(self.least) and name not in self.least

    def _sure(self, name: str, probabilities: NDArray[Any]) -> NDArray[Any]:
        if name not in self.least:
            likeliest: NDArray[Any] = probabilities.max(axis=1)
            return likeliest
        yes = reach(self.proxies[name], probabilities, self.rubric.levels, self.least[name])
        sure: NDArray[Any] = np.maximum(yes, 1.0 - yes)
        return sure

    def split(self, numbers: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The probabilities of each proxy."""
        ends = np.cumsum([len(proxy.labels) for proxy in self.proxies.values()])
        return dict(zip(self.proxies, np.split(numbers, ends[:-1], axis=1), strict=True)) if self.proxies else {}


@dataclass(frozen=True, slots=True)
class Marked:
    """What is known of a part's rows."""

    numbers: NDArray[Any]
    blank: Sequence[bool]
    opinions: Mapping[int, Opinion]
    """Of the rows that the judge was asked about, by place."""


@dataclass(slots=True)
class _Rows:
    """What becomes of the rows of a part, column by column."""

    reasons: list[str | None]
    details: list[str]
    values: NDArray[np.float64]
    scores: dict[str, NDArray[np.float64]]

    def reject(self, at: int, reason: str, detail: str, value: float = np.nan) -> None:
        """Have a row go."""
        self.reasons[at], self.details[at], self.values[at] = reason, detail[:DETAIL], value


def decided(deciding: Deciding, table: pa.Table, marked: Marked) -> PartOutput:
    """The rows of one part with their marks, and why others go."""
    size, kind = table.num_rows, kind_of(table)
    rows = _Rows([None] * size, [""] * size, np.full(size, np.nan), _expected(deciding, marked, size))
    _by_proxy(rows, deciding, marked)
    _by_judge(rows, deciding, marked)
    for at in np.flatnonzero(np.asarray(marked.blank, dtype=bool)).tolist():
        rows.reject(at, "nothing_to_judge", "what a judge must be shown is blank")
        for marks in rows.scores.values():
            marks[at] = np.nan
    scores = {name: pl.Series(marks, nan_to_null=True) for name, marks in rows.scores.items()}
    why = pl.DataFrame(
        {
            "why": pl.Series(rows.reasons, dtype=pl.String),
            "said": pl.Series(rows.details, dtype=pl.String),
            "by": pl.Series(rows.values, nan_to_null=True),
        }
    )
    frame = pl.concat([with_scores(frame_of(table), scores), why], how="horizontal")
    gone = frame.filter(pl.col("why").is_not_null())
    rejects = reject_table(
        gone, step=deciding.step, kind=kind, reason=pl.col("why"), detail=pl.col("said"), value=pl.col("by")
    )
    return PartOutput(conform(frame.filter(pl.col("why").is_null()), kind), rejects)


def _by_proxy(rows: _Rows, deciding: Deciding, marked: Marked) -> None:
    for name, probabilities in deciding.split(marked.numbers).items():
        if name not in deciding.least:
            continue
        least = deciding.least[name]
        reaches = reach(deciding.proxies[name], probabilities, deciding.rubric.levels, least)
        for at in np.flatnonzero(reaches < 0.5).tolist():
            if rows.reasons[at] is None:
                chance = round(float(reaches[at]), 4)
                said = f"by the proxy: {chance:.2f} that it has {least} or more"
                rows.reject(at, f"{deciding.prefix}_low_{name}", said, chance)


def _by_judge(rows: _Rows, deciding: Deciding, marked: Marked) -> None:
    """What the judge said takes the place of what the proxy thought."""
    asked = rows.scores[f"{deciding.prefix}_asked"]
    for at, opinion in marked.opinions.items():
        given = opinion.scores(deciding.prefix)
        for name, marks in rows.scores.items():
            marks[at] = given.get(name, np.nan)
        asked[at], rows.reasons[at], rows.details[at], rows.values[at] = 1.0, None, "", np.nan
        if refused := opinion.refusal(deciding.prefix, deciding.least, ""):
            rows.reject(at, refused.reason, refused.detail)


def _expected(deciding: Deciding, marked: Marked, size: int) -> dict[str, NDArray[np.float64]]:
    """The mark to be expected of each row, by name of its score; where there is no proxy, none."""
    split = deciding.split(marked.numbers)
    found: dict[str, NDArray[np.float64]] = {}
    for name in deciding.rubric.dimensions:
        marks = np.full(size, np.nan)
        if name in split:
            levels = [deciding.rubric.value(label) for label in deciding.proxies[name].labels]
            marks = (split[name].astype(np.float64) @ np.array(levels)).round(4)
        found[f"{deciding.prefix}_{name}"] = marks
    return found | {f"{deciding.prefix}_asked": np.zeros(size)}
