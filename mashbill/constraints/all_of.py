"""Several constraints that stand in one: all must be kept.

``"Use at most five bullet points and no commas"`` -> the two checkers; the first that is not kept gives the verdict.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from mashbill.constraints.base import Checker, Found
from mashbill.records import Verdict


@dataclass(frozen=True, kw_only=True)
class AllOf(Checker):
    """Asks each of its checkers."""

    parts: tuple[Checker, ...]

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise ValueError(f"all_of holds {len(self.parts)} checkers; it takes two or more")

    @classmethod
    def find(cls, text: str) -> Iterator[Found]:
        """None: its parts are found by themselves."""
        del text
        return iter(())

    @property
    def slot(self) -> str:
        """All of its parts'."""
        return " & ".join(sorted(one.slot for one in self.parts))

    def said(self) -> str:
        """In plain English."""
        return " and ".join(one.said() for one in self.parts)

    def judge(self, answer: str) -> Verdict:
        """A fail where one fails, else an error where one cannot tell, else a pass."""
        verdicts = [one.check(answer) for one in self.parts]
        for outcome in ("fail", "error"):
            for verdict in verdicts:
                if verdict.outcome == outcome:
                    return dataclasses.replace(verdict, name=self.name, detail=f"{verdict.detail} ({verdict.name})")
        return self.kept()
