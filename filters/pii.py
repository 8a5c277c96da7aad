"""Reject rows that hold personal data or secrets: addresses, telephone numbers, cards, accounts, keys.

One row in -> out: ``"Write to ora@salt.org"`` -> rejected, ``pii_email``; ``"Write to ora@example.com"`` -> kept.

What each kind must pass stands in `filters.pii_kinds`. Rather than lose the row, `redact_pii` puts a placeholder in
its place; a filter is for what should not be there at all, as keys in generated text.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from filters.pii_found import found_in
from filters.pii_kinds import KINDS
from filters.rule import named
from mashbill.errors import BillError
from mashbill.records import Record, join_texts
from mashbill.registry import nearest
from mashbill.step import Filter


@dataclass(frozen=True, kw_only=True)
class Pii(Filter[Record]):
    """Rejects rows with personal data or secrets of some kinds."""

    column: str = "text"
    kinds: tuple[str, ...] = tuple(KINDS)
    """Of ``key``, ``card``, ``iban``, ``email``, ``ip`` and ``phone``."""

    def __post_init__(self) -> None:
        """Refuse kinds that there are not."""
        checked(self.kinds, self.name)

    def columns(self) -> tuple[str, ...]:
        """The column it reads."""
        return (self.column,)

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        return named(self.column, {kind: self._has(kind) for kind in self.kinds}, "pii_")

    def _has(self, kind: str) -> pl.Expr:
        def has(texts: pl.Series) -> pl.Series:
            rows = list(found_in(texts, [kind]))
            return pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(texts)).scatter(rows, True)

        return pl.col(self.column).map_batches(has, return_dtype=pl.Boolean, is_elementwise=True)


def checked(kinds: tuple[str, ...], step: str) -> None:
    """Refuse kinds that there are not, or none.

    Raises:
        BillError: naming the nearest.
    """
    if not kinds:
        raise BillError(f"{step} looks for no kind; name some of {join_texts(list(KINDS), 30)}")
    for kind in kinds:
        if kind not in KINDS:
            raise BillError(f"{step}: no kind is called {kind!r}{nearest(kind, KINDS)}; there are: {', '.join(KINDS)}")
