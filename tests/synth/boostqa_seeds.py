"""Labelled questions whose discipline and difficulty can be read in their text, and a student of known skill."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from mashbill.records import QA

STEM = ("mathematics", "physics")
SUB = {"mathematics": "algebra", "physics": "mechanics", "humanities": "history", "law": "private law"}


def seed(field: str, difficulty: int, number: int, *, pass_rate: float | None = None) -> QA:
    """One labelled seed: a question whose answer is its own number."""
    one = QA.new(
        question=f"Question {number} of {field} at level {difficulty}: which number stands first?",
        answer=str(number),
        discipline=f"{field}/{SUB[field]}",
    )
    return dataclasses.replace(one, difficulty=difficulty, is_stem=field in STEM, pass_rate=pass_rate)


def cell(field: str, difficulty: int, *, seeds: int, rates: Iterable[float] = ()) -> list[QA]:
    """The rows of one cell: untried seeds, then tried ones with their pass rates."""
    free = [seed(field, difficulty, at) for at in range(seeds)]
    return free + [seed(field, difficulty, 1000 + at, pass_rate=rate) for at, rate in enumerate(rates)]
