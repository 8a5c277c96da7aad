"""What two spellings of one name have in common, and what tells two names apart for certain.

``"The Salt-Guilds"``, ``"salt guild"`` -> ``"salt guild"``;  ``"Type 1"`` and ``"Type 2"`` are never one thing.

Conservative: case, accents, punctuation, a leading article and English plurals are taken off and nothing else, since
what is made equal here is merged without asking anybody.
"""

from __future__ import annotations

import functools
import re
import unicodedata

from mashbill.words import ARTICLES, UNSPACED, fold, folded_track, singular, tokens, words

SMALL_WORDS = frozenset({"of", "the", "and", "for", "in", "on", "at", "to", "a", "an", "de", "la"})
_ROMAN = re.compile(r"(?=[ivx])(?P<tens>x{0,3})(?P<ones>ix|iv|v?i{0,3})")
_ONES = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
_ACRONYM = re.compile(r"([A-Z]{2,5})s?")
_GLUED = re.compile(rf"(?<=[{UNSPACED}]) (?=[{UNSPACED}])")
_SIGNS = re.compile(r"[^\W_]#+(?!\w)|[^\W_][-%‰](?!\w)|(?<![\w-])-\d|(?<![\w.])\.\w|^[^*]*[^\W_]\*(?!\w)[^*]*$")

Words = tuple[str, ...]


def words_of(text: str) -> list[str]:
    """The words of a text without case and accents; a possessive counts as its word.

    >>> words_of("The Café-Guild’s rules, 1842")
    ['the', 'cafe', 'guild', 'rules', '1842']
    """
    return words(fold(text))


@functools.lru_cache(maxsize=200_000)
def key_of(name: str) -> str:
    """What a name is compared by; a name without a letter or digit is its own key.

    Plurals are taken off words in small letters alone: Adams is not Adam. A word of two to five capitals keeps them:
    US is not us, and AIDS is no aid.

    >>> key_of("The Salt guilds"), key_of("An"), key_of("C++"), key_of("C#")
    ('salt guild', 'an', 'c++', 'c#')
    >>> key_of("John Adams"), key_of("the US"), key_of("us"), key_of("MRIs")
    ('john adams', 'US', 'us', 'MRI')
    """
    found = tokens(name)
    if not found or is_telling(name):
        return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    while len(found) > 1 and fold(found[0]) in ARTICLES:
        found = found[1:]
    if len(found) == 1 and (acronym := _ACRONYM.fullmatch(found[0])):
        return acronym[1]
    bare = ((fold(word), word.islower()) for word in found)
    key = " ".join(singular(word) if small else word for word, small in bare if word)
    return _GLUED.sub("", key)


def is_telling(name: str) -> bool:
    """Whether its signs are part of the name: C++ is not C, +5 is not -5, and > 30 is not < 30.

    >>> [name for name in ("C++", "Na⁺", "A-", "A*", "< 65", "10%", ".NET") if not is_telling(name)]
    []
    >>> [name for name in ("*Salt*", "Salt-Guild", "U.S.", "1842-45") if is_telling(name)]
    []
    """
    plain = unicodedata.normalize("NFKC", name)
    return any(unicodedata.category(letter) in ("Sm", "Sc") for letter in plain) or bool(_SIGNS.search(plain))


def contains_name(folded_words: str, name: str) -> bool:
    """Whether a name stands, as whole words in the singular, in a text given as its `word_track`.

    >>> track = word_track("Ora Venn founded the Salt Guilds' hall.")
    >>> contains_name(track, "the Salt Guild"), contains_name(track, "alt"), contains_name(track, "++")
    (True, False, False)
    """
    wanted = words_of(name)
    while len(wanted) > 1 and wanted[0] in ARTICLES:
        wanted = wanted[1:]
    return bool(wanted) and "".join(f" {singular(word)} " for word in wanted) in folded_words


def word_track(text: str) -> str:
    """A text's singular words laid end to end, each with a space before and after."""
    return folded_track(fold(text))


@functools.lru_cache(maxsize=200_000)
def numbers_in(key: str) -> tuple[str, ...]:
    """The numbers of a key, sorted: digits, and Roman ones after the first word, which count as what they are.

    >>> numbers_in("type 2 diabete"), numbers_in("type ii"), numbers_in("salt guild"), numbers_in("mix iv")
    (('2',), ('2',), (), ('4',))
    """
    found = [one.lstrip("0") or "0" for one in re.findall(r"\d+(?:[.,]\d+)*", key)]
    roman = [_roman(match) for word in key.split()[1:] if (match := _ROMAN.fullmatch(word))]
    return tuple(sorted([*found, *roman]))


def _roman(match: re.Match[str]) -> str:
    return str(10 * len(match["tens"]) + _ONES.index(match["ones"]))


def clearly_differ(left: str, right: str) -> bool:
    """Whether two keys are two things for certain, however alike they look: both have numbers, and others.

    >>> clearly_differ("census of 1842", "census of 1843"), clearly_differ("census", "census of 1843")
    (True, False)
    """
    one, other = numbers_in(left), numbers_in(right)
    return bool(one) and bool(other) and one != other


def turned_round(left: str, right: str) -> bool:
    """Whether two keys are one name turned round by ``of``, or by ``and``; other orders are other names.

    >>> turned_round("university of oxford", "oxford university"), turned_round("salt and oil", "oil and salt")
    (True, True)
    >>> turned_round("martin luther", "luther martin"), turned_round("baden", "baden baden")
    (False, False)
    """
    one, other = left.split(), right.split()
    return _turned(one, other) or _turned(other, one)


def _turned(one: list[str], other: list[str]) -> bool:
    for joint in ("of", "and"):
        if one.count(joint) == 1:
            at = one.index(joint)
            before, after = one[:at], one[at + 1 :]
            middle = [joint] if joint == "and" else []
            bare = after[1:] if after[:1] == ["the"] else after
            if before and any([*rest, *middle, *before] == other for rest in (after, bare) if rest):
                return True
    return False


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
