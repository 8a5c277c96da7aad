r"""A made subject domain with known difficulty, and scripted models of known faults that write, judge, answer and edit.

Four disciplines, each with four operations of its own; an operation takes each of eight states to another. A question
is a chain, its difficulty is its length, and each grade has a notation of its own::

    primary    begin at ka , do dor , then do mig . where does it end ?
    high       ka -> dor -> mig = ?
    graduate   evaluate [ dor ; mig ] on ka , and name the state .

    reasons    ka dor lu . lu mig pa .          answer  pa

The writer makes most first drafts one or two steps easier than it was asked to (the *difficulty degradation* of arXiv
2508.01326) and mends some of them when it is told; its own answers err, and so do the draws; a draw talks to itself;
the editor takes that out, and at times changes the answer. Every rate is a field of `Faults`, so what a controller lets
through can be counted against what was put in.
"""

from __future__ import annotations

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
    "physics": "physics/mechanics",
    "computing": "computing/algorithms",
    "law": "law/public law",
}
"""Discipline -> the label its questions have; law alone is no STEM."""
GRADES = ("primary", "high", "graduate")
DIFFICULTIES = (1, 2, 3, 4, 5)
OPERATIONS = 4


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


STATES = _words("ka lu pa ro si te vo wen")
_SYLLABLES = _words("dor mig fal nus kel tob rin sav gol pim zet hux cam bir wod lyr jat qen vip mox sul nef gar tid")
_CHAIN = re.compile(
    r"(?:begin at|start from) (?P<primary>\w+) , (?P<steps>.*?) \. where|"
    r"(?P<high>\w+) -> (?P<arrows>.*?) = \?|\[ (?P<list>.*?) \] on (?P<graduate>\w+)"
)


@dataclass(frozen=True)
class Chain:
    """One question."""

    field: str
    start: str
    operations: tuple[str, ...]
    grade: str

    @property
    def text(self) -> str:
        """As its grade writes it."""
        if self.grade == "high":
            return f"{self.start} -> {' -> '.join(self.operations)} = ?"
        if self.grade == "graduate":
            return f"evaluate [ {' ; '.join(self.operations)} ] on {self.start} , and name the state ."
        steps = " , then ".join(f"do {one}" for one in self.operations)
        return f"begin at {self.start} , {steps} . where does it end ?"


