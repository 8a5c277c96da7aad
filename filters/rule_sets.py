"""Several filters of one record type as one: what a profile is made of.

A profile is a filter whose fields are filters, each with limits that fit its kind of row; in a bill any of them can be
set anew, and `without` leaves some out::

    curate:
      - qa_profile: {answer: {max_words: 60}, without: [question_language]}

A rule that stands in two fields reads two columns, so its reasons and scores have two names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.registry import nearest
from mashbill.step import Filter


@dataclass(frozen=True, kw_only=True)
class RuleSet(Filter[Record]):
    """A filter made of the filters in its fields, in their order."""

    without: tuple[str, ...] = ()
    """Fields whose rules are left out."""

    def __post_init__(self) -> None:
        """Refuse to leave out what is not there, or everything."""
        known = self._fields()
        for name in self.without:
            if name not in known:
                raise BillError(f"{self.name} has no rules {name!r}{nearest(name, known)}; it has {', '.join(known)}")
        if len(set(self.without)) == len(known):
            raise BillError(f"{self.name} is left without any rule; take the step out of the bill instead")

    def rules(self) -> Mapping[str, Filter[Any]]:
        """Name -> the filters that are in."""
        return {name: one for name, one in self._fields().items() if name not in self.without}

    def columns(self) -> Sequence[str]:
        """The columns its rules read."""
        return list(dict.fromkeys(column for one in self.rules().values() for column in one.columns()))

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go, in the order of the fields."""
        return {reason: hit for one in self.rules().values() for reason, hit in one.reasons().items()}

    def scores(self) -> dict[str, pl.Expr]:
        """Every number that a rule compares."""
        return {name: score for one in self.rules().values() for name, score in one.scores().items()}

    def _fields(self) -> dict[str, Filter[Any]]:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Filter)}
