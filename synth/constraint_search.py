"""A breadth-first search over sets of constraints: add one, remove one, replace one.

A seed's constraints {French, five bullets} and a similar task's {in verse, no names} give at one hop {French, five
bullets, in verse}, {five bullets}, {French, no names}, …; from each of these the next hop is made.

Algorithm 1 of TCIA (arXiv 2508.20374): take a set from the queue; `repeats` (m) times each, remove a random constraint,
add a random one of a similar task, or replace a random one by the similar task's most like it;
until the queue holds `states` (K). Each set taken makes 3m, so that with m = 10 and K = 2,700 the queue is full after
94, with 30, 900 and 1,890 sets at one, two and three hops.

Where it is more than the pseudo-code: a set is kept once (`unique`), nothing that is there or nearly there is added, no
constraint is left beside one that it contradicts in so many words, placeholders stay, and no set is empty.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from mashbill.constraint_sets import PLACEHOLDER, constraint_key
from mashbill.embedding import VectorEmbedder
from mashbill.records import Constraint, Operation
from synth.constraint_conflicts import measures_of
from synth.half_vectors import rounded
from synth.task_database import SimilarTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OPERATIONS = ("add", "remove", "replace")
MOST_SETS = 4
"""Ends a search that found so many times `states` sets without filling its queue: every set taken gave about one."""

Places = tuple[int, ...]
"""A set of constraints: their places in a lexicon, in order."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Every constraint that a search may meet, in the order in which sets are written."""

    constraints: tuple[Constraint, ...]
    similarity: NDArray[np.float32]
    """Cosine of each two."""
    measures: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, constraints: Sequence[Constraint], embedder: VectorEmbedder) -> Lexicon:
        """One entry for each different constraint; of two wordings the first stays."""
        by_key = dict[str, Constraint]()
        for one in constraints:
            by_key.setdefault(constraint_key(one.text), one)
        found = tuple(by_key[key] for key in sorted(by_key))
        rows = rounded(embedder.embed([one.text for one in found]))
        return cls(found, rows @ rows.T, tuple(measures_of(one) for one in found))

    def places(self, constraints: Sequence[Constraint]) -> Places:
        """Where these stand, each once."""
        there = {constraint_key(one.text): at for at, one in enumerate(self.constraints)}
        return tuple(sorted({there[constraint_key(one.text)] for one in constraints}))


@dataclass(frozen=True, slots=True)
class State:
    """One set of constraints and how it was come to."""

    places: Places
    hop: int
    parent: int
    """The place of the set it was made from, among the states; -1 for the seed's own."""
    operation: Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How far a search goes; what each is stands at `ConstraintSearch`."""

    states: int = 2700
    repeats: int = 10
    near: float = 0.9
    unique: bool = True


@dataclass(slots=True)
class Found:
    """What a search came to."""

    lexicon: Lexicon
    states: list[State]
    """The seed's own first, then each in the order in which it was found."""
    outcomes: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    """Hop, operation and outcome -> attempts."""
    taken: int = 0
    """Sets taken from the queue."""
    ended: str = ""
    """``queue_full``, ``exhausted`` (no set was left to go on from) or ``most_sets``."""

    def operations(self, at: int) -> tuple[Operation, ...]:
        """What was done to the seed, in order, to come to a state."""
        back = list[Operation]()
        while self.states[at].parent >= 0:
            back.append(self.states[at].operation)
            at = self.states[at].parent
        return tuple(reversed(back))

    def constraints(self, at: int) -> tuple[Constraint, ...]:
        """The set of a state, as it is written."""
        return tuple(self.lexicon.constraints[place] for place in self.states[at].places)


def search(
    seed: Sequence[Constraint], pool: Sequence[SimilarTask], plan: Plan, embedder: VectorEmbedder, random: Random
) -> Found:
    """All sets that a search from the seed's constraints comes to, with how each was."""
    given = [task for task in pool if _offered(task)]
    lexicon = Lexicon.of([*seed, *(one for task in given for one in _offered(task))], embedder)
    walk = _Walk(lexicon, plan, given, random)
    root = State(lexicon.places(seed), 0, -1, Operation(name="seed"))
    found = Found(lexicon, [root])
    queue, seen = deque([0]), {root.places}
    while queue and len(queue) < plan.states and given:
        if len(found.states) > MOST_SETS * plan.states:
            break
        at = queue.popleft()
        found.taken += 1
        hop = found.states[at].hop + 1
        for name, outcome in walk.attempts(found.states[at].places):
            if not isinstance(outcome, str) and plan.unique and outcome[0] in seen:
                outcome = "repeated"
            if isinstance(outcome, str):
                found.outcomes[hop, name, outcome] += 1
                continue
            found.outcomes[hop, name, "accepted"] += 1
            seen.add(outcome[0])
            queue.append(len(found.states))
            found.states.append(State(outcome[0], hop, at, outcome[1]))
    full = len(queue) >= plan.states
    found.ended = "queue_full" if full else "most_sets" if queue and given else "exhausted"
    return found


