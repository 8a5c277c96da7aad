"""The checks of a worked answer, each a `Verdict` whose detail begins with a countable reason.

::

    check_answer("71", "72", matcher("numeric"))  ->  Verdict("numeric", "fail", "wrong_answer: 71 is not 72")
    check_arithmetic("He has 3 pens.")            ->  Verdict("arithmetic", "error", "nothing_to_check: …")

What could not be checked is an ``error``, never a pass. The same checks as filters over stored rows are
``answer_matches``, ``trace_arithmetic`` and ``trace_leaks``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from mashbill.errors import BadReply
from mashbill.matching.base import Matcher
from mashbill.matching.equations import TOLERANCE, Equation, equations
from mashbill.matching.leaks import LEAKS, leak_expressions
from mashbill.matching.match import Match
from mashbill.matching.refusal_phrases import REFUSAL_PATTERNS
from mashbill.records import Verdict

_FIGURE = re.compile(r"\d")

ANSWER_REASONS: Final = (
    "no_final_answer",
    "two_final_answers",
    "answer_not_allowed",
    "answer_not_of_trace",
    "no_gold",
    "gold_unreadable",
    "answer_check_error",
    "answer_unreadable",
    "unit_mismatch",
    "wrong_answer",
)
"""Every reason of `check_answer`."""
ARITHMETIC_REASONS: Final = ("wrong_arithmetic", "unread_equation", "nothing_to_check")
"""Every reason of `check_arithmetic`."""


def reason_of(verdict: Verdict) -> str:
    """The countable reason of a verdict that is no pass; empty for a pass.

    >>> reason_of(Verdict(name="numeric", outcome="fail", detail="wrong_answer: 71 is not 72"))
    'wrong_answer'
    """
    return "" if verdict.passed else verdict.detail.partition(":")[0]


def check_answer(
    answer: str,
    gold: str | None,
    matcher: Matcher,
    *,
    options: Sequence[str] = (),
    trace: str = "",
    allowed: Sequence[str] = (),
) -> Verdict:
    """Whether an answer is the gold one, and the one that its trace comes to.

    With an empty `answer` the final answer of the trace is taken. With `allowed` (the labels of a classification), an
    answer that is none of them is ``answer_not_allowed``, gold or no gold.

    >>> from mashbill.matching import matcher
    >>> check_answer("", "72", matcher("numeric"), trace="48 + 24 = 72. The answer is 72 clips.").outcome
    'pass'
    """

    def failed(reason: str, detail: str, outcome: str = "fail") -> Verdict:
        return Verdict(name=matcher.name, outcome=outcome, detail=f"{reason}: {detail}")

    ends = matcher.final(trace) if trace.strip() else BadReply("no_final_answer", "no trace")
    if isinstance(ends, BadReply):
        if ends.reason != "no_final_answer" or not answer.strip():
            return failed(ends.reason, ends.detail)
    elif not answer.strip():
        answer = ends
    elif not matcher.agree(answer, ends, options) and (matcher.reads(ends) or _FIGURE.search(ends)):
        # What cannot be read and has figures ("not 72", "more than 80", "71 or so") may be another answer.
        return failed("answer_not_of_trace", f"the trace ends in {ends[:60]!r}, the answer is {answer[:60]!r}")
    if allowed and not any(matcher.compare(answer, one, options).same for one in allowed):
        return failed("answer_not_allowed", f"{answer[:60]!r} is none of {len(allowed)} allowed ones")
    if gold is None:
        return failed("no_gold", "there is nothing to compare with", "error")
    return _verdict(matcher.compare(answer, gold, options), matcher.name)


def _verdict(match: Match, name: str) -> Verdict:
    if match.same:
        return Verdict(name=name, outcome="pass")
    reason, outcome = {
        "different": ("wrong_answer", "fail"),
        "unreadable": ("answer_unreadable", "fail"),
        "gold_unreadable": ("gold_unreadable", "error"),
        "error": ("answer_check_error", "error"),
    }[match.outcome]
    if match.detail.startswith("unit_mismatch: "):
        return Verdict(name=name, outcome=outcome, detail=match.detail)
    return Verdict(name=name, outcome=outcome, detail=f"{reason}: {match.detail}")


def check_arithmetic(text: str, *, tolerance: float = TOLERANCE) -> Verdict:
    """Whether every equation of a text holds; one without any is ``nothing_to_check``, an error.

    >>> check_arithmetic("48 / 2 = 24, and 48 + 24 = 73.").detail
    'wrong_arithmetic: 48+24 is 72, not 73'
    """
    return arithmetic_verdict(equations(text, tolerance=tolerance))


def arithmetic_verdict(found: Sequence[Equation]) -> Verdict:
    """What the equations of a text say of it."""
    for outcome, reason in (("wrong", "wrong_arithmetic"), ("unread", "unread_equation")):
        bad = next((one for one in found if one.outcome == outcome), None)
        if bad is not None:
            said = bad.detail if outcome == "wrong" else f"{bad.text[:80]}: {bad.detail}"
            return Verdict(name="arithmetic", outcome="fail", detail=f"{reason}: {said}")
    if not any(one.outcome == "right" for one in found):
        return Verdict(name="arithmetic", outcome="error", detail="nothing_to_check: no equation in it")
    return Verdict(name="arithmetic", outcome="pass")


def check_leaks(text: str, *, names: Sequence[str] = (), patterns: Mapping[str, Sequence[str]] = LEAKS) -> Verdict:
    """Whether a text shows that its writer was given the answer, names the teacher, or refuses.

    >>> check_leaks("The correct answer is marked as B.").detail
    "mentions_given_answer: 'The correct answer is marked as B.'"
    """
    hits = pl.select(text=pl.lit(text)).select(
        **leak_expressions("text", names=names, patterns=patterns),
        refusal=pl.any_horizontal([pl.col("text").str.contains(one) for one in REFUSAL_PATTERNS]),
    )
    for reason, (hit,) in hits.to_dict(as_series=False).items():
        if hit:
            return Verdict(name="leaks", outcome="fail", detail=f"{reason}: {text.strip()[:80]!r}")
    return Verdict(name="leaks", outcome="pass")
