"""Constraints of instructions as sets: what makes two of them one, and the order in which a set is written.

``["Answer in French.", "Use at most five bullets"]`` and ``["use at most five bullets!", "answer in French"]`` are one
set. A set, and not a list: an instruction that gives its requirements in another order asks for the same thing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from mashbill.records import Constraint
from mashbill.words import words

CATEGORIES = ("content", "numerical", "style", "format", "language", "input_placeholder")
"""What a constraint can be about: the six of TCIA (arXiv 2508.20374, table 5)."""
PLACEHOLDER = "input_placeholder"
"""The category of the place where an input goes, as ``{transcript}``: it stands for data and is never searched over."""
_OTHER_NAMES = {
    "style tone": "style",
    "tone": "style",
    "style and tone": "style",
    "placeholder": PLACEHOLDER,
    "input": PLACEHOLDER,
    "number": "numerical",
    "numeric": "numerical",
    "length": "numerical",
    "formatting": "format",
    "structure": "format",
    "topic": "content",
    "subject": "content",
    "languages": "language",
}

SetKey = frozenset[str]
"""A set of constraints as it is compared: the keys of its members."""


@functools.lru_cache(maxsize=65_536)
def constraint_key(text: str) -> str:
    """What two wordings of one constraint have in common: their words, in order, without case and punctuation.

    >>> constraint_key("Use at most 5 bullets!"), constraint_key("  use AT most 5 bullets")
    ('use at most 5 bullets', 'use at most 5 bullets')
    >>> constraint_key("{ }")
    '{ }'
    """
    return " ".join(words(text)) or " ".join(text.casefold().split())


def set_key(constraints: Iterable[Constraint]) -> SetKey:
    """A set of constraints as it is compared: no order, no case, no repeats.

    >>> one, two = Constraint(category="style", text="Be brief."), Constraint(category="language", text="In French")
    >>> set_key([one, two]) == set_key([two, Constraint(category="content", text="be brief"), one])
    True
    """
    return frozenset(constraint_key(one.text) for one in constraints)


def canonical(constraints: Iterable[Constraint]) -> tuple[Constraint, ...]:
    """The constraints in the order in which a set is written: by their keys, one of each key, the first that is given.

    >>> said = [Constraint(category="style", text=text) for text in ("Be brief.", "Answer in French", "be brief")]
    >>> [each.text for each in canonical(said)]
    ['Answer in French', 'Be brief.']
    """
    by_key = dict[str, Constraint]()
    for one in constraints:
        by_key.setdefault(constraint_key(one.text), one)
    return tuple(by_key[key] for key in sorted(by_key))


def category_of(name: str) -> str:
    """The category that a name means, however it is written; the name itself where it means none.

    >>> category_of("Style/Tone"), category_of("Input Placeholder"), category_of("weather")
    ('style', 'input_placeholder', 'weather')
    """
    plain = " ".join(words(name.replace("_", " ")))
    underscored = plain.replace(" ", "_")
    return underscored if underscored in CATEGORIES else _OTHER_NAMES.get(plain, name)
