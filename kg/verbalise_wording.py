"""A fact of a graph in words, whatever the label of its relation: by a template that is given, or by the label.

``alga isa entity`` -> ``Alga is a kind of entity.``; ``fever manifestation_of malaria`` -> ``Fever is a manifestation
of malaria.``; ``Ora educated_at Marrow College`` -> ``Ora is educated at Marrow College.``; ``Veylund capital
Vintrack`` -> ``Veylund has Vintrack as its capital.``

A fact is always said in the direction in which the graph states it, also where a path walks it backwards: a label put
into words backwards is easily false.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mashbill.qa_text import spoken
from mashbill.records import Edge

_KNOWN = {
    "isa": "is a kind of {tail}",
    "is a": "is a kind of {tail}",
    "kind of": "is a kind of {tail}",
    "type": "is a kind of {tail}",
    "type of": "is a kind of {tail}",
    "subclass of": "is a kind of {tail}",
    "sub class of": "is a kind of {tail}",
    "subtype of": "is a kind of {tail}",
    "instance of": "is an instance of {tail}",
    "hypernym": "is a kind of {tail}",
    "belongs to": "belongs to {tail}",
    "has": "has {tail}",
    "same as": "is the same as {tail}",
}
_PREPOSITION_LIST = "with to in by on at from for as into near under over after before against about"
_PARTICIPLE_LIST = (
    "born made held found known sold given taken written built led seen lit kept bred drawn worn grown spoken shown "
    "won lost bound fed taught sent spent left met set put cut"
)
_DIRECTION_LIST = "north south east west ahead outside inside upstream downstream left right"
_PREPOSITIONS = frozenset(_PREPOSITION_LIST.split())
_PARTICIPLES = frozenset(_PARTICIPLE_LIST.split())
_DIRECTIONS = frozenset(_DIRECTION_LIST.split())
_PLACES = re.compile(r"\{(head|tail)\}")


@dataclass(frozen=True, slots=True)
class Phrase:
    """How one relation is said."""

    predicate: str
    """What is said of the head, with ``{tail}`` in it."""
    sentences: tuple[str, ...]
    """Whole sentences with ``{head}`` and ``{tail}``, without the full stop; the first is the plainest."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """Templates by relation, over the ones made from labels; a field of steps that write sentences."""

    templates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Relation -> sentences with {head} and {tail}, without full stop; one that begins with {head} serves in chains."""

    def __post_init__(self) -> None:
        """Refuse a template that lacks an end of the fact."""
        for relation, sentences in self.templates.items():
            for sentence in sentences:
                if sorted(set(_PLACES.findall(sentence))) != ["head", "tail"]:
                    raise ValueError(f"templates: {relation}: {sentence!r} must have both {{head}} and {{tail}}")
            if not sentences:
                raise ValueError(f"templates: {relation} has no sentence")

    def phrase(self, relation: str) -> Phrase:
        """How a relation is said."""
        made = phrase_of(relation)
        if relation not in self.templates:
            return made
        given = self.templates[relation]
        leading = next((one for one in given if one.startswith("{head} ") and one.count("{head}") == 1), "")
        predicate = leading.removeprefix("{head} ") or made.predicate
        return Phrase(predicate, tuple(given))

    def sentence(self, head: str, relation: str, tail: str, variant: int = 0) -> str:
        """A fact as a sentence; variants are counted round."""
        sentences = self.phrase(relation).sentences
        return finished(filled(sentences[variant % len(sentences)], head, tail))

    def told(self, edge: Edge, names: Mapping[str, str] | None = None, variant: int = 0) -> str:
        """An edge of a path as a sentence, in the direction of its triple."""
        head, relation, tail = edge.triple
        names = names or {}
        return self.sentence(names.get(head, spoken(head)), relation, names.get(tail, spoken(tail)), variant)

    def predicate(self, relation: str, tail: str) -> str:
        """What a relation says of its head.

        >>> Wording().predicate("part_of", "the guild")
        'is a part of the guild'
        """
        return _PLACES.sub(lambda place: tail, self.phrase(relation).predicate)


