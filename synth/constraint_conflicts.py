"""Constraints that cannot both hold, as far as that can be seen from their words.

``at most five bullets`` and ``exactly 3 bullets`` limit one measure; ``in French`` and ``in German`` are two
languages. At most one of each measure: ``at least 50 words`` with ``at most 100 words`` would go, and is refused all
the same. What words do not show (``cheerful``, ``for a funeral``) is left to the judge of the finished instruction.
"""

from __future__ import annotations

import re

from mashbill.constraint_sets import PLACEHOLDER
from mashbill.constraints import checkers_in
from mashbill.records import Constraint
from mashbill.words import singular, words
from synth.decompose_reply import spoken_words

_UNITS = (
    "word sentence paragraph character letter line page bullet point item section step token stanza verse example row "
    "column heading minute second emoji"
)
UNITS = frozenset(_UNITS.split())
"""What counts limit."""
_FORMATS = frozenset({"json", "xml", "yaml", "csv", "html", "latex", "table", "prose"})
"""Forms that a whole answer has one of."""
_LANGUAGES = (
    "arabic|bengali|chinese|czech|danish|dutch|english|finnish|french|german|greek|hebrew|hindi|hungarian|indonesian|"
    "italian|japanese|korean|latin|norwegian|persian|polish|portuguese|romanian|russian|spanish|swahili|swedish|thai|"
    "turkish|ukrainian|urdu|vietnamese"
)
_LANGUAGE = re.compile(rf"\b(?:in|into|use|using|to) (?:plain |simple |formal )?(?:{_LANGUAGES})\b")
_CASING = re.compile(r"\b(?:lower ?case|upper ?case|all caps|capital letters|title case)\b")
_BETWEEN = 2
"""Words between a count and what it counts: ``three short clear bullets``."""


def measures_of(constraint: Constraint) -> frozenset[str]:
    """What a constraint fixes of which an answer has only one.

    Constraints that code can check (`mashbill.constraints`) say it themselves; others are read by their words.

    >>> sorted(measures_of(Constraint(category="numerical", text="Use at most five short bullets.")))
    ['items:bullet points']
    >>> sorted(measures_of(Constraint(category="format", text="Answer in French, as JSON")))
    ['form', 'form:json', 'language']
    """
    if constraint.category == PLACEHOLDER:
        return frozenset()
    slots = {one.checker.slot for one in checkers_in(constraint.text)}
    said = words(constraint.text)
    plain = " ".join(said)
    found = slots if any(slot.startswith(("items:", "length:")) for slot in slots) else slots | _counted(said)
    if constraint.category == "language" or _LANGUAGE.search(plain):
        found = found | {"language"}
    if constraint.category != "content" and not _FORMATS.isdisjoint(said):
        found = found | {"form"}
    if _CASING.search(plain):
        found = found | {"casing"}
    return frozenset(found)


def conflict(one: Constraint, other: Constraint) -> str:
    """The measure that two constraints both fix, or nothing.

    >>> french, german = (Constraint(category="language", text=text) for text in ("in French", "in German"))
    >>> conflict(french, german), conflict(french, Constraint(category="style", text="be brief"))
    ('language', '')
    """
    return min(measures_of(one) & measures_of(other), default="")


def _counted(said: list[str]) -> set[str]:
    """The measures that a number is followed by."""
    found = set[str]()
    for at, word in enumerate(said):
        if next(iter(spoken_words(word)), "").isdecimal():
            units = (singular(one) for one in said[at + 1 : at + 2 + _BETWEEN])
            found |= {_MEASURES.get(unit, f"length:{unit}s:answer") for unit in units if unit in UNITS}
    return found


_MEASURES = dict.fromkeys(("bullet", "point", "item"), "items:bullet points")
"""``five points``, ``five items`` and ``five bullets`` count the same lines."""
