r"""Whether an instruction still says a constraint, as far as code can tell.

``"at most five bullet points"`` in ``"Sum up the notes. Give no more than 5 bullets."`` -> a pass: both are read as the
same checker. In ``"… in up to 7 bullets"`` -> a fail, ``altered``. Where the number, the quoted words or the language
of a constraint are nowhere in the instruction -> a fail, ``left_out``. Whatever else cannot be compared is an error.
"""

from __future__ import annotations

import re

from mashbill.constraints.all_of import AllOf
from mashbill.constraints.base import Checker
from mashbill.constraints.bound import NUMBER, number_of
from mashbill.constraints.keywords import QUOTED
from mashbill.constraints.language import LANGUAGES
from mashbill.constraints.load import checker_of, checkers_in
from mashbill.records import Verdict
from mashbill.words import words

NAME = "code"
_NUMBER = re.compile(rf"\b{NUMBER}", re.IGNORECASE | re.VERBOSE)


def expressed(constraint: str, instruction: str) -> Verdict:
    """The verdict on one constraint in an instruction.

    >>> expressed("Use at most five bullet points", "List the decisions in no more than 5 bullets.").outcome
    'pass'
    >>> expressed("Use at most five bullet points", "List the decisions in up to 7 bullets.").detail
    'altered: at most 7 bullet points, not at most 5 bullet points'
    """
    wanted = checker_of(constraint)
    if wanted is None:
        return Verdict(name=NAME, outcome="error", detail="not_checkable: code does not read this constraint")
    parts = wanted.parts if isinstance(wanted, AllOf) else (wanted,)
    stated = [one.checker for one in checkers_in(instruction)]
    missing = [one for one in parts if one not in stated]
    if not missing:
        return Verdict(name=NAME, outcome="pass")
    for one in missing:
        if other := next((said for said in stated if said.slot == one.slot), None):
            detail = f"altered: {other.said()}, not {one.said()}"
            return Verdict(name=NAME, outcome="fail", detail=detail)
    if lost := _lost(missing, instruction):
        return Verdict(name=NAME, outcome="fail", detail=f"left_out: {lost!r} is nowhere in the instruction")
    return Verdict(name=NAME, outcome="error", detail=f"not_read: {missing[0].said()!r} may stand there in other words")


def _lost(missing: list[Checker], instruction: str) -> str:
    """What must stand in any wording of the constraints and does not: a number, a quoted text, a language."""
    numbers = {number_of(one) for one in _NUMBER.findall(instruction)}
    said = f" {' '.join(words(instruction))} "
    for one in missing:
        plain = one.said()
        for quoted in re.findall(QUOTED, plain):
            if f" {' '.join(words(quoted))} " not in said:
                return str(quoted)[1:-1]
        unquoted = re.sub(QUOTED, "", plain)
        for number in _NUMBER.findall(unquoted):
            if number_of(number) not in numbers and number_of(number) not in (0, 1):
                return str(number)
        for name in LANGUAGES:
            if re.search(rf"\b{name}\b", unquoted, re.IGNORECASE) and f" {name} " not in said:
                return name
    return ""
