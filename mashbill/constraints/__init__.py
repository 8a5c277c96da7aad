r"""Constraints on an answer that code can check, read from plain English and checked without a model.

>>> from mashbill.constraints import checker_of
>>> rule = checker_of("Use at most five bullet points.")
>>> rule.said(), rule.check("- salt\n- oil").outcome
('at most 5 bullet points', 'pass')
>>> checker_of("Write in a friendly tone.") is None
True
"""

from __future__ import annotations

from mashbill.constraints.base import Checker
from mashbill.constraints.expressed import expressed
from mashbill.constraints.load import available, checker_of, checkers_in

__all__ = ["Checker", "available", "checker_of", "checkers_in", "expressed"]
