r"""What judge and code say of each constraint of an instruction, as verdicts that can be counted.

``judge:1.2`` is the judge on the second constraint in the first round, ``code:1.2`` is code on the same, ``judge:r.2``
and ``code:r.2`` are they on a response. A judge who leaves a constraint out has not said yes: that is an ``error``.
"""

from __future__ import annotations

from collections.abc import Sequence

from mashbill.constraint_sets import PLACEHOLDER
from mashbill.constraints import checker_of, expressed
from mashbill.errors import BadReply
from mashbill.records import Constraint, Instruction, Verdict
from synth.instruction_prompts import Checks
from synth.placeholders import chat_mark_in, placeholders_in

DETAIL = 300
"""Characters of a reason that are kept on the row."""
LONGEST = 20_000
"""Characters of a request or a constraint that is still worked on."""
RESPONSE = "r"
"""What stands in the place of the round where the response was checked."""


def check_task(record: Instruction) -> None:
    """Refuse what no instruction can be written for.

    Raises:
        BadReply: ``no_base_query``, ``no_constraints``, ``too_long``, ``template_mark``.
    """
    if not record.base_query.strip():
        raise BadReply("no_base_query", "the row says no request; decompose its instruction first")
    if not record.constraints:
        raise BadReply("no_constraints", "there is nothing to state besides the request")
    for text in (record.base_query, *(one.text for one in record.constraints)):
        if len(text) > LONGEST:
            raise BadReply("too_long", f"{len(text):,} characters, {LONGEST:,} at most: {text[:60]!r}")
        if mark := chat_mark_in(text):
            raise BadReply("template_mark", f"{mark!r} would be read as a turn of the chat: {text[:60]!r}")


def judged(checks: Checks | BadReply, constraints: Sequence[Constraint], round_: str) -> list[Verdict]:
    """The judge's verdict on each constraint, in their order."""
    if isinstance(checks, BadReply):
        detail = f"{checks.reason}: {checks.detail}"[:DETAIL]
        return [_verdict("judge", round_, at, "error", detail) for at in range(1, len(constraints) + 1)]
    said = dict[int, list[tuple[str, str]]]()
    for check in checks.checks:
        said.setdefault(check.number, []).append((check.stated, " ".join(check.reason.split())))
    verdicts = []
    for at in range(1, len(constraints) + 1):
        words = {word for word, _ in said.get(at, [])}
        if len(words) != 1:
            why = "not_answered: the judge left it out" if not words else "both_answers: the judge said yes and no"
            verdicts.append(_verdict("judge", round_, at, "error", why))
        else:
            outcome = "pass" if words == {"yes"} else "fail"
            verdicts.append(_verdict("judge", round_, at, outcome, said[at][0][1][:DETAIL]))
    return verdicts


def coded(record: Instruction, text: str, round_: str) -> list[Verdict]:
    """What code says of each constraint in the text of an instruction; placeholders are looked for as they stand."""
    verdicts = []
    for at, one in enumerate(record.constraints, 1):
        if places := _places(one):
            lost = [place for place in places if place not in text]
            outcome = "fail" if lost else "pass"
            detail = f"placeholder_lost: {lost[0]} is not in the instruction" if lost else ""
        else:
            verdict = expressed(one.text, text)
            outcome, detail = verdict.outcome, verdict.detail
        verdicts.append(_verdict("code", round_, at, outcome, detail))
    return verdicts


def coded_response(constraints: Sequence[Constraint], response: str) -> list[Verdict]:
    """What code says of each constraint in a response; an ``error`` where it cannot be checked by code."""
    verdicts = []
    for at, one in enumerate(constraints, 1):
        checker = None if one.category == PLACEHOLDER else checker_of(one.text)
        if checker is None:
            verdicts.append(
                _verdict("code", RESPONSE, at, "error", "not_checkable: code does not read this constraint")
            )
        else:
            found = checker.check(response)
            verdicts.append(_verdict("code", RESPONSE, at, found.outcome, found.detail[:DETAIL]))
    return verdicts


def strange_places(record: Instruction, text: str) -> list[str]:
    """Placeholders of a text that its task does not have."""
    known = {place for part in (record.base_query, *(one.text for one in record.constraints)) for place in _in(part)}
    return [place for place in placeholders_in(text) if place not in known]


def faults(constraints: Sequence[Constraint], verdicts: Sequence[Verdict]) -> list[tuple[int, str]]:
    """The constraints that are not surely stated, by number, with what was said of them.

    The judge must say yes; code must not say no. What code cannot read is left to the judge.
    """
    found = []
    for at, one in enumerate(constraints, 1):
        own = [verdict for verdict in verdicts if verdict.name.endswith(f".{at}")]
        wrong = [one for one in own if one.outcome == "fail" or (one.name.startswith("judge:") and not one.passed)]
        if wrong:
            said = "; ".join(verdict.detail or "it is not stated" for verdict in wrong)
            found.append((at, f"{at}. {' '.join(one.text.split())} ({said})"))
    return found


def _places(constraint: Constraint) -> list[str]:
    return placeholders_in(constraint.text) if constraint.category == PLACEHOLDER else []


def _in(text: str) -> list[str]:
    return placeholders_in(text)


def _verdict(who: str, round_: str, at: int, outcome: str, detail: str = "") -> Verdict:
    return Verdict(name=f"{who}:{round_}.{at}", outcome=outcome, detail=detail)
