"""Signs that a worked answer was written from its answer: phrases, by countable reason.

``"As given in the context, the guild sold salt"`` -> ``mentions_path``; ``"The correct answer is marked as B"`` ->
``mentions_given_answer``. A student that learns such a text learns to cite what it will not be shown.

The patterns are regular expressions in Rust's syntax, which polars runs in linear time whatever a user writes. Each is
anchored to what is only said of a prompt: a garden has a path, and "the answer choices given" are the question's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

_GIVEN = r"(?:given|provided|supplied|shown|listed|stated|specified)"
_WHERE = (
    r"(?:context|knowledge\s+graph|(?:reasoning|knowledge|graph|kg)\s+path|(?:given|provided)\s+path|relation(?:al)?\s+path"
    r"|triples?|prompt)"
)

LEAKS: Mapping[str, tuple[str, ...]] = {
    "mentions_path": (
        rf"(?i)\b(?:as|which\s+(?:is|was)|was|were|is|are)\s+{_GIVEN}\s+(?:in|by)\s+the\s+(?:{_GIVEN}\s+)?{_WHERE}\b",
        rf"(?i)\b(?:according\s+to|based\s+on|following|using|per|from)\s+the\s+(?:{_GIVEN}\s+)?"
        r"(?:knowledge\s+graph|(?:reasoning|knowledge|graph|kg)\s+path|(?:given|provided)\s+(?:path|context|triples?))\b",
        rf"(?i)\bthe\s+{_GIVEN}\s+(?:knowledge\s+graph|(?:reasoning\s+)?path|triples?)\b",
        r"(?i)\bthe\s+path\s+(?:given|provided|shown|states|tells\s+us|indicates)\b",
    ),
    "mentions_given_answer": (
        rf"(?i)\bthe\s+(?:correct\s+|right\s+|final\s+|expected\s+|true\s+)?answer\s+(?:is|was|has\s+been)\s+(?:already\s+)?"
        rf"(?:marked|{_GIVEN}|known|indicated|labell?ed)\b",
        rf"(?i)\b(?:the|this|that|your|our)\s+(?:{_GIVEN}|reference|gold(?:en)?|expected|known|labell?ed|target)\s+"
        r"(?:correct\s+|final\s+)?answer\b(?:[^\w\s]|\s+(?:is|was|of|says|states|tells|must|which|so)\b|\z)",
        r"(?i)\b(?:since|because|as|given\s+that|knowing\s+that|we\s+(?:know|are\s+told))\s+(?:that\s+)?(?:the\s+)?"
        r"(?:correct|right|final|expected)\s+answer\s+(?:is|must\s+be|should\s+be)\b",
        r"(?i)\b(?:answer\s+key|ground\s+truth(?:\s+answer)?|marked\s+(?:as\s+)?(?:the\s+)?correct(?:\s+(?:answer|option|choice))?)\b",
        r"(?i)\((?:correct|CORRECT)\)",
        r"(?i)\b(?:the|a|your|this|given)\s+hint\s+(?:says|states|is|tells|given|provided|indicates|suggests)\b",
    ),
}
"""Reason -> patterns. ``(CORRECT)`` is STaR's mark of the hinted answer (Zelikman et al. 2022, arXiv 2203.14465)."""


def leak_expressions(
    column: str, *, names: Sequence[str] = (), patterns: Mapping[str, Sequence[str]] = LEAKS
) -> dict[str, pl.Expr]:
    """Reason -> whether the text of a column gives that reason; `names` are the teacher's, ``mentions_teacher``."""
    text = pl.col(column)
    found = {reason: pl.any_horizontal([text.str.contains(one) for one in some]) for reason, some in patterns.items()}
    if names:
        said = "|".join(re.escape(name) for name in sorted(names))
        found["mentions_teacher"] = text.str.contains(rf"(?i)(?:^|\W)(?:{said})(?:\W|$)")
    return found


def checked_patterns(patterns: Mapping[str, Sequence[str]], names: Sequence[str] = ()) -> None:
    """Refuse what would fail or hit everything when rows are judged.

    Raises:
        ValueError: for a reason without patterns or that is not snake_case, a pattern that is no regular expression
            or fits the empty text, or an empty name.
    """
    if not all(name.strip() for name in names):
        raise ValueError("a name of the teacher's is empty; it would be found in every text")
    for reason, some in patterns.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", reason):
            raise ValueError(f"the reason {reason!r} is not snake_case: it is counted, not read")
        if not some:
            raise ValueError(f"the reason {reason!r} has no pattern; leave it out, or give it one")
        for pattern in some:
            try:
                fits = pl.Series([""]).str.contains(pattern).item()
            except pl.exceptions.ComputeError as error:
                raise ValueError(f"{pattern!r} is no regular expression in Rust's syntax: {error}") from error
            if fits:
                raise ValueError(f"{pattern!r} fits the empty text, so every row would go")
