"""Code that passes its tests.

The answer ``def area(a, b): return a * b`` with the gold ``assert area(2, 3) == 6`` -> same; ``return a + b`` ->
different, ``tests_fail``; no Python -> unreadable, ``no_code``. The gold "answer" is the tests: Python that raises when
something is wrong, as the assertions of MBPP are.

Code runs in a sandbox (`mashbill.matching.sandbox`), never in this process. Where no sandbox can be made the outcome is
``error``, which is neither yes nor no.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mashbill.errors import BadReply
from mashbill.matching.base import Matcher
from mashbill.matching.match import Match, Outcome
from mashbill.matching.sandbox import Limits, run_tests

MOST_CHARS = 100_000
"""Of code or of tests."""
_FENCE = re.compile(r"[ \t]*```[ \t]*(\w*)")
_OPENS = re.compile(r"\s*(?:(?:async\s+)?def\s|class\s|import\s|from\s+[\w.]+\s+import\s|@\w|#|\w+\s*=[^=])")
_OUTCOMES: dict[str, Outcome] = {
    "passed": "same",
    "tests_fail": "different",
    "raises": "different",
    "timeout": "different",
    "deadline": "different",
    "ended_early": "different",
    "no_code": "unreadable",
    "tests_broken": "gold_unreadable",
    "no_sandbox": "error",
}


@dataclass(frozen=True, kw_only=True)
class CodeTests(Matcher):
    """Runs an answer's code against tests."""

    cpu_seconds: int = 5
    wall_seconds: float = 60.0
    """The deadline, for code that waits. CPU time does not depend on what else the machine does; this does."""
    memory_mb: int = 512
    namespaces: Literal["preferred", "required"] = "preferred"
    """Whether to run without Linux namespaces where there are none; see `mashbill.matching.sandbox`."""

    def __post_init__(self) -> None:
        for name, least in (("cpu_seconds", 1), ("wall_seconds", 0.1), ("memory_mb", 64)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it is {least} or more")

    def compare(self, answer: str, gold: str, options: Sequence[str] = ()) -> Match:
        """Whether the code passes; options say nothing here."""
        del options
        if not gold.strip() or len(gold) > MOST_CHARS:
            return Match("gold_unreadable", f"tests_broken: {len(gold):,} characters of tests")
        if not answer.strip() or len(answer) > MOST_CHARS:
            return Match("unreadable", f"no_code: {len(answer):,} characters of code")
        limits = Limits(
            cpu_seconds=self.cpu_seconds,
            wall_seconds=self.wall_seconds,
            memory_mb=self.memory_mb,
            namespaces=self.namespaces == "required",
        )
        ran = run_tests(answer, gold, limits)
        if ran.word == "passed":
            return Match("same")
        return Match(_OUTCOMES.get(ran.word, "error"), f"{ran.word}: {ran.detail}")

    def agree(self, one: str, two: str, options: Sequence[str] = ()) -> bool:
        """Whether two answers are one code; neither is a test of the other."""
        del options
        return one.strip() == two.strip()

    def final(self, text: str) -> str | BadReply:
        """The last fenced block of Python, else the last of any language, else a text that opens as code does."""
        blocks = _blocks(text[: 10 * MOST_CHARS])
        python = [code for language, code in blocks if language.lower() in ("python", "py", "python3")]
        whole = [text] if _OPENS.match(text) else [""]
        code: str = (python or [code for _, code in blocks] or whole)[-1]
        return code if code.strip() else BadReply("no_final_answer", "no code in it", text=text)


def _blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks that are closed: language and code.

    Line by line, since a pattern would look for the end of each opening through the whole text.
    """
    found, language, inside = list[tuple[str, str]](), None, list[str]()
    for line in text.splitlines(keepends=True):
        fence = _FENCE.match(line)
        if language is None:
            language, inside = (fence[1] if fence else None), []
        elif fence and line.strip() == "```":
            found.append((language, "".join(inside)))
            language = None
        else:
            inside.append(line)
    return found
