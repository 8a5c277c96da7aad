"""What two spellings of one name have in common, and what tells two names apart for certain.

``"The Salt-Guilds"``, ``"salt guild"`` -> ``"salt guild"``;  ``"Type 1"`` and ``"Type 2"`` are never one thing.

Conservative: case, accents, punctuation, a leading article and English plurals are taken off and nothing else, since
what is made equal here is merged without asking anybody.
"""

from __future__ import annotations

import functools
import re
import unicodedata

ARTICLES = frozenset({"the", "a", "an"})
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SIBILANT_PLURAL = ("xes", "ches", "shes", "sses", "zes")
_ROMAN = re.compile(r"(?=[ivx])(?:x{0,3})(?:ix|iv|v?i{0,3})")
SMALL_WORDS = frozenset({"of", "the", "and", "for", "in", "on", "at", "to", "a", "an", "de", "la"})

Words = tuple[str, ...]


def fold(text: str) -> str:
    """A text without case and accents.

    >>> fold("Élan Ⅳ"), fold("straße")
    ('elan iv', 'strasse')
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def words_of(text: str) -> list[str]:
    """The folded words of a text; a possessive counts as its word.

    >>> words_of("The Salt-Guild’s rules, 1842")
    ['the', 'salt', 'guild', 'rules', '1842']
    """
    return [word[:-2] if word.endswith(("'s", "’s")) else word for word in _WORD.findall(fold(text))]


def singular(word: str) -> str:
    """A word without the commonest English plural endings.

    >>> [singular(word) for word in ("boxes", "cities", "guilds", "glass", "tides", "gas", "virus")]
    ['box', 'city', 'guild', 'glass', 'tide', 'gas', 'virus']
    """
    if len(word) <= 3 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(_SIBILANT_PLURAL):
        return word[:-2]
    return word.removesuffix("s")


@functools.lru_cache(maxsize=200_000)
def key_of(name: str) -> str:
    """What a name is compared by; a name without a letter or digit is its own key.

    >>> key_of("The Salt-Guilds"), key_of("An"), key_of("C++"), key_of("C#")
    ('salt guild', 'an', 'c++', 'c#')
    """
    found = words_of(name)
    if not found or _telling(name):
        return " ".join(name.casefold().split())
    while len(found) > 1 and found[0] in ARTICLES:
        found = found[1:]
    return " ".join(singular(word) for word in found)


def _telling(name: str) -> bool:
    """Whether its signs are part of the name: C++ is not C, and +5 is not -5."""
    return re.search(r"[^\W_][+#]+(?!\w)|(?<!\w)[-−+]\d", name) is not None


def contains_name(folded_words: str, name: str) -> bool:
    """Whether a name stands, as whole words in the singular, in a text given as its `word_track`.

    >>> track = word_track("Ora Venn founded the Salt Guilds' hall.")
    >>> contains_name(track, "the Salt Guild"), contains_name(track, "alt"), contains_name(track, "++")
    (True, False, False)
    """
    wanted = [word for word in words_of(name) if word]
    while len(wanted) > 1 and wanted[0] in ARTICLES:
        wanted = wanted[1:]
    return bool(wanted) and "".join(f" {singular(word)} " for word in wanted) in folded_words


def word_track(text: str) -> str:
    """A text's singular words laid end to end, each with a space before and after."""
    return "".join(f" {singular(word)} " for word in words_of(text))


def numbers_in(key: str) -> tuple[str, ...]:
    """The numbers of a key: digits, and Roman ones after the first word.

    >>> numbers_in("type 2 diabete"), numbers_in("factor viii"), numbers_in("salt guild"), numbers_in("mix iv")
    (('2',), ('viii',), (), ('iv',))
    """
    found = re.findall(r"\d+(?:[.,]\d+)*", key)
    roman = [word for word in key.split()[1:] if _ROMAN.fullmatch(word)]
    return (*found, *roman)


def clearly_differ(left: str, right: str) -> bool:
    """Whether two keys are two things for certain, however alike they look: both have numbers, and others.

    >>> clearly_differ("census of 1842", "census of 1843"), clearly_differ("census", "census of 1843")
    (True, False)
    """
    one, other = numbers_in(left), numbers_in(right)
    return bool(one) and bool(other) and sorted(one) != sorted(other)


def worth_asking(left: str, right: str) -> bool:
    """Whether the form of two keys alone makes them a doubtful pair: a part of the other, or its initials.

    >>> worth_asking("venn", "ora venn"), worth_asking("who", "world health organization")
    (True, True)
    >>> worth_asking("salt", "lamp oil"), worth_asking("of", "salt of the sea")
    (False, False)
    """
    short, long = sorted((left.split(), right.split()), key=len)
    if not short or len(short) == len(long):
        return False
    if len(short) == 1 and short[0] in initials(long):
        return True
    own = set(short) - SMALL_WORDS
    # At the end (Venn, Ora Venn) or at the start (diabetes, diabetes mellitus), as names are shortened.
    ends = long[-len(short) :] == short or long[: len(short)] == short
    return bool(own) and ends


def initials(words: list[str]) -> set[str]:
    """The initials of several words, with and without small ones.

    >>> sorted(initials(["bank", "of", "adrow", "bay"]))
    ['bab', 'boab']
    """
    if len(words) < 2:
        return set()
    large = [word for word in words if word not in SMALL_WORDS]
    made = {"".join(word[0] for word in kept) for kept in (words, large)}
    return {one for one in made if len(one) >= 2}
