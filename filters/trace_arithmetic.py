"""Reject worked answers with an equation that does not hold.

One row in -> out: ``"48 / 2 = 24, so 48 + 24 = 73."`` -> rejected, ``wrong_arithmetic``; ``"<<9**9**9=1>>"`` ->
rejected, ``unread_equation``; ``"She sold 72."`` -> rejected, ``nothing_to_check``, since a text without an equation
was not checked.

RFT keeps a path when each of its equations holds within 1e-3 (Yuan et al. 2023, arXiv 2308.01825, its published code);
there a path without any passes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from filters.judged import judged, judged_score, judging
from filters.measured import Remembered
from mashbill.matching.checks import ARITHMETIC_REASONS, arithmetic_verdict, reason_of
from mashbill.matching.equations import TOLERANCE, equations
from mashbill.records import Rationale
from mashbill.step import Filter

COLUMNS = ("rationale",)


@dataclass(frozen=True, kw_only=True)
class TraceArithmetic(Filter[Rationale]):
    """Keeps the rows whose equations all hold."""

    version: ClassVar[int] = 2

    tolerance: float = TOLERANCE
    """The largest difference of two sides."""
    without_equations: bool = False
    """Whether a row that has no equation passes, as where most are no arithmetic."""

    def __post_init__(self) -> None:
        """Refuse a tolerance that means nothing."""
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"tolerance is {self.tolerance}; it is a difference, 0 or more")

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        found = judged(_judging(self.tolerance), COLUMNS, ARITHMETIC_REASONS)
        return {
            reason: hit for reason, hit in found.items() if reason != "nothing_to_check" or not self.without_equations
        }

    def scores(self) -> dict[str, pl.Expr]:
        """How many equations were checked."""
        return {"equations": judged_score(_judging(self.tolerance), COLUMNS, "equations")}


@functools.cache
def _judging(tolerance: float) -> Remembered:
    return judging(functools.partial(judge, tolerance), ARITHMETIC_REASONS, ["equations"])


def judge(tolerance: float, row: Mapping[str, Any]) -> tuple[str, Mapping[str, float]]:
    """The reason of one row, "" where it stays, and its equations."""
    found = equations(row["rationale"], tolerance=tolerance)
    checked = sum(one.outcome in ("right", "wrong") for one in found)
    return reason_of(arithmetic_verdict(found)), {"equations": float(checked)}
