r"""A made subject domain with known difficulty, and scripted models of known faults that write, judge, answer and edit.

Three disciplines of five levels; each level has forty terms of its own, and each term is of one of ten kinds. A
question asks for the kind of a term; how hard it is, is the level of the term, as in a subject whose later chapters are
built on words that only they use. Each grade has a notation of its own::

    primary    what kind of thing is doran-ka ?
    high       kind ( doran-ka ) = ?

    reasons    doran-ka lu .          answer  lu

The writer makes most first drafts one or two levels easier than it was asked to (the *difficulty degradation* of arXiv
2508.01326) and mends some of them when it is told; its own answers err, and so do the draws; a draw talks to itself;
the editor takes that out, and at times changes the answer. Every rate is a field of `Faults`, so what a controller lets
through can be counted against what was put in.
"""

from __future__ import annotations

import functools
import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mashbill.engine import Request, ScriptedEngine
from mashbill.fingerprint import seed_of
from mashbill.records import QA

FIELDS: Mapping[str, str] = {
    "mathematics": "mathematics/algebra",
    "computing": "computing/algorithms",
    "law": "law/public law",
}
"""Discipline -> the label its questions have; law alone is no STEM."""
GRADES = ("primary", "high")
DIFFICULTIES = (1, 2, 3, 4, 5)
TERMS = 40
Cell = tuple[str, int]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


KINDS = _words("ka lu pa ro si te vo wen yar zul")
_HEADS = _words("dor mig fal nus kel tob rin sav gol pim zet hux cam bir wod")
_MIDDLES, _TAILS = _words("an ek il os"), _words("ba ce di fo gu ha je ki lo mu")
_ITEM = re.compile(r"what kind of thing is (?P<primary>[\w-]+) \?|kind \( (?P<high>[\w-]+) \) = \?")


@dataclass(frozen=True)
class Item:
    """One question."""

    field: str
    difficulty: int
    term: str
    grade: str

    @property
    def text(self) -> str:
        """As its grade writes it."""
        return f"kind ( {self.term} ) = ?" if self.grade == "high" else f"what kind of thing is {self.term} ?"


