"""The waves of a recipe in one round, and what of them is kept.

A recipe that is to make 600 tokens of *salt*, tried with six records of 100 tokens each and left with 350 -> a wave of
five more at the 58 tokens that a record gave; of what comes, rows that no earlier row is like, up to the budget.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from filters.earlier import FILE, settings_of, write_index
from filters.minhash_dedup import MinhashDedup
from filters.take_rows import Taken, TakeRows
from flows.kitchen import Kitchen
from flows.loop_allocation import NO_GROUP, Candidate, choose
from flows.loop_order import ALL_MAY_FAIL, Made, Order, TokensOf
from flows.loop_questions import AnsweredQuestions, question_key, repeated
from flows.loop_section import Loop
from mashbill.bill import Stream
from mashbill.costs import Tokens, by_engine, together
from mashbill.execute import execute
from mashbill.fingerprint import fingerprint
from mashbill.ingest import ingest
from mashbill.join import join
from mashbill.partial import lacking_of
from mashbill.records import QA, schema_of
from mashbill.runtime import Runtime
from mashbill.step import Step
from mashbill.store import Stored


@dataclass
class Wave:
    """What one wave gave."""

    fresh: Stored
    group_of: Mapping[str, str]
    generated: int
    asked: Mapping[str, Tokens]
    lacking: int
    """Records whose asks were left unanswered, as by a budget."""


@dataclass
class Work:
    """A recipe at work."""

    kitchen: Kitchen
    loop: Loop
    order: Order
    stream: Stream
    steps: Sequence[Step]
    tokens_of: TokensOf
    used: Counter[str]
    waves: list[Wave] = field(default_factory=list)
    lengths: dict[str, int] = field(default_factory=dict)
    """Row -> tokens, of all that is new and can be learned."""
    have: Counter[str] = field(default_factory=Counter)
    records: int = 0

    @property
    def unit(self) -> str:
        """``tokens`` or ``rows``."""
        return self.loop.spec.unit

    def amount(self, row: str) -> int:
        """What a row counts."""
        return self.lengths[row] if self.unit == "tokens" else 1

    def next(self, candidates: Sequence[Candidate], *, once: bool) -> list[tuple[str, str, int]]:
        """The records of the next wave; none when nothing is missing, or none is left."""
        if once:
            # All of them, numbered by the round, so that a budget's step asks anew for each.
            again = self.order.round - 1
            return [] if self.waves else [(one.id, NO_GROUP, again) for one in candidates]
        missing = {name: wanted - self.have[name] for name, wanted in self.order.wanted.items()}
        total, have = sum(self.order.wanted.values()), sum(self.have.values())
        row = have / len(self.lengths) if self.lengths else 1.0
        if total - have < row:
            return []
        each = have / self.records if self.records and have else self.order.each
        # No more than is missing in all: a group that has too much already fills part of the others' place.
        over = sum(-one for one in missing.values() if one < 0)
        wanted = {name: one for name, one in missing.items() if one > 0}
        scale = max(0.0, 1 - over / sum(wanted.values())) if wanted else 0.0
        most = self.loop.spec.repeats
        seed = self.loop.spec.seed
        return choose(
            candidates,
            {name: one * scale for name, one in wanted.items()},
            each=each, used=self.used, most=most, seed=seed,
        )  # fmt: skip

    async def taken(self, origin: Stored, picks: Sequence[tuple[str, str, int]], with_tried: bool) -> Stored:
        """The records of a wave as a stored step."""
        take = {name: (again,) for name, _, again in picks}
        self.used.update(dict.fromkeys(take, 1))
        self.records += len(picks)
        # The card has the allocation once, at the rows that stay.
        note = {name: one for name, one in self.order.note.items() if name != "card"}
        found = await self._listed(f"take-{len(self.waves) + 1}", origin, Taken(take=take, note=note))
        if not with_tried:
            return found
        path = self.order.folder / f"tried-{self.order.recipe}.jsonl"
        tried = await as_source(self.kitchen, path, self.order.tried)
        return await asyncio.to_thread(join, [found, tried], Runtime(root=self.kitchen.root))

    async def _listed(self, name: str, source: Stored, listed: Taken) -> Stored:
        path = self.order.folder / f"{name}-{self.order.recipe}.json"
        await asyncio.to_thread(listed.write, path)
        step = TakeRows(rows=str(path))
        return await execute(step, source, self.kitchen.runtime(step), ALL_MAY_FAIL)

    async def run(self, source: Stored, groups: Mapping[str, str]) -> Wave:
        """The stream's steps over a wave, and what of it is new."""
        group_of, stored, lacking = _followed(source, dict(groups)), source, 0
        asked = list[Mapping[str, Tokens]]()
        for step in self.steps:
            self.kitchen.check()
            if not stored.manifest.counts.kept:
                break
            policy = self.stream.rejects or ALL_MAY_FAIL
            stored = await execute(step, stored, self.kitchen.runtime(step), policy)
            asked.append(by_engine(stored.manifest))
            lacking += sum(lacking_of(stored.manifest.identity).values())
            group_of = _followed(stored, group_of)
        generated = stored.manifest.counts.kept if stored is not source or not self.steps else 0
        fresh = await self._new(stored) if generated else stored
        return Wave(fresh, group_of, generated, together(asked), lacking)

    async def _new(self, stored: Stored) -> Stored:
        """The rows that are like no row that is there."""
        dedup: Any = self.loop.dedup
        old = [*self.order.earlier, *(one.fresh for one in self.waves if one.fresh.manifest.counts.kept)]
        folders = [str(await asyncio.to_thread(self._index, one)) for one in old]
        if folders:
            dedup = dataclasses.replace(dedup, against=tuple(folders))
        return await execute(dedup, stored, self.kitchen.runtime(dedup), ALL_MAY_FAIL)

    def _index(self, stored: Stored) -> Path:
        """An index of stored rows, made once."""
        like: Any = self.loop.dedup
        like = like if hasattr(like, "bands") else MinhashDedup()  # exact_dedup reads the digests of any index
        digest = fingerprint((settings_of(like, stored.kind.__name__).model_dump(), stored.manifest.fingerprint))
        folder = self.kitchen.root / "loops" / "indexes" / digest
        if not (folder / FILE).is_file():
            write_index([stored], folder, like)
        return folder

    def count(self, wave: Wave) -> None:
        """Note what a wave gave."""
        self.waves.append(wave)
        if not wave.generated:
            return
        lengths = self.tokens_of(wave.fresh)
        refused = self._repeats(wave.fresh)
        for row, tokens in lengths.items():
            if row not in refused:
                self.lengths[row] = tokens
                self.have[wave.group_of.get(row, NO_GROUP)] += self.amount(row)

    def _repeats(self, stored: Stored) -> dict[str, str]:
        """Rows that say a validation question again -> the reason they go."""
        keys = {question_key(one.question.question, one.question.context) for one in self.loop.asked}
        names = [name for name in ("question", "context", "text") if name in schema_of(stored.kind).names]
        return {
            row["id"]: "validation_question"
            for index in range(len(stored))
            for row in stored.table(index, ["id", *names]).to_pylist()
            if repeated({name: row[name] for name in names}, keys)
        }

    async def kept(self) -> Made:
        """Exactly the rows that fill the budget."""
        generated = sum(one.generated for one in self.waves)
        if not self.lengths:
            what = "made no row" if not generated else "made no row that is new and can be learned"
            return self._made(None, {}, f"{what} from {self.records} records{self._lacking()}")
        all_new = [one.fresh for one in self.waves if one.generated]
        whole = (
            all_new[0] if len(all_new) == 1 else await asyncio.to_thread(join, all_new, Runtime(root=self.kitchen.root))
        )
        group_of = {row: group for one in self.waves for row, group in one.group_of.items()}
        ordered = [row for row in _ids(whole) if row in self.lengths]
        chosen = within(ordered, self.order.wanted, group_of, self.amount)
        reasons = {row: "over_budget" for row in ordered if row not in chosen}
        for one in all_new:
            reasons |= self._repeats(one)
        listed = Taken(take=dict.fromkeys(chosen, (0,)), reasons=reasons, note=self.order.note)
        stored = await self._listed("keep", whole, listed)
        note = self._short(sum(map(self.amount, chosen)))
        return self._made(stored, {row: group_of.get(row, NO_GROUP) for row in chosen}, note)

    def _short(self, have: int) -> str:
        total = sum(self.order.wanted.values())
        if have >= 0.9 * total:
            return ""
        waves = f"{len(self.waves)} wave{'s' * (len(self.waves) != 1)}"
        what = f"came to {have:,} of {total:,} {self.unit} after {waves} over {self.records:,} records"
        return what + self._lacking()

    def _lacking(self) -> str:
        count = sum(one.lacking for one in self.waves)
        return (
            f", {count:,} of them left unanswered (a budget that is spent, or an engine that failed)" if count else ""
        )

    def _made(self, stored: Stored | None, rows: Mapping[str, str], note: str) -> Made:
        groups: Counter[str] = Counter()
        for row, group in rows.items():
            groups[group] += self.amount(row)
        return Made(
            recipe=self.order.recipe,
            stored=stored,
            rows=len(rows),
            tokens=sum(self.lengths[row] for row in rows),
            records=self.records,
            generated=sum(one.generated for one in self.waves),
            novel=len(self.lengths),
            usable=sum(map(self.amount, self.lengths)),
            asked=together(one.asked for one in self.waves),
            groups=groups,
            used=dict(self.used),
            note=note,
        )


