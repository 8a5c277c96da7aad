"""Words for comparing texts: which ones a text has, and whether a name stands in it.

``The Salt-Guild's rules`` -> ``["the", "salt", "guild", "rules"]``

Comparison is by whole words, without case, punctuation or possessives: as characters, ``art`` stands in ``party``.
Scripts written without spaces count each character as a word, so a name can be found inside a sentence. Marks belong
to their word: without the vowel signs of Hindi or the tone marks of Thai other words would be left.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana and Han, as a class of a regular expression: no spaces between words."""
ARTICLES = frozenset({"the", "a", "an"})
_SIBILANT_PLURAL = ("xes", "ches", "shes", "sses", "zes")
_DRESS = re.compile("(?<=[\u0000-\u03ff])[\u0300-\u036f]+|[\u0591-\u05bd\u05bf\u05c1-\u05c7\u064b-\u0652\u0670]")
"""Accents on Latin and Greek letters, and vowel points. Other scripts' marks make other letters (и, й; か, が)."""


_UNSPACED = re.compile(f"[{UNSPACED}]")


def is_unspaced(text: str) -> bool:
    """Whether a text has a letter of a script without spaces.

    >>> is_unspaced("東京"), is_unspaced("서울"), is_unspaced("tiếng")
    (True, False, False)
    """
    return _UNSPACED.search(text) is not None


@functools.cache
def _word() -> re.Pattern[str]:
    marks = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M")
    word = rf"(?:[^\W_{UNSPACED}]++[{marks}]*+)++"
    return re.compile(rf"[{UNSPACED}]|{word}(?:['’]{word})*")


def fold(text: str) -> str:
    """A text without case and accents.

    >>> fold("Élan Ⅳ"), fold("straße"), fold("かぎ")
    ('elan iv', 'strasse', 'かぎ')
    """
    plain = _DRESS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return unicodedata.normalize("NFC", plain)


def tokens(text: str) -> list[str]:
    """The words of a text as they are written; a possessive counts as its word.

    >>> tokens("The Salt-Guild’s rules, 1842")
    ['The', 'Salt', 'Guild', 'rules', '1842']
    """
    found = _word().findall(unicodedata.normalize("NFKC", text))
    return [word[:-2] if word.endswith(("'s", "’s", "'S", "’S")) else word for word in found]


def words(text: str) -> list[str]:
    """The words of a text, folded for comparison; accents stay.

    >>> words("The Salt-Guild’s rules, 1842")
    ['the', 'salt', 'guild', 'rules', '1842']
    """
    return [word.casefold() for word in tokens(text)]


def singular(word: str) -> str:
    """A word with the commonest English plural endings taken off; only for comparing, since it errs on odd words.

    >>> [singular(word) for word in ("boxes", "cities", "guilds", "glass", "tides", "gas")]
    ['box', 'city', 'guild', 'glass', 'tide', 'gas']
    """
    if len(word) <= 3 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(_SIBILANT_PLURAL):
        return word[:-2]
    return word.removesuffix("s")


def track(tokens: Iterable[str]) -> str:
    """Words laid end to end so that ``in`` and ``count`` see whole words only.

    >>> track(["salt"]) in track(["sea", "salt"]), track(["alt"]) in track(["sea", "salt"])
    (True, False)
    """
    return "".join(f" {token} " for token in tokens)


def folded_track(text: str) -> str:
    """The track of a text's words in the singular: what names are looked up in."""
    return track(singular(word) for word in words(text))


def grams(tokens: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """Every run of `size` words, in order."""
    return [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]


def copied_share(tokens: Sequence[str], source: frozenset[tuple[str, ...]], size: int) -> float:
    """The share of words that lie in a run of `size` words that the source has too.

    >>> copied_share(["a", "b", "c", "x"], frozenset(grams(["a", "b", "c", "d"], 3)), 3)
    0.75
    """
    copied = bytearray(len(tokens))
    for at, gram in enumerate(grams(tokens, size)):
        if gram in source:
            copied[at : at + size] = b"\x01" * size
    return sum(copied) / len(tokens) if tokens else 0.0
