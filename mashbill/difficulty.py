"""How hard a question is, by the share of a student's attempts that were right.

A pass rate of 0.25 -> grade 4 of 5. The generator that measures pass rates and the step that sorts an evaluation set
into bins must mean the same by a grade, so the rule stands here, once.
"""

from __future__ import annotations

import math

BINS = 5
"""Grades of ICD-Bench (arXiv 2507.13966), by the pass rate of 16 samples."""


def difficulty_of(pass_rate: float, bins: int = BINS) -> int:
    """A pass rate as a grade from 1, nearly always solved, to `bins`, nearly never; bins are equally wide.

    A rate on the border of two bins belongs to the harder one.

    >>> [difficulty_of(rate) for rate in (1.0, 0.81, 0.8, 0.5, 0.2, 0.0)]
    [1, 1, 2, 3, 5, 5]

    Raises:
        ValueError: for what is no share, or no bin.
    """
    if not 0 <= pass_rate <= 1:
        raise ValueError(f"a pass rate is a share, from 0 to 1; found {pass_rate}")
    if bins < 1:
        raise ValueError(f"bins is {bins}; it must be 1 or more")
    # The small number forgives a share such as 3/5 its last digit.
    return min(bins, math.floor((1 - pass_rate) * bins + 1e-9) + 1)
