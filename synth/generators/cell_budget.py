"""Where a student is weak, and what would be written there: measured, stored and passed on, before anything is made.

Labelled questions of which a share was tried go in and come out as they are; the manifest's notes have the budget::

    {"budget": {"total": 1000, "unit": "rows", "by": "weakness", "cells": [{"discipline": "mathematics",
     "difficulty": 4, "seeds": 120, "probed": 40, "accuracy": 0.21, "low": 0.11, "high": 0.36, "budget": 310}, …]}}

``mashbill cells cell_budget`` shows it as a table and draws it as a heat map. A step that spends a budget makes one of
the same rows by the same rule (`synth.budget`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mashbill.records import QA, Reject, to_table
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored
from synth.budget import BudgetSpec, budget_of, columns_of


@dataclass(frozen=True, kw_only=True)
class CellBudget(DatasetStep[QA, QA]):
    """Measures a student by discipline and difficulty and stores the budget that follows, rows unchanged."""

    budget: BudgetSpec = BudgetSpec()

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """Each part as it is, once the budget can be made."""
        budget_of(columns_of(parts), self.budget)
        for table in parts:
            yield PartOutput(table, to_table([], Reject))

    def report(self, source: Stored, stored: Stored) -> dict[str, Any]:
        """The budget, for the manifest."""
        del stored
        return {"budget": budget_of(columns_of(source), self.budget).plain()}
