"""What a matcher says of two answers: one of five words, never a truth value.

A grader whose ``"No"`` was tested for truth has accepted every wrong answer there was. So a `Match` has no truth value:
ask for its `outcome`, or for `same`.

>>> Match("different", "71 is not 72").same
False
>>> bool(Match("same"))
Traceback (most recent call last):
...
TypeError: a Match has no truth value, since 'unreadable' is neither yes nor no; ask for .same or .outcome
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NoReturn, get_args

Outcome = Literal["same", "different", "unreadable", "gold_unreadable", "error"]
"""``unreadable`` is the answer, ``gold_unreadable`` the gold; ``error``: the comparison could not be made at all."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class Match:
    """The outcome of one comparison, and for a reader why."""

    outcome: Outcome
    detail: str = ""
    """What was found. Begins with a countable word where there are sorts of it, e.g. ``unit_mismatch: $ and €``."""

    @property
    def same(self) -> bool:
        """Whether both were read and say the same."""
        return self.outcome == "same"

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "a Match has no truth value, since 'unreadable' is neither yes nor no; ask for .same or .outcome"
        )
