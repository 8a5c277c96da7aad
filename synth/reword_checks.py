"""What a question in other words must keep, and what it may not bring back.

``It preserves herring. Which good is meant?`` reworded as ``Which good, taxed by the Salt Guild, preserves herring?``
-> reject ``removed_name_restored``: the guild's name was taken out to make the question harder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mashbill.errors import BadReply
from mashbill.qa_text import option_key, spoken
from mashbill.records import QA
from mashbill.words import folded_track, singular, tokens, track, words
from synth.entities import FUNCTION_WORDS, key_of

HIDDEN = "not_named"
"""The verdict that `harden` gives for each name that it took out; the name is its detail."""
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=\S)")
_EMPTY_LIST = "something someone thing has have had which what who whom whose where when does do did also there one"
_EMPTY = FUNCTION_WORDS | frozenset(_EMPTY_LIST.split())
STEM = 4
"""Letters by which two forms of a word are one: taxes, taxed, taxing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """One sentence of a question that tells something."""

    text: str
    names: tuple[str, ...]
    """Names of nodes in it."""
    said: tuple[str, ...]
    """Its other words that carry meaning."""


def clues_of(record: QA) -> list[Clue]:
    """The sentences of a hardened question but its last, which asks."""
    return [_clue(sentence, told_names(record)) for sentence in _SENTENCE.split(record.question.strip())[:-1]]


def told_names(record: QA) -> list[str]:
    """The names of nodes on the row's facts that its question gives, the longer first."""
    folded = folded_track(record.question)
    nodes = dict.fromkeys(spoken(name) for edge in record.path for name in (edge.head, edge.tail))
    return sorted((name for name in nodes if _stands(name, folded)), key=lambda name: (-len(name), name))


def hidden_names(record: QA) -> list[str]:
    """The names that were taken out, but for those that the question gives after all."""
    folded = folded_track(record.question)
    return [one.detail for one in record.verdicts if one.name == HIDDEN and not _stands(one.detail, folded)]


def check_reworded(text: str, record: QA, *, keep_words: bool) -> None:
    """Refuse a rewording that is none, that tells more or less than the question, or that gives its answer.

    Raises:
        BadReply: ``asks_nothing``, ``several_questions``, ``unchanged``, ``answer_told``, ``removed_name_restored``,
            ``clue_lost``, ``kind_lost`` or ``name_added``.
    """
    folded = folded_track(text)
    if "?" not in text:
        raise BadReply("asks_nothing", "there is no question mark")
    if text.count("?") > 1:
        raise BadReply("several_questions", f"{text.count('?')} question marks, 1 wanted")
    if words(text) == words(record.question):
        raise BadReply("unchanged", "it has the question's own words in their order")
    for name in hidden_names(record):
        if _stands(name, folded):
            raise BadReply("removed_name_restored", f"it names {name!r}, which was taken out")
    for answer in dict.fromkeys((record.answer, *record.accepted)):
        if _stands(answer, folded):
            raise BadReply("answer_told", f"it names {answer!r}")
    for clue in clues_of(record):
        _check_kept(clue, folded, keep_words=keep_words)
    kind = spoken(record.category)
    if kind and _stands(kind, folded_track(_SENTENCE.split(record.question.strip())[-1])) and not _stands(kind, folded):
        raise BadReply("kind_lost", f"it does not say that a {kind} is meant")
    _check_added(text, record)


def _clue(sentence: str, names: Sequence[str]) -> Clue:
    folded, named = folded_track(sentence), []
    for name in names:
        if _stands(name, folded):
            named.append(name)
            folded = folded.replace(track(key_of(name)), " ")
    said = [word for word in folded.split() if word not in _EMPTY and len(word) > 1]
    return Clue(text=sentence, names=tuple(named), said=tuple(dict.fromkeys(said)))


def _check_kept(clue: Clue, folded: str, *, keep_words: bool) -> None:
    for name in clue.names:
        if not _stands(name, folded):
            raise BadReply("clue_lost", f"{clue.text!r} is gone: {name!r} is not named")
    if not keep_words or not clue.said:
        return
    stems = {word[:STEM] for word in folded.split()}
    if not any(word[:STEM] in stems for word in clue.said):
        raise BadReply("clue_lost", f"{clue.text!r} is gone: it has none of {', '.join(clue.said)}")


def _check_added(text: str, record: QA) -> None:
    """A name or a number that the question does not have is a clue of the model's own."""
    known = {singular(word) for word in words(f"{record.question} {record.category}")}
    for sentence in _SENTENCE.split(text.strip()):
        for at, word in enumerate(tokens(sentence)):
            name = (at > 0 and word[:1].isupper() and word != "I") or any(letter.isdigit() for letter in word)
            if name and singular(word.casefold()) not in known:
                raise BadReply("name_added", f"it has {word!r}, which the question has not")


def _stands(name: str, folded: str) -> bool:
    key = key_of(name)
    return bool(key and option_key(name)) and track(key) in folded
