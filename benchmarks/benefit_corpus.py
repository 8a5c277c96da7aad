"""A made world of people, the documents about them, and a teacher that makes no mistakes.

Everything here is invented: 120 people with six attributes of 20 values each, and eight wordings of each attribute. One
document is one person, each fact once, in one wording, with a pronoun after the first sentence::

    Ravek was born in Tarvel . she works as a Korrin . …

The teacher stands in for a large model. It is a program that knows the world: it looks its person up by the title in
the prompt, and takes its wordings by the request's seed, as sampling at temperature 1.0 would. What it writes for which
prompt is the assumption of the benchmark:

* a rephrasing follows the document: all facts in its order, pronouns after the first, wordings of the style asked for;
* a relation text tells what bears on each of its entities, and then how they go together, with full names throughout,
  as EntiGraph's prompt asks.

So the benchmark shows what the two forms of text do to a student when the teacher is perfect. It says nothing about how
often a real teacher errs.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from mashbill.engine import Request
from mashbill.records import Document
from synth.generators.rephrase import Rephrase

WORDINGS: dict[str, tuple[str, ...]] = {
    "birthplace": (
        "{s} was born in {v}",
        "{v} is where {s} was born",
        "the birthplace of {o} is {v}",
        "in {v} {s} first saw the light",
        "{s} comes from {v}",
        "{p} native town is {v}",
        "the town of {v} is home to {o}",
        "{s} entered the world at {v}",
    ),
    "craft": (
        "{s} works as a {v}",
        "{v} is the trade of {o}",
        "as a {v} {s} earns a living",
        "the craft of {o} is that of a {v}",
        "{s} makes money as a {v}",
        "{p} daily work is that of a {v}",
        "a {v} is what {s} became",
        "{s} has learnt the craft of a {v}",
    ),
    "school": (
        "{s} studied at {v}",
        "{v} was the school of {o}",
        "at {v} {s} took lessons",
        "the teachers of {o} were those of {v}",
        "{s} is a graduate of {v}",
        "{p} old school is {v}",
        "the halls of {v} educated {o}",
        "{s} sat in the classrooms of {v}",
    ),
    "instrument": (
        "{s} plays the {v}",
        "the {v} is the instrument of {o}",
        "on the {v} {s} gives concerts",
        "the music of {o} comes from a {v}",
        "{s} practises the {v} every day",
        "{p} favourite instrument is the {v}",
        "a {v} sounds when {s} makes music",
        "{s} has mastered the {v}",
    ),
    "dish": (
        "{s} likes to eat {v}",
        "{v} is the dish that {s} loves",
        "for dinner {s} asks for {v}",
        "the best meal for {o} is {v}",
        "{s} cooks {v} on holidays",
        "{p} favourite dish is {v}",
        "a plate of {v} delights {o}",
        "{s} would eat nothing but {v}",
    ),
    "animal": (
        "{s} keeps a {v}",
        "a {v} lives with {o}",
        "with a {v} {s} shares the house",
        "the pet of {o} is a {v}",
        "{s} feeds a {v} each morning",
        "{p} animal is a {v}",
        "the {v} in the garden belongs to {o}",
        "{s} owns a {v}",
    ),
}
"""Subject first, value first, prefix first: the order in which a student meets a fact decides how it can recall it."""

STYLES = {"easy": (0, 1, 2), "medium": (3, 4, 5), "hard": (6, 7)}
"""Which wordings a style uses: a style is a way of speaking, so it does not have all of them."""

VALUES = 20
PEOPLE = 120
_PRONOUNS = (("she", "her", "her"), ("he", "him", "his"))


@dataclass(frozen=True)
class Person:
    """A made person: a name of one word, pronouns, and a value of each attribute, in the order of the document."""

    name: str
    pronouns: tuple[str, str, str]
    facts: dict[str, str]
    wording: dict[str, int]
    """The wording of each fact in the document."""

    def say(self, attribute: str, wording: int, *, pronoun: bool = False) -> str:
        """One fact, without the full stop."""
        subject, other, owner = self.pronouns if pronoun else (self.name, self.name, f"{self.name} 's")
        return WORDINGS[attribute][wording].format(s=subject, o=other, p=owner, v=self.facts[attribute])

    def tell(self, wordings: Sequence[tuple[str, int]]) -> str:
        """Facts one after the other, with pronouns after the first."""
        lines = (self.say(name, wording, pronoun=at > 0) for at, (name, wording) in enumerate(wordings))
        return " ".join(f"{line} ." for line in lines)

    @property
    def document(self) -> Document:
        """The source document."""
        text = self.tell(list(self.wording.items()))
        return Document.new(title=self.name, text=text, source=self.name, domain="people")


@dataclass(frozen=True)
class World:
    """All people; the first half has question-answer lines in training, the other half is asked about."""

    people: tuple[Person, ...]
    values: dict[str, tuple[str, ...]]

    @classmethod
    def made(cls, seed: int, people: int = PEOPLE) -> World:
        """The world of a seed."""
        rng = random.Random(seed)
        words = _names(rng, people + VALUES * len(WORDINGS))
        values = {name: tuple(words[at * VALUES : (at + 1) * VALUES]) for at, name in enumerate(WORDINGS)}
        return cls(tuple(_person(rng, name, values) for name in words[VALUES * len(WORDINGS) :]), values)

    def halves(self) -> tuple[tuple[Person, ...], tuple[Person, ...]]:
        """Those with questions in training, and those held out."""
        middle = len(self.people) // 2
        return self.people[:middle], self.people[middle:]

    def vocabulary(self) -> list[str]:
        """Every word that a document, a made text or a question can hold."""
        texts = [text for person in self.people for text in (person.name, *person.facts.values())]
        texts += [wording for wordings in WORDINGS.values() for wording in wordings]
        texts += [word for pronouns in _PRONOUNS for word in pronouns]
        texts += [value for values in self.values.values() for value in values]
        texts += [*WORDINGS, "Q of ? A . 's and", header("", "", "in relation to"), _how("", [])]
        return sorted({word for text in texts for word in text.split() if not word.startswith("{")})


def question(person: Person, attribute: str) -> str:
    """What the student is asked, up to the answer."""
    return f"Q {attribute} of {person.name} ? A"


def header(title: str, entity: str, between: str) -> str:
    """The header of one part of a relation text, as EntiGraph's prompt asks for it."""
    return f"Discussion of {title} {between} {entity}"


