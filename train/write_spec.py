"""What students are to write and how it is judged; no torch here, so that a bill is checked without it.

::

    evaluate:
      questions: test.jsonl
      write: {samples: 16, k: [1, 4, 16], temperature: 0.8, most_tokens: 200, matcher: numeric}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mashbill.errors import BillError, RegistryError
from mashbill.matching import Matcher, matcher_of


@dataclass(frozen=True, kw_only=True)
class WriteSpec:
    """What is written and how it is judged; all of it identity."""

    greedy: bool = True
    """One answer at temperature 0: the accuracy that is compared between students."""
    samples: int = 0
    """Answers drawn for each question besides, for pass@k and votes."""
    k: tuple[int, ...] = (1,)
    """pass@k and majority@k are reported for each; no k is above `samples`. Only read where there are samples."""
    temperature: float = 0.7
    """Of the samples: what rejection sampling takes (2308.01825); pass@k at large k wants more, 0.8 (2107.03374)."""
    top_p: float = 1.0
    most_tokens: int = 256
    """Of one answer, its reasoning included; a longer one is cut and counts as ``truncated``."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer, for students that were not taught to end one."""
    matcher: str | Mapping[str, Mapping[str, Any]] = ""
    """Which answers are the same (`mashbill.matching`), for questions that do not name their own: empty is ``choice``
    where there are options and ``exact`` where there are none."""
    seed: int = 0

    def __post_init__(self) -> None:
        checks = {
            "samples": self.samples >= 0,
            "k": bool(self.k) and min(self.k) >= 1 and (not self.samples or max(self.k) <= self.samples),
            "temperature": self.temperature > 0,
            "top_p": 0 < self.top_p <= 1,
            "most_tokens": self.most_tokens >= 1,
            "stop": all(self.stop),
        }
        for name, good in checks.items():
            if not good:
                raise BillError(f"write: {name} cannot be {getattr(self, name)!r} ({_WANTED[name]})")
        if not self.greedy and not self.samples:
            raise BillError("write: neither a greedy answer nor samples are asked for; say greedy: true or samples: 8")
        _ = self.judge_for(())

    def judge_for(self, options: Sequence[str]) -> Matcher:
        """The matcher of a question that names none.

        Raises:
            BillError: for an unknown one, or fields it does not take.
        """
        return judge_of(self.matcher or ("choice" if options else "exact"))


def judge_of(spec: str | Mapping[str, Mapping[str, Any]]) -> Matcher:
    """The matcher a bill or a question names, its errors said as those of a bill."""
    try:
        return matcher_of(spec)
    except (RegistryError, ValueError) as error:
        raise BillError(f"matcher: {error}") from error


_WANTED = {
    "samples": "0 or more",
    "k": "whole numbers from 1 to `samples`",
    "temperature": "above 0; the greedy answer is asked for by `greedy`",
    "top_p": "above 0, at most 1",
    "most_tokens": "1 or more",
    "stop": "no empty text",
}