Outcome = str | tuple[Places, Operation]
"""A reason why an attempt gave no set, or the set and what was done."""


class _Walk:
    """The operations, over places in one lexicon."""

    def __init__(self, lexicon: Lexicon, plan: Plan, pool: Sequence[SimilarTask], random: Random) -> None:
        self.lexicon, self.plan, self.pool, self.random = lexicon, plan, pool, random
        self.offers = [lexicon.places(_offered(task)) for task in pool]
        # In proportion to the similarity of their base queries; a task at 0 or below still has a small chance.
        self.weights = [max(task.similarity, 0.01) for task in pool]
        self.pinned = frozenset(at for at, one in enumerate(lexicon.constraints) if one.category == PLACEHOLDER)

    def attempts(self, places: Places) -> Iterator[tuple[str, Outcome]]:
        """Each operation `repeats` times, each with the constraints of a similar task that is drawn for it."""
        for _ in range(self.plan.repeats):
            yield "add", self._add(places, *self._drawn())
        for _ in range(self.plan.repeats):
            yield "remove", self._remove(places)
        for _ in range(self.plan.repeats):
            yield "replace", self._replace(places, *self._drawn())

    def _drawn(self) -> tuple[Places, SimilarTask]:
        (at,) = self.random.choices(range(len(self.pool)), self.weights)
        return self.offers[at], self.pool[at]

    def _add(self, places: Places, offer: Places, task: SimilarTask) -> Outcome:
        new = self.random.choice(offer)
        refused = self._refused(new, places)
        return refused or (_with(places, new), self._operation("add", new, task))

    def _remove(self, places: Places) -> Outcome:
        free = [one for one in places if one not in self.pinned]
        if len(free) < 2:
            return "last_constraint"
        old = self.random.choice(free)
        return _without(places, old), Operation(name="remove", constraint=self.lexicon.constraints[old].text)

    def _replace(self, places: Places, offer: Places, task: SimilarTask) -> Outcome:
        free = [one for one in places if one not in self.pinned]
        if not free:
            return "nothing_to_replace"
        old = self.random.choice(free)
        others = [one for one in offer if one not in places] if self.plan.unique else list(offer)
        if not others:
            return "present"
        new = max(others, key=lambda one: (self.lexicon.similarity[old, one], -one))
        rest = _without(places, old)
        # What is nearly the same as the one it replaces changes nothing.
        refused = self._refused(new, rest) or ("near_present" if self._near(new, (old,)) else "")
        done = self._operation("replace", new, task, replaced=self.lexicon.constraints[old].text)
        return refused or (_with(rest, new), done)

    def _refused(self, new: int, places: Places) -> str:
        if new in self.pinned:  # said by another task as a requirement: it would stand for an input and for itself
            return "present"
        if not self.plan.unique:  # the pseudo-code asks nothing
            return ""
        if new in places:
            return "present"
        if self._near(new, places):
            return "near_present"
        measures = self.lexicon.measures
        return "contradicts" if any(measures[new] & measures[one] for one in places) else ""

    def _near(self, new: int, places: Places) -> bool:
        return self.plan.unique and any(self.lexicon.similarity[new, one] >= self.plan.near for one in places)

    def _operation(self, name: str, new: int, task: SimilarTask, replaced: str = "") -> Operation:
        text = self.lexicon.constraints[new].text
        return Operation(name=name, constraint=text, source_task=task.id, replaced=replaced)


def _offered(task: SimilarTask) -> list[Constraint]:
    """What another task may take of this one: its placeholders stand for its own inputs."""
    return [one for one in task.constraints if one.category != PLACEHOLDER]


def _with(places: Places, new: int) -> Places:
    return tuple(sorted({*places, new}))


def _without(places: Places, old: int) -> Places:
    return tuple(one for one in places if one != old)


def sampled(found: Found, count: int, way: str, random: Random) -> list[int]:
    """`count` of the sets found, in the order in which they were: the places of their states.

    ``uniform`` draws from all of them, as the paper does: two thirds are then of the last hop. ``stratified`` takes
    equally many of each hop, and where a hop has fewer the others give more.
    """
    places = range(1, len(found.states))
    if count >= len(places):
        return list(places)
    if way == "uniform":
        return sorted(random.sample(places, count))
    hops = dict[int, list[int]]()
    for at in places:
        hops.setdefault(found.states[at].hop, []).append(at)
    chosen, left = list[int](), count
    for number, (_, some) in enumerate(sorted(hops.items(), key=lambda item: (len(item[1]), item[0]))):
        share = min(len(some), left // (len(hops) - number))
        chosen += random.sample(some, share)
        left -= share
    return sorted(chosen)
