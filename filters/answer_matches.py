"""Reject worked answers whose final answer is not the gold one.

One row in -> out: ``{"rationale": "48 + 24 = 71.", "answer": "71", "gold": "72"}`` with ``matcher: numeric`` ->
rejected, ``wrong_answer``; a row without a gold answer -> rejected, ``no_gold``, since it was not verified.

What is compared how is a matcher's (`mashbill.matching`): ``exact``, ``numeric``, ``choice``, ``set_of``,
``code_tests``. It is asked for rows that no model made as well: a data set whose own solutions do not come to its own
answers has rows to look at. Rejection sampling keeps what is right (Yuan et al. 2023, arXiv 2308.01825), as STaR
(arXiv 2203.14465) and fine-tune-CoT (arXiv 2212.10071) do.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from filters.judged import judged, judging
from mashbill.matching import Matcher, Spec, matcher_of, spec_of
from mashbill.matching.checks import ANSWER_REASONS, check_answer, reason_of
from mashbill.records import Rationale
from mashbill.step import Filter

COLUMNS = ("rationale", "answer", "gold", "options")


@dataclass(frozen=True, kw_only=True)
class AnswerMatches(Filter[Rationale]):
    """Keeps the rows whose answer matches their gold answer."""

    version: ClassVar[int] = 2

    matcher: Spec = "exact"
    """A matcher's name, or its name with its fields: ``{numeric: {tolerance: 0.01}}``."""
    allowed: tuple[str, ...] = ()
    """The answers there are, e.g. the labels of a classification; empty for any."""
    without_gold: bool = False
    """Whether a row that has no gold answer passes, if all else is well."""

    def __post_init__(self) -> None:
        """Refuse a matcher that is not there; write its defaults out, since they are identity."""
        object.__setattr__(self, "matcher", spec_of(matcher_of(self.matcher)))

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        check = functools.partial(judge, matcher_of(self.matcher), self.allowed, self.without_gold)
        return judged(judging(check, ANSWER_REASONS), COLUMNS, ANSWER_REASONS)


def judge(
    matcher: Matcher, allowed: tuple[str, ...], without_gold: bool, row: Mapping[str, Any]
) -> tuple[str, Mapping[str, float]]:
    """The reason of one row, "" where it stays."""
    verdict = check_answer(
        row["answer"], row["gold"], matcher, options=row["options"], trace=row["rationale"], allowed=allowed
    )
    reason = reason_of(verdict)
    return ("" if without_gold and reason == "no_gold" else reason), {}
