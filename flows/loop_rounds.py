"""The rounds of a loop, stage by stage: what is weak, what is to be made, made, published, learned and asked."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from flows.budget import partial_lines
from flows.kitchen import Kitchen, publish_with_card
from flows.loop_allocation import Allocation, allocation_of
from flows.loop_order import FIRST, Made, Order, likely
from flows.loop_questions import Validated
from flows.loop_recipe import candidates_of, make_rows, own_budget
from flows.loop_round import Round, worths
from flows.loop_section import EARLIER, MADE, Loop
from flows.loop_student import Trained, base_student, tokens_of, train_on, validated
from mashbill.bandit import Belief, learned, shares
from mashbill.disk import write_json
from mashbill.fingerprint import fingerprint, seed_of
from mashbill.release import ReleasePlan
from mashbill.release_manifest import ReleaseManifest
from mashbill.store import Stored
from mashbill.weakness import GroupScore, group_scores
from train.identity import student_identity

T = TypeVar("T")
DROPPED_AFTER = 2
"""Rounds in a row without a row after which a recipe is given nothing more."""


class Stage(Protocol):
    """How one stage of a round is carried out: at once, or as a task of an orchestrator."""

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """The result of the work."""
        ...


async def at_once(name: str, work: Callable[[], Awaitable[T]]) -> T:
    """A stage without an orchestrator."""
    del name
    return await work()


@dataclass
class Rounds:
    """A loop under way: its rounds so far, and what follows from them. It has no test and no way to one."""

    kitchen: Kitchen
    loop: Loop
    uniform: bool = False
    """Whether it is the control: no weakness, no bandit, no early stop."""
    stage: Stage = at_once
    done: list[Round] = field(default_factory=list)
    used: dict[str, Mapping[str, int]] = field(default_factory=dict)
    """Recipe -> record -> how often it was written from."""
    each: dict[str, float] = field(default_factory=dict)
    barren: Counter[str] = field(default_factory=Counter)
    """Recipe -> rounds in a row without a row."""
    ended: str = ""
    """Why it stopped before its last round."""
    account: str = ""
    """What the accounts of its rounds begin with: the run's own, or the loop's name."""

    def __post_init__(self) -> None:
        self.account = self.kitchen.settings.account or self.name

    @property
    def name(self) -> str:
        """What its releases and students are called."""
        return f"{self.loop.name}-uniform" if self.uniform else self.loop.name

    @property
    def folder(self) -> Path:
        """Where its allocations and rounds lie."""
        student = student_identity(self.loop.training.student)
        asked = [one.question.model_dump() for one in self.loop.asked]
        digest = fingerprint((self.loop.identity, student, asked, self.uniform))
        return self.kitchen.root / "loops" / self.name / digest

    async def run(self) -> None:
        """All rounds, until one of the reasons to stop."""
        self.done.append(await self.stage(f"{self.name}: round 0, the student before", self._before))
        for number in range(1, self.loop.spec.rounds + 1):
            if self.ended:
                return
            found = await self._round(number)
            if found is None:
                return
            self.done.append(found)
            write_json(self._place(number) / "round.json", found.plain(self.kitchen.root))
            self.ended = "" if number == self.loop.spec.rounds else self._no_gain()

    @property
    def best(self) -> Round:
        """The round with the highest validation accuracy; of equals the first."""
        return max(self.done, key=lambda one: one.validated.right)

    def _place(self, number: int) -> Path:
        return self.folder / f"round-{number}"

    async def _before(self) -> Round:
        model = await asyncio.to_thread(base_student, self.kitchen.root, self.loop)
        found = await validated(self.kitchen, self.loop, model)
        recipes = {name: Belief() for name in self.loop.spec.recipes}
        return Round(number=0, model=model, validated=found, beliefs=recipes)

    def _no_gain(self) -> str:
        patience = self.loop.spec.patience
        if self.uniform or not patience:
            return ""
        best, since = self.done[0].validated.accuracy, 0
        for one in self.done[1:]:
            gained = one.validated.accuracy > best + self.loop.spec.min_gain
            since = 0 if gained else since + 1
            best = max(best, one.validated.accuracy)
        return f"{since} rounds in a row gained nothing on the validation questions" if since >= patience else ""

    async def _round(self, number: int) -> Round | None:
        self.kitchen.check()
        last = self.done[-1]
        scores = group_scores(last.validated.answers, smoothing=self.loop.weak.smoothing)
        measured = number > 1 or self.loop.training.student.scratch is None
        if measured and not self.uniform and all(one.accuracy == 1 for one in scores):
            self.ended = f"round {number - 1} got every validation question of every group right: nothing is weak"
            return None
        allocation = await self._allocation(number, last, scores, measured)
        made = await self._made(allocation, last.validated)
        if not any(one.stored for one in made.values()):
            said = "; ".join(f"{name} {one.note}" for name, one in made.items())
            self.ended = f"round {number} made no row that is new: {said}"
            return None
        return await self._learned(number, allocation, made)

    async def _allocation(self, number: int, last: Round, scores: list[GroupScore], measured: bool) -> Allocation:
        """The round's budget over recipes and groups, written down before anything is made."""
        spec, recipes = self.loop.spec, last.beliefs
        seed = seed_of("loop", spec.seed, number)
        equal = dict.fromkeys(recipes, 1 / len(recipes))
        split = equal if self.uniform else shares(recipes, seed=seed, exploration=spec.exploration)
        records = {name: await self._records(name) for name in recipes}
        found = allocation_of(
            number,
            budget=spec.budget,
            unit=spec.unit,
            weak=self.loop.weak,
            scores=scores,
            overall=last.validated.accuracy if measured else None,
            shares=split,
            records=records,
            uniform=self.uniform,
        )
        write_json(self._place(number) / "allocation.json", found.plain())
        return found

    async def _records(self, recipe: str) -> dict[str, int]:
        """Group -> the records that a recipe can still write from; empty where it chooses for itself."""
        stream = self.kitchen.bill.streams[recipe]
        if recipe in self.loop.spec.from_errors or own_budget(stream):
            return {}
        origin = await self.kitchen.step(stream, -1)
        used, counts = self.used.get(recipe, {}), Counter[str]()
        for one in await asyncio.to_thread(candidates_of, self.loop, origin):
            if used.get(one.id, 0) < self.loop.spec.repeats:
                counts.update(one.groups or ("",))
        return dict(counts)

    async def _made(self, allocation: Allocation, before: Validated) -> dict[str, Made]:
        """Every recipe's rows, in the order of the bill: what a recipe repeats of one before it is not new."""
        await self._entered(allocation.round)
        made: dict[str, Made] = {}
        earlier = [stored for one in self.done for stored in one.kept]
        note = {"allocation": allocation.plain(), "card": [allocation.sentence]}
        for recipe, wanted in allocation.wanted.items():
            order = Order(
                recipe=recipe,
                round=allocation.round,
                wanted=wanted,
                note=note,
                folder=self._place(allocation.round),
                earlier=[*earlier, *(one.stored for one in made.values() if one.stored is not None)],
                used=self.used.get(recipe, {}),
                each=self.each.get(recipe, FIRST[self.loop.spec.unit]),
                errors=tuple(before.errors()) if recipe in self.loop.spec.from_errors else (),
                tried=tuple(before.tried()),
            )
            work = functools.partial(make_rows, self.kitchen, self.loop, order, self._tokens)
            made[recipe] = one = await self.stage(f"{self.name}: round {allocation.round}, make {recipe}", work)
            self.used[recipe] = one.used
            self.each[recipe] = likely(one, order.each)
        return made

    async def _entered(self, number: int) -> None:
        """Enter what a round asks on an account of its own; under a budget, which is the loop's, all is on one."""
        if self.kitchen.engines.budget is None:
            await self.kitchen.engines.enter(f"{self.account}#round-{number}")

    async def _learned(self, number: int, allocation: Allocation, made: dict[str, Made]) -> Round:
        """The round's release, its student, what that can, and what the recipes were worth."""
        title = f"{self.name}: round {number}"
        release = await self.stage(f"{title}, publish", lambda: self._published(number, made))
        model = await self.stage(f"{title}, train", lambda: self._trained(number, made))
        found = await self.stage(f"{title}, ask", lambda: validated(self.kitchen, self.loop, model.model))
        gains = await self._gains(number, made, found)
        worth = worths(made, gains, self.loop.spec.rewards)
        beliefs = learned(
            self.done[-1].beliefs, {name: one.reward for name, one in worth.items()}, discount=self.loop.spec.discount
        )
        beliefs, notes = self._dropped(made, beliefs)
        notes += partial_lines(ReleaseManifest.read(release))
        return Round(
            number=number,
            model=model.model,
            validated=found,
            allocation=allocation,
            made=made,
            release=release,
            steps=model.steps,
            trained_tokens=model.tokens,
            final_loss=model.final_loss,
            worth=worth,
            beliefs=beliefs,
            notes=(*allocation.notes, *(f"{name}: {one.note}" for name, one in made.items() if one.note), *notes),
        )

    def _dropped(self, made: Mapping[str, Made], beliefs: dict[str, Belief]) -> tuple[dict[str, Belief], list[str]]:
        """The recipes without those that gave nothing for too long; in the control all stay."""
        notes = []
        for name, one in made.items():
            self.barren[name] = 0 if one.rows else self.barren[name] + 1
            if self.barren[name] >= DROPPED_AFTER and len(beliefs) > 1 and not self.uniform:
                del beliefs[name]
                notes.append(f"{name} gave no row in {self.barren[name]} rounds in a row, and is given nothing more")
        return beliefs, notes

    async def _published(self, number: int, made: Mapping[str, Made]) -> Path:
        bill = self.kitchen.bill
        streams = {name: one.stored for name, one in made.items() if one.stored is not None}
        plan = ReleasePlan(
            name=f"{self.name}-round-{number}",
            version=bill.version,
            description=f"Round {number} of a loop. {bill.description}".strip(),
            license=bill.license,
            language=bill.language,
            seed=bill.seed,
            shares={},
            splits={},
        )
        return await asyncio.to_thread(publish_with_card, plan, streams, self.kitchen.root)

    async def _trained(self, number: int, made: Mapping[str, Made]) -> Trained:
        """The student of a round: anew from the base on all rows, or on from the last one."""
        new = [one.stored for one in made.values() if one.stored is not None]
        earlier = [stored for one in self.done for stored in one.kept]
        tokens = self.loop.training.plans[MADE].tokens
        name = f"{self.name}-loop-round-{number}"
        if self.loop.spec.start == "base":
            return await train_on(self.kitchen, self.loop, name, {MADE: [*earlier, *new]}, tokens=tokens, start=None)
        rows = {MADE: new, **({EARLIER: earlier} if earlier and self.loop.spec.earlier else {})}
        return await train_on(self.kitchen, self.loop, name, rows, tokens=tokens, start=self.done[-1].model)

    async def _gains(self, number: int, made: Mapping[str, Made], found: Validated) -> dict[str, float | None]:
        """What each recipe's rows did: the last student going on with them alone, or the round's own gain.

        From a student that has read nothing a probe of a few tokens would measure nothing, so round 1 has none there.
        """
        last, spec = self.done[-1], self.loop.spec
        if number == 1 and self.loop.training.student.scratch is not None:
            return {}
        if not self.probes(made):
            return dict.fromkeys(made, found.accuracy - last.validated.accuracy)
        tokens = max(1, round(spec.probe * self.loop.training.plans[MADE].tokens))
        gains: dict[str, float | None] = {}
        for name, one in made.items():
            if one.stored is not None:
                title = f"{self.name}-loop-round-{number}-probe-{name}"
                work = functools.partial(self._probed, title, one.stored, tokens)
                after = await self.stage(f"{self.name}: round {number}, probe {name}", work)
                gains[name] = after.accuracy - last.validated.accuracy
        return gains

    def probes(self, made: Mapping[str, Made]) -> bool:
        """Whether the gain of each recipe is measured by itself; otherwise it is the round's."""
        return bool(not self.uniform and len(made) > 1 and self.loop.spec.probe and self.loop.spec.rewards.gain)

    async def _probed(self, name: str, rows: Stored, tokens: int) -> Validated:
        start = self.done[-1].model
        model = await train_on(self.kitchen, self.loop, name, {MADE: [rows]}, tokens=tokens, start=start)
        return await validated(self.kitchen, self.loop, model.model)

    def _tokens(self, stored: Stored) -> Mapping[str, int]:
        return tokens_of(self.loop, stored)
