"""Constraints that cannot both hold, as far as that can be seen from their words.

``at most five bullets`` and ``exactly 3 bullets`` limit one measure; ``in French`` and ``in German`` are two
languages. At most one of each measure: ``at least 50 words`` with ``at most 100 words`` would go, and is refused all
the same. What words do not show (``cheerful``, ``for a funeral``) is left to the judge of the finished instruction.
"""

from __future__ import annotations

import re

from mashbill.constraint_sets import PLACEHOLDER
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

    >>> sorted(measures_of(Constraint(category="numerical", text="Use at most five short bullets.")))
    ['count of bullet']
    >>> sorted(measures_of(Constraint(category="format", text="Answer in French, as JSON")))
    ['form', 'language']
    """
    if constraint.category == PLACEHOLDER:
        return frozenset()
    said = words(constraint.text)
    plain = " ".join(said)
    found = {f"count of {unit}" for unit in _counted(said)}
    if constraint.category == "language" or _LANGUAGE.search(plain):
        found.add("language")
    if constraint.category != "content" and not _FORMATS.isdisjoint(said):
        found.add("form")
    if _CASING.search(plain):
        found.add("casing")
    return frozenset(found)


def conflict(one: Constraint, other: Constraint) -> str:
    """The measure that two constraints both fix, or nothing.

    >>> french, german = (Constraint(category="language", text=text) for text in ("in French", "in German"))
    >>> conflict(french, german), conflict(french, Constraint(category="style", text="be brief"))
    ('language', '')
    """
    return min(measures_of(one) & measures_of(other), default="")


def _counted(said: list[str]) -> set[str]:
    """The units that follow a number."""
    figures = [next(iter(spoken_words(word)), "").isdecimal() for word in said]
    return {
        unit
        for at, is_number in enumerate(figures)
        if is_number
        for unit in [_first_unit(said[at + 1 : at + 2 + _BETWEEN])]
        if unit
    }


def _first_unit(following: list[str]) -> str:
    units = (singular(word) for word in following)
    return next((_SAME.get(unit, unit) for unit in units if unit in UNITS), "")


_SAME = {"point": "bullet", "item": "bullet"}
"""``five points``, ``five items`` and ``five bullets`` count the same lines."""