async def as_source(kitchen: Kitchen, path: Path, rows: Sequence[QA]) -> Stored:
    """Questions as a stored source."""
    AnsweredQuestions.write(path, rows)
    runtime = Runtime(root=kitchen.root, progress=kitchen.progress)
    return await asyncio.to_thread(ingest, AnsweredQuestions(path=path.name), path, runtime)


def within(
    rows: Sequence[str], wanted: Mapping[str, int], group_of: Mapping[str, str], amount: Callable[[str], int]
) -> list[str]:
    """The rows to keep: each group up to what is wanted of it, then others in their place, the total never exceeded."""
    total, have, kept = sum(wanted.values()), Counter[str](), dict[str, None]()
    for filling in (False, True):
        for row in rows:
            group, size = group_of.get(row, NO_GROUP), amount(row)
            fits = sum(have.values()) + size <= total
            if row not in kept and fits and (filling or have[group] + size <= wanted.get(group, 0)):
                kept[row] = None
                have[group] += size
    return [row for row in rows if row in kept]


def _followed(stored: Stored, group_of: Mapping[str, str]) -> dict[str, str]:
    """Row -> group, for the rows of a step: their own where they passed through it, else that of a parent."""
    found = dict(group_of)
    for index in range(len(stored)):
        table: pa.Table = stored.table(index, ["id", "parents"])
        for name, parents in zip(*(column.to_pylist() for column in table.columns), strict=True):
            if name not in found:
                known = next((one for one in parents if one in found), None)
                if known is not None:
                    found[name] = found[known]
    return found


def _ids(stored: Stored) -> list[str]:
    return [name for index in range(len(stored)) for name in stored.table(index, ["id"]).column("id").to_pylist()]