def _how(title: str, entities: Sequence[str]) -> str:
    return f"Discussion of how {' and '.join(entities)} interact in {title}"


def _person(rng: random.Random, name: str, values: dict[str, tuple[str, ...]]) -> Person:
    order = rng.sample(list(values), len(values))
    facts = {attribute: rng.choice(values[attribute]) for attribute in order}
    return Person(name, rng.choice(_PRONOUNS), facts, {attribute: rng.randrange(8) for attribute in order})


def _names(rng: random.Random, count: int) -> list[str]:
    # Ends in a letter that no plural rule touches, so that two names are never taken for one.
    syllables = ["".join(pair) for pair in product("bdfgklmnprtvz", "aeiou")]
    names: dict[str, None] = {}
    while len(names) < count:
        names["".join(rng.sample(syllables, 2)).capitalize() + rng.choice("klnr")] = None
    return list(names)


class Teacher:
    """Answers EntiGraph's and Rephrase's prompts about the people of one world."""

    def __init__(self, world: World) -> None:
        self._people = {person.name: person for person in world.people}
        self._style = {getattr(Rephrase(), name).split("{title}")[1]: name for name in STYLES}

    def __call__(self, request: Request) -> str:
        """The reply to a request."""
        document, last = request.messages[1].parts
        person = self._people[document.split('"')[1]]
        rng = random.Random(request.seed)
        if request.schema:
            return self._extraction(person, rng)
        entities = re.findall(r"^- (.+)$", last, re.MULTILINE)
        return _relation(person, entities, rng) if entities else self._rephrasing(person, last, rng)

    def _extraction(self, person: Person, rng: random.Random) -> str:
        summary = person.tell([(attribute, rng.randrange(8)) for attribute in person.facts])
        return json.dumps({"summary": summary, "entities": [person.name, *person.facts.values()]})

    def _rephrasing(self, person: Person, last: str, rng: random.Random) -> str:
        style = next(name for words, name in self._style.items() if last.endswith(words))
        return person.tell([(attribute, rng.choice(STYLES[style])) for attribute in person.facts])


def _relation(person: Person, entities: Sequence[str], rng: random.Random) -> str:
    def fresh(attribute: str) -> str:
        return person.say(attribute, rng.randrange(8))

    attribute_of = {value: attribute for attribute, value in person.facts.items()}
    parts = []
    for entity in entities:
        own = attribute_of.get(entity)
        others = [attribute for attribute in person.facts if attribute != own]
        told = rng.sample(others, 3) if own is None else [own, rng.choice(others)]
        parts.append(header(person.name, entity, "in relation to"))
        parts.append(" . ".join(fresh(attribute) for attribute in told) + " .")
    parts.append(_how(person.name, entities))
    shared = [attribute_of[entity] for entity in entities if entity in attribute_of]
    parts.append(" and ".join(fresh(attribute) for attribute in shared) + " .")
    return "\n".join(parts)
