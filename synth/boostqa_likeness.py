r"""Whether a new question only says an old one again: with other numbers, other names, or a word or two changed.

``"Ora sells 3 bags at 4 marks. How many marks?"`` and ``"Emmer sells 7 bags at 2 marks. How many marks?"`` -> one
template, ``NAME sells NUMBER bags at NUMBER marks``, so the second is a number swap and teaches nothing that the first
does not.

The signs of a formula are words here: ``3 + 4`` and ``3 * 4`` are two templates. Names are capitalised words, those at
the head of a sentence among them, since only what stands at the same place of both texts is compared.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from mashbill.matching.number_words import number_in_words

MOST_WORDS = 400
"""Of either text: comparing takes time with the product of both lengths."""
_PIECE = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’-][^\W\d_]+)*|[^\w\s.,;:!?'\"’‘“”()\[\]{}$\\…-]|-(?=\s*\d)")
_POSSESSIVE = ("'s", "’s", "'S", "’S")


def template_of(text: str) -> tuple[str, ...]:
    """A text's words, with a mark for each number and each name.

    >>> template_of("Ora sells 3 bags at four marks.")
    ('NAME', 'sells', 'NUMBER', 'bags', 'at', 'NUMBER', 'marks')
    >>> template_of("What is 3 * 4?") == template_of("What is 3 + 4?")
    False
    """
    return tuple(_masked(piece) for piece in _PIECE.findall(text)[:MOST_WORDS])


def wording_of(text: str) -> tuple[str, ...]:
    """A text's words, numbers and signs in their order: two questions with one wording are one question.

    >>> wording_of("Take 3 from 5.") == wording_of("take 3 from 5"), wording_of("5 - 3") == wording_of("3 - 5")
    (True, False)
    """
    return tuple(piece.casefold() for piece in _PIECE.findall(text))


def likeness(one: str, other: str) -> float:
    """How alike two questions are once numbers and names are masked, from 0 to 1: 1 is a number swap.

    >>> likeness("Ora has 3 pens and 2 caps. How many?", "Emmer has 9 pens and 5 caps. How many?")
    1.0
    >>> likeness("Ora has 3 pens. How many?", "Which gas do plants take in?") < 0.5
    True
    """
    left, right = template_of(one), template_of(other)
    if left == right:
        return 1.0
    return SequenceMatcher(None, left, right, autojunk=False).ratio()


def _masked(piece: str) -> str:
    word = piece[:-2] if piece.endswith(_POSSESSIVE) else piece
    if word[0].isdigit() or (word.isalpha() and number_in_words(word.casefold()) is not None):
        return "NUMBER"
    return "NAME" if len(word) > 1 and word[0].isupper() else word.casefold()