@dataclass(frozen=True)
class World:
    """What kind each term is of; another seed is another world."""

    seed: int
    kinds: Mapping[str, str]
    """Term -> its kind."""
    terms: Mapping[Cell, tuple[str, ...]]
    """Discipline and level -> its terms."""

    @classmethod
    def made(cls, seed: int) -> World:
        """The world of a seed."""
        rng = random.Random(seed_of("boostqa_world", seed))
        cells = [(name, level) for name in FIELDS for level in DIFFICULTIES]
        words = [f"{head}{middle}-{tail}" for head in _HEADS for middle in _MIDDLES for tail in _TAILS]
        names = rng.sample(words, len(cells) * TERMS)
        kinds = {name: rng.choice(KINDS) for name in names}
        parts = [tuple(names[at : at + TERMS]) for at in range(0, len(names), TERMS)]
        return cls(seed, kinds, dict(zip(cells, parts, strict=True)))

    @functools.cached_property
    def cells(self) -> Mapping[str, Cell]:
        """Term -> discipline and level."""
        return {one: cell for cell, own in self.terms.items() for one in own}

    def item(self, rng: random.Random, name: str, difficulty: int, grade: str) -> Item:
        """A question drawn by chance."""
        return Item(name, difficulty, rng.choice(self.terms[name, difficulty]), grade)

    def read(self, text: str) -> Item | None:
        """The question in a text; None where there is none."""
        found = _ITEM.search(text)
        if found is None:
            return None
        term = found["high"] or found["primary"]
        if term not in self.cells:
            return None
        return Item(*self.cells[term], term, "high" if found["high"] else "primary")

    def answer(self, item: Item) -> str:
        """The kind of its term."""
        return self.kinds[item.term]

    def reasons(self, item: Item) -> str:
        """The fact it rests on."""
        return f"{item.term} {self.answer(item)} ."

    def qa(self, item: Item, **fields: object) -> QA:
        """A labelled question with its right answer and reasons."""
        return QA.new(
            **{
                "question": item.text,
                "answer": self.answer(item),
                "rationale": self.reasons(item),
                "discipline": FIELDS[item.field],
                "is_stem": item.field != "law",
                "difficulty": item.difficulty,
                "grade": item.grade,
                "domain": item.field,
                "knowledge_points": (item.term,),
                **fields,
            }
        )

    def words(self) -> list[str]:
        """Every word of questions, reasons and rendering."""
        fixed = _words("what kind of thing is ? ( ) = . , hm no wait Question Answer ####")
        return [*KINDS, *self.kinds, *fixed, *FIELDS]


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How often each model errs."""

    easier: float = 0.7
    """First drafts that are one or two steps easier than asked."""
    mends: float = 0.8
    """Rewrites that take up what they were told."""
    points_outside: float = 0.05
    copies: float = 0.05
    """Drafts that say the seed again."""
    writer_wrong: float = 0.3
    draw_wrong: float = 0.15
    talks: float = 0.7
    """Draws that talk to themselves."""
    editor_changes: float = 0.1
    """Edited works that end in another answer than the right one."""
    label_off: float = 0.02
    """Labels of difficulty that are one off."""


@dataclass
class Models:
    """The four models over one world, each a script; what they did is counted in `done`."""

    world: World
    faults: Faults = field(default_factory=Faults)
    done: Counter[str] = field(default_factory=Counter)

    def engines(self) -> dict[str, ScriptedEngine]:
        """By role; the main one, under the empty name, writes."""
        scripts = {"": self.write, "judge": self.label, "solver": self.solve, "refiner": self.edit}
        return {
            role: ScriptedEngine(script, name=f"{role or 'writer'}-{self.world.seed}")
            for role, script in scripts.items()
        }

    def write(self, request: Request) -> str:
        """A draft for the prompt's target, or the last one mended."""
        prompt, rng = request.messages[1].content, _rng("write", request)
        seed = self.world.read(prompt)
        assert seed is not None
        wanted = int(re.search(r"difficulty is (?:at least )?(\d) of 5", prompt)[1])  # type: ignore[index]
        grade = next((one for one, name in _AUDIENCES.items() if f"It is for {name}:" in prompt), "primary")
        if len(request.messages) > 2:
            made = self._mended(request, rng, wanted, seed.field, grade)
        elif rng.random() < self.faults.copies:
            made = seed
        else:
            lower = rng.choice((1, 1, 2)) if rng.random() < self.faults.easier else 0
            made = self.world.item(rng, seed.field, max(1, wanted - lower), grade)
        text = made.text
        if rng.random() < self.faults.points_outside and len(request.messages) == 2:
            text = f"in the figure above , {text}"
        answer = self.world.answer(made)
        if rng.random() < self.faults.writer_wrong:
            answer = _other(rng, answer)
        return json.dumps({"question": text, "answer": answer, "knowledge_points": [made.term]})

    def _mended(self, request: Request, rng: random.Random, wanted: int, name: str, grade: str) -> Item:
        """The draft before, with what was wrong with it mended, or not."""
        before = self.world.read(json.loads(request.messages[2].content)["question"])
        assert before is not None
        told, level = request.messages[-1].content, before.difficulty
        if rng.random() < self.faults.mends and "judged" in told:
            level = wanted
        return self.world.item(rng, name, level, grade)

    def label(self, request: Request) -> str:
        """The true labels, but for a slip now and then."""
        text, rng = request.messages[-1].content, random.Random(seed_of("label", request.messages[-1].content))
        item = self.world.read(text)
        assert item is not None
        difficulty = item.difficulty
        if rng.random() < self.faults.label_off:
            difficulty += rng.choice((-1, 1))
        return json.dumps(
            {
                "knowledge_points": [item.term],
                "discipline": FIELDS[item.field],
                "question_type": "short_answer",
                "grade": item.grade,
                "takes": "knowing the term",
                "difficulty": min(5, max(1, difficulty)),
            }
        )

    def solve(self, request: Request) -> str:
        """A worked answer that is right, or slips in its last step; often with talk to itself."""
        item, rng = self.world.read(request.messages[-1].content), _rng("solve", request)
        assert item is not None
        return self._worked(
            item, rng, wrong=rng.random() < self.faults.draw_wrong, talks=rng.random() < self.faults.talks
        )

    def edit(self, request: Request) -> str:
        """The work without talk; right, or with another answer."""
        item, rng = self.world.read(request.messages[-1].content), _rng("edit", request)
        assert item is not None
        wrong = rng.random() < self.faults.editor_changes
        self.done["edits"] += 1
        self.done["edits_wrong"] += wrong
        return self._worked(item, rng, wrong=wrong, talks=False)

    def _worked(self, item: Item, rng: random.Random, *, wrong: bool, talks: bool) -> str:
        answer = self.world.answer(item)
        if wrong:
            answer = _other(rng, answer)
        reasons = f"{item.term} {answer} ."
        if talks:
            doubts = [f"hm , {item.term} {rng.choice(KINDS)} . no , wait ." for _ in range(2)]
            reasons = f"{' '.join(doubts)} {reasons}"
        return f"{reasons}\n#### {answer}"


_AUDIENCES = {"primary": "primary school", "high": "high school"}


def _rng(what: str, request: Request) -> random.Random:
    return random.Random(seed_of(what, request.seed, *(message.content for message in request.messages)))


def _other(rng: random.Random, answer: str) -> str:
    return rng.choice([one for one in KINDS if one != answer])


def seeds(
    world: World, each: int, *, pass_rates: Mapping[tuple[str, int], float] | None = None, probes: int = 0
) -> list[QA]:
    """Labelled questions, `each` to write from in every cell; with pass rates, `probes` more that were tried."""
    rng, made, seen = random.Random(seed_of("boostqa_seeds", world.seed)), list[QA](), set[str]()
    for name in FIELDS:
        for difficulty in DIFFICULTIES:
            rates: list[float | None] = [None] * each
            if pass_rates is not None:
                rates += _rates(probes or each, pass_rates[name, difficulty])
            for rate in rates:
                item = _new(world, rng, name, difficulty, seen)
                made.append(world.qa(item, pass_rate=rate))
    return made


def _rates(count: int, share: float) -> list[float | None]:
    right = round(count * share)
    return [*[1.0] * right, *[0.0] * (count - right)]


def _new(world: World, rng: random.Random, name: str, difficulty: int, seen: set[str]) -> Item:
    while True:
        item = world.item(rng, name, difficulty, rng.choice(GRADES))
        if item.text not in seen:
            seen.add(item.text)
            return item


def right_answers(world: World, rows: Sequence[QA]) -> int:
    """Rows whose answer is the true one."""
    items = [world.read(row.question) for row in rows]
    return sum(item is not None and world.answer(item) == row.answer for item, row in zip(items, rows, strict=True))