@functools.cache
def phrase_of(relation: str) -> Phrase:
    """How a label is said when nobody gave a template for it.

    >>> [phrase_of(label).predicate for label in ("process_of", "co-occurs_with", "founded_by", "birthPlace")]
    ['is a process of {tail}', 'co-occurs with {tail}', 'is founded by {tail}', 'has {tail} as its birth place']
    """
    label = _PLACES.sub(r"(\1)", spoken(relation))  # a label is no template, whatever stands in it
    words = label.lower().split() or ["related", "to"]
    predicate = _KNOWN.get(" ".join(words)) or _by_form(words)
    return Phrase(predicate, tuple(dict.fromkeys(_sentences(predicate))))


def _by_form(words: Sequence[str]) -> str:
    first, last, label = words[0], words[-1], " ".join(words)
    if first in ("is", "are", "was", "were", "can", "may", "does"):
        return f"{label} {{tail}}"
    if first == "has" and len(words) > 1:
        rest = words[1:-1] if last == "of" and len(words) > 2 else words[1:]
        return f"has {{tail}} as {article(' '.join(rest))} {' '.join(rest)}"
    if _is_verb(first):
        # ``assesses effect of`` lacks what labels leave out; ``consists of`` and ``co-occurs with`` lack nothing.
        noun = len(words) > 2 and last == "of"
        return f"{first} the {' '.join(words[1:])} {{tail}}" if noun else f"{label} {{tail}}"
    if last in _PREPOSITIONS and any(_is_participle(word) for word in words[:-1]):
        return f"is {label} {{tail}}"
    if last == "to" or (last in _PREPOSITIONS and len(words) == 1):
        return f"is {label} {{tail}}"
    if last == "of" and (_is_participle(first) or first in _DIRECTIONS):
        return f"is {label} {{tail}}"
    if (last == "of" or last in _PREPOSITIONS) and len(words) > 1:
        return f"is {article(label)} {label} {{tail}}"
    return f"has {{tail}} as its {label}"


def _is_verb(word: str) -> bool:
    """A verb in the third person, as labels have them: ``affects``, ``co-occurs``; not ``process`` or ``basis``."""
    return word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3


def _is_participle(word: str) -> bool:
    return word in _PARTICIPLES or (word.endswith("ed") and len(word) > 4)


def _sentences(predicate: str) -> list[str]:
    plain = f"{{head}} {predicate}"
    noun = re.fullmatch(r"is an? (.+ (?:of|in)) \{tail\}", predicate)
    if noun and noun[1] != "kind of":
        return [
            plain,
            f"one {noun[1]} {{tail}} is {{head}}",
            f"{{head}} is known as {article(noun[1])} {noun[1]} {{tail}}",
        ]
    owned = re.fullmatch(r"has \{tail\} as (?:its|an?) (.+)", predicate)
    if owned:
        return [plain, f"{article(owned[1])} {owned[1]} of {{head}} is {{tail}}"]
    if predicate == "is a kind of {tail}":
        return [plain, "one kind of {tail} is {head}", "{head} counts as a kind of {tail}"]
    said = predicate.removesuffix(" {tail}")
    return [plain, f"among the things that {{head}} {said} is {{tail}}", f"{{tail}} is something that {{head}} {said}"]


def article(words: str) -> str:
    """``a`` or ``an``, by the first letter and the few words where it misleads.

    >>> article("issue in"), article("unit of"), article("hour of"), article("process of")
    ('an', 'a', 'an', 'a')
    """
    word = words.lower().split()[0]
    if re.match(r"(?:uni|use|uti|eu|one|ubiq)", word) and not word.startswith(("unin", "unim")):
        return "a"
    return "an" if re.match(r"(?:[aeiou]|hour|honest|heir)", word) else "a"


def filled(template: str, head: str, tail: str) -> str:
    """The template with both ends, in one pass: a name with braces in it is no template."""
    return _PLACES.sub(lambda place: head if place[1] == "head" else tail, template)


def finished(sentence: str) -> str:
    """A clause as a sentence: a capital at its head, one full stop at its end.

    >>> finished("alga is a plant"), finished("the Salt Guild Inc.")
    ('Alga is a plant.', 'The Salt Guild Inc.')
    """
    text = " ".join(sentence.split())
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def joined(names: Sequence[str]) -> str:
    """Names as a list in a sentence.

    >>> joined(["oak"]), joined(["oak", "salt"]), joined(["oak", "salt", "tar"])
    ('oak', 'oak and salt', 'oak, salt and tar')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
