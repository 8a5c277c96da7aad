"""Doubtful pairs of names before the engine: who is asked about, what was decided, and what was left open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kg.resolve_mentions import Thing
from kg.resolve_merge import Grouping, Pair, group_names
from kg.resolve_names import clearly_differ
from kg.resolve_prompts import Judgement, name_lines
from mashbill.ask import Ask
from mashbill.engine import system, user
from mashbill.errors import BadReply
from mashbill.fingerprint import content_id
from mashbill.records import Made, Reject
from mashbill.step import settle

if TYPE_CHECKING:
    from kg.resolve_entities import ResolveEntities


@dataclass(frozen=True, slots=True)
class Doubt:
    """A pair of things that may be one."""

    pair: Pair
    cosine: float
    sure: bool
    """Merged without a question."""


class Court:
    """Judges pairs: each is asked about once, and what it decided can be read."""

    def __init__(self, step: ResolveEntities, things: Sequence[Thing], ask: Ask) -> None:
        self.step, self.things, self.ask = step, things, ask
        self.verdicts: dict[Pair, bool] = {}
        self.asks: dict[int, list[str]] = {}
        """Keys of the replies that each thing was merged by."""
        self._asked: set[Pair] = set()
        self._certain = 0
        self._failed: list[tuple[Pair, BadReply]] = []
        self._unasked: set[Pair] = set()

    async def groups(self, doubts: Sequence[Doubt]) -> Grouping:
        """The groups, when every pair that they hang on was judged."""
        self.verdicts.update({doubt.pair: True for doubt in doubts if doubt.sure})
        self._certain = len(self.verdicts)
        await self._judge([doubt.pair for doubt in doubts if not doubt.sure])
        weights = [thing.weight() for thing in self.things]
        kinds = ["" if self.step.any_kind else thing.kind for thing in self.things]
        while True:
            same = [doubt.pair for doubt in doubts if self.verdicts.get(doubt.pair)]
            grouping = group_names(same, self.verdicts, weights, kinds, self._differ)
            missing = [pair for pair in grouping.wanted if not (pair in self._asked or pair in self._unasked)]
            if not missing:
                return grouping
            await self._judge(missing)

    def counted(self, grouping: Grouping) -> dict[str, int]:
        """What became of the pairs, for the manifest."""
        judged = [self.verdicts[pair] for pair in self._asked if pair in self.verdicts]
        return {
            "pairs_asked": len(self._asked),
            "pairs_same": sum(judged),
            "pairs_different": len(judged) - sum(judged),
            "pairs_undecided": len(self._failed),
            "pairs_not_asked": len(self._unasked),
            "pairs_merged_unasked": self._certain,
            "joins_refused": len(grouping.refused),
            "joins_undecided": len(grouping.wanted),
        }

    def notes(self, grouping: Grouping) -> Iterator[Reject]:
        """Pairs that were not decided, as reject rows: nothing of them is lost, and they can be read."""
        for pair, bad in self._failed:
            yield self._note(pair, bad.reason, bad.detail, bad)
        for pair in grouping.refused:
            yield self._note(pair, "chain_refused", "taken for the same, but their groups hold things that differ")
        for pair in grouping.wanted:
            yield self._note(pair, "chain_undecided", "their groups were not joined: nobody could say")
        if self._unasked:
            detail = f"{len(self._unasked)} doubtful pairs; raise max_asks ({self.step.max_asks}) or ask_from"
            yield Reject.new(kind="Triple", step=self.step.name, reason="pairs_not_asked", detail=detail)

    def _note(self, pair: Pair, reason: str, detail: str, bad: BadReply | None = None) -> Reject:
        names = tuple(self.things[place].name for place in pair)
        made = Made(step=self.step.name, asks=bad.asks if bad else ())
        text = bad.text if bad else ""
        fields: dict[str, Any] = {"reason": reason, "detail": detail, "text": text, "subjects": names, "made": made}
        return Reject.new(kind="Triple", step=self.step.name, **fields)

    def _differ(self, pair: Pair) -> bool:
        one, other = (self.things[place] for place in pair)
        return clearly_differ(one.key, other.key) or not (self.step.any_kind or may_be_one(one.kind, other.kind))

    async def _judge(self, pairs: Sequence[Pair]) -> None:
        room = max(0, self.step.max_asks - len(self._asked))
        self._unasked.update(pairs[room:])
        asked = pairs[:room]
        self._asked.update(asked)
        verdicts = await settle((self._one(pair) for pair in asked), apart=True)
        for pair, verdict in zip(asked, verdicts, strict=True):
            if isinstance(verdict, BadReply):
                self._failed.append((pair, verdict))
            else:
                self.verdicts[pair] = verdict

    async def _one(self, pair: Pair) -> bool:
        # Things stand in the order of their keys, so a pair's question has one order whatever documents are added.
        things = [self.things[place] for place in pair]
        shown = [name_lines(at, thing.shown, thing.kind, thing.sentences) for at, thing in enumerate(things, start=1)]
        own = self.ask.of(content_id("pair", *((thing.key, thing.kind) for thing in things)))
        question = [system(self.step.system), user(self.step.pair_prompt, "\n".join(shown))]
        answer = await own(
            question, returns=Judgement, sampling=self.step.sampling, tries=self.step.tries, engine=self.step.engine
        )
        if answer.value.answer == "unsure":
            raise BadReply("pair_unsure", "the engine could not say", text=answer.text, asks=answer.keys)
        if answer.value.answer == "same":
            for place in pair:
                self.asks.setdefault(place, []).extend(answer.keys)
        return answer.value.answer == "same"


def may_be_one(kind: str, other: str) -> bool:
    """Whether things of two kinds can be one thing: of the same kind, or one of no known kind."""
    return not kind or not other or kind == other
