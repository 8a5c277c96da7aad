"""What every checker is: a frozen dataclass that says whether an answer keeps one constraint.

A file is named for its one checker: ``item_count.py`` holds ``ItemCount``, known as ``item_count``. Two constraints
that ask the same in other words are equal checkers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from mashbill.records import Verdict
from mashbill.step import snake_case


@dataclass(frozen=True, slots=True)
class Found:
    """A constraint that stands in a text, and where: ``text[start:end]`` says it."""

    start: int
    end: int
    checker: Checker


@dataclass(frozen=True, kw_only=True)
class Checker:
    """Says whether an answer keeps a constraint.

    The contract: any text gives a `Verdict` in time bounded by its length; an empty answer never passes; what cannot be
    told is an ``error`` and neither a yes nor a no; and ``checker_of(one.said())`` is the checker itself.
    """

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    """Raise it when the same fields judge an answer otherwise."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Name the checker for its class."""
        super().__init_subclass__(**kwargs)
        cls.name = snake_case(cls.__name__)

    @classmethod
    def find(cls, text: str) -> Iterator[Found]:
        """Every place of a text that states a constraint of this kind."""
        raise TypeError(f"{cls.__name__} has no `find`")

    @property
    def slot(self) -> str:
        """What it fixes: two checkers of one slot that are not equal ask for different things of the same measure."""
        raise TypeError(f"{type(self).__name__} has no `slot`")

    def said(self) -> str:
        """The constraint in plain English."""
        raise TypeError(f"{type(self).__name__} has no `said`")

    def judge(self, answer: str) -> Verdict:
        """The verdict on an answer that is not empty."""
        raise TypeError(f"{type(self).__name__} has no `judge`")

    def check(self, answer: str) -> Verdict:
        """Whether the answer keeps the constraint; the detail of what is no pass begins with a countable reason."""
        if not answer.strip():
            return self.broken("empty", "the answer holds no text")
        return self.judge(answer)

    def kept(self, detail: str = "") -> Verdict:
        """A pass."""
        return Verdict(name=self.name, outcome="pass", detail=detail)

    def broken(self, reason: str, detail: str) -> Verdict:
        """A fail, with what was found."""
        return Verdict(name=self.name, outcome="fail", detail=f"{reason}: {detail}")

    def untold(self, reason: str, detail: str) -> Verdict:
        """Neither a pass nor a fail, and why."""
        return Verdict(name=self.name, outcome="error", detail=f"{reason}: {detail}")
