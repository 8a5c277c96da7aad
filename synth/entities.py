"""The entities of a document, from the list a model gave.

``["Ora Venn", "the Salt Guild", "Venn", "Salt guild", "King Arthur"]`` -> ``Ora Venn`` (alias ``Venn``) and
``the Salt Guild`` (alias ``Salt guild``); ``King Arthur``, who is not in the document, is dropped and counted.

Lists from models hold doubles, aliases and things the document never names. Each double multiplies the pairs (thirty
names of twenty things are 435 pairs, not 190) and each invented name asks for an invented relation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mashbill.words import folded_track, singular, track, words

LONGEST = 12
"""Words in a name at most: weak models list sentences."""

_ARTICLES = frozenset({"the", "a", "an"})
_HONORIFICS = frozenset({"mr", "mrs", "ms", "miss", "dr", "prof", "professor", "sir", "lady", "lord", "dame", "st"})
_ASIDE = re.compile(r"\s*[(\[][^)\]]*[)\]]")

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entity:
    """One thing the document speaks of, with the other names that were listed for it."""

    name: str
    aliases: tuple[str, ...] = ()

    def mentioned_in(self, folded: str) -> bool:
        """Whether it, or one of its aliases, stands in a text given as its `folded_track`."""
        return any(track(key_of(name)) in folded for name in (self.name, *self.aliases))


_FUNCTION = (
    "a an the this that these those it its he she they them his her their we you i of in on at by to for from with "
    "and or but if as is are was were be been not no so"
)
FUNCTION_WORDS = frozenset(_FUNCTION.split())
"""A name made of these alone is no name: small teachers list them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityList:
    """What became of the names listed: ``listed == len(entities) + merged + absent + unusable + capped``."""

    entities: tuple[Entity, ...]
    listed: int = 0
    merged: int = 0
    """Names taken for an alias of another."""
    absent: int = 0
    """Names that do not stand in the document."""
    unusable: int = 0
    """Blank, without a letter or digit, longer than `LONGEST` words, or only words like ``the``."""
    capped: int = 0
    """Names beyond the most that are wanted."""


def key_of(name: str) -> Key:
    """What two names of one thing have in common: words in the singular, without leading articles and honorifics.

    >>> key_of("The Salt Guilds"), key_of("Dr. Venn")
    (('salt', 'guild'), ('venn',))
    """
    found = words(name)
    while len(found) > 1 and found[0] in _ARTICLES | _HONORIFICS:
        found = found[1:]
    return tuple(singular(word) for word in found)


def clean(name: str) -> str:
    """A listed name as it will be written: one line, without asides, quotes and stray punctuation.

    >>> clean('  "Salt  Guild" (a union). ')
    'Salt Guild'
    """
    text = " ".join((_ASIDE.sub("", name) or name).split())
    return text.strip(" \t\"'“”‘’«»*_`.,;:-–—•#")


def resolve_entities(names: Iterable[str], text: str, most: int) -> EntityList:
    """The entities behind a list of names, in the order in which they were listed."""
    groups: dict[Key, list[str]] = {}
    listed = unusable = 0
    for name in names:
        listed += 1
        cleaned = clean(name)
        key = key_of(cleaned)
        if not key or len(key) > LONGEST or set(key) <= FUNCTION_WORDS:
            unusable += 1
        else:
            groups.setdefault(key, []).append(cleaned)
    folded = folded_track(text)
    present = {key: forms for key, forms in groups.items() if track(key) in folded}
    absent = sum(len(forms) for key, forms in groups.items() if key not in present)
    joined = _join_short_names(present, text, folded)
    kept = list(joined.values())[:most]
    return EntityList(
        entities=tuple(Entity(forms[0], tuple(dict.fromkeys(forms[1:]))) for forms in kept),
        listed=listed,
        merged=sum(len(forms) - 1 for forms in kept),
        absent=absent,
        unusable=unusable,
        capped=sum(len(forms) for forms in list(joined.values())[most:]),
    )


def _join_short_names(groups: dict[Key, list[str]], text: str, folded: str) -> dict[Key, list[str]]:
    """Give ``Venn`` to ``Ora Venn``, where no other listed name could be meant."""
    home = {key: _longer_name(key, groups, text, folded) or key for key in groups}
    joined: dict[Key, list[str]] = {key: [*groups[key]] for key in groups if home[key] == key}
    for key, target in home.items():
        if target != key:
            joined[target] += groups[key]
    # A thing takes the place of its earliest name, so that a cap keeps what the model thought of first.
    place = {key: rank for rank, key in enumerate(groups)}
    first = {target: min(place[key] for key in groups if home[key] == target) for target in joined}
    return {key: joined[key] for key in sorted(joined, key=first.__getitem__)}


def _longer_name(key: Key, groups: dict[Key, list[str]], text: str, folded: str) -> Key | None:
    longer = [other for other in groups if len(other) > len(key) and track(key) in track(other)]
    if not longer:
        return None
    target = max(longer, key=len)
    if any(track(other) not in track(target) for other in longer):
        return None  # Tesk, with Ammory Tesk and Jorrane Tesk
    if folded.count(track(key)) == folded.count(track(target)):
        return target  # it never stands alone
    # Only a proper name at the end: Kessenbray is not Kessenbray Harbour, and salt is not the Salt Guild.
    ends = target[-len(key) :] == key
    return target if ends and all(_is_proper(form, text) for form in groups[key]) else None


def _is_proper(name: str, text: str) -> bool:
    """Whether the document always writes it with capitals."""
    lower = name.lower()
    return lower != name.upper() and re.search(rf"(?<!\w){re.escape(lower)}s?(?!\w)", text) is None