@dataclass(frozen=True)
class World:
    """What each operation does; another seed is another world."""

    seed: int
    tables: Mapping[str, Mapping[str, str]]
    """Operation -> state -> state."""
    operations: Mapping[str, tuple[str, ...]]
    """Discipline -> its operations."""

    @classmethod
    def made(cls, seed: int) -> World:
        """The world of a seed."""
        rng = random.Random(seed_of("boostqa_world", seed))
        names = rng.sample(_SYLLABLES, OPERATIONS * len(FIELDS))
        tables = {name: dict(zip(STATES, rng.sample(STATES, len(STATES)), strict=True)) for name in names}
        parts = [tuple(names[at : at + OPERATIONS]) for at in range(0, len(names), OPERATIONS)]
        return cls(seed, tables, dict(zip(FIELDS, parts, strict=True)))

    def chain(self, rng: random.Random, name: str, difficulty: int, grade: str) -> Chain:
        """A question drawn by chance."""
        return Chain(name, rng.choice(STATES), tuple(rng.choices(self.operations[name], k=difficulty)), grade)

    def read(self, text: str) -> Chain | None:
        """The question in a text; None where there is none."""
        found = _CHAIN.search(text)
        if found is None:
            return None
        if found["primary"]:
            grade, start, steps = "primary", found["primary"], found["steps"].replace("do ", "").split(" , then ")
        elif found["high"]:
            grade, start, steps = "high", found["high"], found["arrows"].split(" -> ")
        else:
            grade, start, steps = "graduate", found["graduate"], found["list"].split(" ; ")
        owner = next((name for name, own in self.operations.items() if steps[0] in own), None)
        if owner is None or start not in STATES or not all(step in self.tables for step in steps):
            return None
        return Chain(owner, start, tuple(steps), grade)

    def states(self, chain: Chain) -> list[str]:
        """The start and the state after each operation."""
        states = [chain.start]
        for one in chain.operations:
            states.append(self.tables[one][states[-1]])
        return states

    def answer(self, chain: Chain) -> str:
        """Where a chain ends."""
        return self.states(chain)[-1]

    def reasons(self, chain: Chain) -> str:
        """Its steps, one a sentence."""
        states = self.states(chain)
        pairs = zip(states, chain.operations, states[1:], strict=False)
        return " ".join(f"{before} {one} {after} ." for before, one, after in pairs)

    def qa(self, chain: Chain, **fields: object) -> QA:
        """A labelled question with its right answer and reasons."""
        return QA.new(
            question=chain.text,
            answer=self.answer(chain),
            rationale=self.reasons(chain),
            discipline=FIELDS[chain.field],
            is_stem=chain.field != "law",
            difficulty=len(chain.operations),
            grade=chain.grade,
            domain=chain.field,
            knowledge_points=tuple(dict.fromkeys(chain.operations)),
            **fields,
        )

    def words(self) -> list[str]:
        """Every word of questions, reasons and rendering."""
        fixed = _words("begin start from at , do then . where does it end ? -> = evaluate [ ; ] on and name the state")
        talk = _words("hm no wait Question Answer So : ####")
        return [*STATES, *self.tables, *fixed, *talk, *FIELDS]


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
            made = self.world.chain(rng, seed.field, max(1, wanted - lower), grade)
        text = made.text
        if rng.random() < self.faults.points_outside and len(request.messages) == 2:
            text = f"In the figure above , {text}"
        answer = self.world.answer(made)
        if rng.random() < self.faults.writer_wrong:
            answer = _other(rng, answer)
        return json.dumps({"question": text, "answer": answer, "knowledge_points": sorted(set(made.operations))})

    def _mended(self, request: Request, rng: random.Random, wanted: int, name: str, grade: str) -> Chain:
        """The draft before, with what was wrong with it mended, or not."""
        before = self.world.read(json.loads(request.messages[2].content)["question"])
        told = request.messages[-1].content
        assert before is not None
        length = len(before.operations)
        if rng.random() < self.faults.mends:
            length = wanted if "judged" in told else length
        return self.world.chain(rng, name, length, grade)

    def label(self, request: Request) -> str:
        """The true labels, but for a slip now and then."""
        text, rng = request.messages[-1].content, random.Random(seed_of("label", request.messages[-1].content))
        chain = self.world.read(text)
        assert chain is not None
        difficulty = len(chain.operations)
        if rng.random() < self.faults.label_off:
            difficulty += rng.choice((-1, 1))
        return json.dumps(
            {
                "knowledge_points": sorted(set(chain.operations)),
                "discipline": FIELDS[chain.field],
                "question_type": "short_answer",
                "grade": chain.grade,
                "takes": f"{difficulty} steps",
                "difficulty": min(5, max(1, difficulty)),
            }
        )

    def solve(self, request: Request) -> str:
        """A worked answer that is right, or slips in its last step; often with talk to itself."""
        chain, rng = self.world.read(request.messages[-1].content), _rng("solve", request)
        assert chain is not None
        return self._worked(
            chain, rng, wrong=rng.random() < self.faults.draw_wrong, talks=rng.random() < self.faults.talks
        )

    def edit(self, request: Request) -> str:
        """The work without talk; right, or with another answer."""
        chain, rng = self.world.read(request.messages[-1].content), _rng("edit", request)
        assert chain is not None
        wrong = rng.random() < self.faults.editor_changes
        self.done["edits"] += 1
        self.done["edits_wrong"] += wrong
        return self._worked(chain, rng, wrong=wrong, talks=False)

    def _worked(self, chain: Chain, rng: random.Random, *, wrong: bool, talks: bool) -> str:
        answer, reasons = self.world.answer(chain), self.world.reasons(chain)
        if wrong:
            other = _other(rng, answer)
            reasons, answer = f"{reasons.removesuffix(f'{answer} .')}{other} .", other
        if talks:
            sentences = []
            for sentence in reasons.split(" . "):
                before, one, _ = sentence.split()[:3]
                sentences.append(f"hm . {before} {one} {rng.choice(STATES)} . no , wait . {sentence}")
            reasons = " . ".join(sentences)
        return f"{reasons}\n#### {answer}"


_AUDIENCES = {"primary": "primary school", "high": "high school", "graduate": "graduate students"}


def _rng(what: str, request: Request) -> random.Random:
    return random.Random(seed_of(what, request.seed, *(message.content for message in request.messages)))


def _other(rng: random.Random, answer: str) -> str:
    return rng.choice([one for one in STATES if one != answer])


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
                chain = _new(world, rng, name, difficulty, seen)
                made.append(world.qa(chain, pass_rate=rate))
    return made


def _rates(count: int, share: float) -> list[float | None]:
    right = round(count * share)
    return [*[1.0] * right, *[0.0] * (count - right)]


def _new(world: World, rng: random.Random, name: str, difficulty: int, seen: set[str]) -> Chain:
    while True:
        chain = world.chain(rng, name, difficulty, rng.choice(GRADES))
        if chain.text not in seen:
            seen.add(chain.text)
            return chain


def right_answers(world: World, rows: Sequence[QA]) -> int:
    """Rows whose answer is the true one."""
    chains = [world.read(row.question) for row in rows]
    return sum(chain is not None and world.answer(chain) == row.answer for chain, row in zip(chains, rows, strict=True))
