"""A curriculum: which rows of a plan come first, by something that is known of them.

::

    curriculum: {by: hops, mode: stages, cumulative: true}

    hops of the rows      stage  rows in it  steps
    1 1 2 1 3 2       ->      0  1 1 1           3
                              1  1 1 1 2 2       5
                              2  all six         6

``order`` sorts the rows of every epoch; ``stages`` trains on the rows of one value after those of another. Either way
ties stay in the order of the plan's hash, replay is not sorted, and a plan without a curriculum is what it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import pyarrow as pa

from mashbill.errors import BillError
from mashbill.records import Record, join_texts, schema_of
from mashbill.registry import nearest
from train.mix import quotas
from train.plan_manifest import CurriculumPart, StagePlan

CURRICULUM_FORMAT = 1
"""Raised when the same curriculum would give another order: it is part of the hash of a plan that has one."""
SCORE, HOPS, PATH = "scores.", "hops", "path"
Label = float | str | None
"""A value that orders; None for rows that have none."""


@dataclass(frozen=True, kw_only=True)
class Curriculum:
    """What orders the rows of a plan, and how."""

    by: str
    """A column of numbers or texts, ``hops`` (the edges of a row's path), or ``scores.NAME``."""
    order: Literal["ascending", "descending"] = "ascending"
    values: tuple[str, ...] = ()
    """Of a column of texts: its values, the first to be learned first."""
    mode: Literal["order", "stages"] = "order"
    """Sort every epoch, or train on one value after the other."""
    cumulative: bool = False
    """``stages``: each holds the rows of those before it too."""
    passes: tuple[float, ...] = ()
    """``stages``: how often each goes over its rows, relative to the others; all alike, unless given."""

    def __post_init__(self) -> None:
        if self.mode == "order" and (self.cumulative or self.passes):
            raise BillError(f"{'cumulative' if self.cumulative else 'passes'} means something in mode: stages alone")
        if any(not 0 < one < math.inf for one in self.passes):
            raise BillError(f"passes must be above 0; found {list(self.passes)}")
        if len(set(self.values)) < len(self.values):
            raise BillError(f"values names one twice: {', '.join(self.values)}")

    @property
    def column(self) -> str:
        """The stored column that the value is read from."""
        return "scores" if self.by.startswith(SCORE) else PATH if self.by == HOPS else self.by

    def refusal(self, kind: type[Record]) -> str:
        """Why rows of a type cannot be ordered so; empty where they can."""
        known = orderable(kind)
        if self.by.startswith(SCORE) and self.by != SCORE:
            is_text = False
        elif self.by in known:
            is_text = known[self.by]
        else:
            names = [*known, f"{SCORE}NAME"]
            return f"{kind.__name__} has no {self.by!r} to order by{nearest(self.by, names)}; it has: " + join_texts(
                names, 30
            )
        if is_text and not self.values:
            return f"{self.by!r} is a text; say in which order its `values` come, e.g. values: [first, second]"
        if self.values and not is_text:
            return f"{self.by!r} is a number, which has its own order; leave out `values`, or take `order: descending`"
        return ""

    def read(self, part: pa.Table) -> list[Label]:
        """The value of each row; None where it has none: empty, not a number, or not among `values`."""
        cells = part.column(self.column).to_pylist()
        if self.by.startswith(SCORE):
            name = self.by.removeprefix(SCORE)
            return [_number(next((one["value"] for one in cell or () if one["name"] == name), None)) for cell in cells]
        if self.by == HOPS:
            return [float(len(cell)) if cell else None for cell in cells]
        if self.values:
            wanted = frozenset(self.values)
            return [cell if cell in wanted else None for cell in cells]
        return [_number(cell) for cell in cells]

    def sorted(self, labels: Iterable[Label]) -> list[Label]:
        """Values in the order they are learned in, None last."""
        found = set(labels)
        given: list[Label]
        if self.values:
            given = [label for label in self.values if label in found]
        else:
            given = [*sorted(label for label in found if isinstance(label, float))]
        if self.order == "descending":
            given.reverse()
        return [*given, *([None] if None in found else [])]


def orderable(kind: type[Record]) -> dict[str, bool]:
    """What rows of a type can be ordered by, scores apart, and whether it is a text."""
    schema = schema_of(kind)
    known = {
        column.name: pa.types.is_string(column.type)
        for column in schema
        if pa.types.is_string(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    }
    return {**known, HOPS: False} if PATH in schema.names else known


def _number(cell: float | None) -> float | None:
    return None if cell is None or math.isnan(cell) else float(cell)


@dataclass
class Values:
    """The value of every row, taken down while its stream is read."""

    curriculum: Curriculum
    of: dict[str, dict[str, Label]] = field(default_factory=dict)
    """Stream -> record -> value."""

    def noted(self, parts: Iterable[pa.Table], stream: str) -> Iterator[pa.Table]:
        """The parts as they are."""
        mine = self.of.setdefault(stream, {})
        for part in parts:
            mine.update(zip(part.column("id").to_pylist(), self.curriculum.read(part), strict=True))
            yield part


@dataclass(frozen=True)
class Stage:
    """Rows that are trained on before those of the next stage; the only one where nothing is staged."""

    value: Label
    steps: int
    members: Mapping[str, Sequence[int]]
    """Stream -> numbers of its records; without replay, which is in every stage."""
    key: tuple[object, ...]
    """What sets its shuffling apart."""

    def planned(
        self, sizes: Mapping[str, Sequence[int]], first_step: int, steps: int, tokens: int, own_tokens: int
    ) -> StagePlan:
        """The stage as the manifest has it; `own_tokens` are those planned without replay."""
        held = sum(sizes[name][one] for name, mine in self.members.items() for one in mine)
        return StagePlan(
            value=self.value,
            records=sum(len(mine) for mine in self.members.values()),
            first_step=first_step,
            steps=steps,
            tokens=tokens,
            passes=own_tokens / held,
        )

    def shares(self, shares: Mapping[str, Fraction], replay: str, owed: Fraction = Fraction(0)) -> dict[str, Fraction]:
        """Of its streams: replay's own, and what it leaves, divided among those that have rows in the stage.

        `owed` is added to replay's share, as far as both are left with something.
        """
        own = sum(shares[name] for name in self.members)
        given = shares.get(replay, Fraction(0))
        given = min(max(given + owed, given / 2), (1 + given) / 2) if owed else given
        return {
            name: given if name == replay else shares[name] / own * (1 - given)
            for name in sorted([*self.members, *([replay] if replay else [])])
        }


@dataclass(frozen=True)
class Order:
    """Where each record of a plan stands."""

    curriculum: Curriculum | None = None
    labels: Sequence[Label] = ()
    ranks: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Stream -> record -> place of its value in `labels`; nothing where nothing is ordered."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Stream -> hash over the values of its records."""

    @property
    def identity(self) -> dict[str, object]:
        """What enters the hash of a plan: nothing without a curriculum."""
        if self.curriculum is None:
            return {}
        return {"curriculum": (CURRICULUM_FORMAT, self.curriculum, self.digests)}

    def sorting(self, stream: str) -> Sequence[int] | None:
        """The ranks that sort each epoch of a stream; None where none do."""
        staged = self.curriculum is not None and self.curriculum.mode == "stages"
        return None if staged else self.ranks.get(stream)

    def part(self, stages: Sequence[StagePlan]) -> CurriculumPart | None:
        """What the manifest says of it."""
        if self.curriculum is None:
            return None
        counts = Counter(rank for ranks in self.ranks.values() for rank in ranks)
        return CurriculumPart(
            spec={
                name: list(value) if isinstance(value, tuple) else value
                for name, value in dataclasses.asdict(self.curriculum).items()
            },
            rows_by_value=[(label, counts[rank]) for rank, label in enumerate(self.labels)],
            without_value=self.without_value(),
            stages=[] if self.curriculum.mode == "order" else list(stages),
        )

    def without_value(self) -> dict[str, int]:
        """Stream -> rows that have no value, of the streams that have such rows."""
        last = len(self.labels) - 1
        if not self.labels or self.labels[last] is not None:
            return {}
        counts = {name: sum(rank == last for rank in ranks) for name, ranks in sorted(self.ranks.items())}
        return {name: count for name, count in counts.items() if count}

    def stages(self, sizes: Mapping[str, Sequence[int]], steps: int, replay: str) -> list[Stage]:
        """The stages of a plan of so many steps, over streams whose records have `sizes` in tokens.

        A stage has whole steps, in proportion to its tokens times its passes.

        Raises:
            BillError: when a stage is too small for a single step, or `passes` are not one for each.
        """
        streams = [name for name in sizes if name != replay]
        if self.curriculum is None or self.curriculum.mode == "order":
            return [Stage(None, steps, {name: range(len(sizes[name])) for name in streams}, ())]
        members = [self._members(rank, streams) for rank in range(len(self.labels))]
        tokens = [sum(sizes[name][one] for name, mine in stage.items() for one in mine) for stage in members]
        passes = self.curriculum.passes or (1.0,) * len(members)
        if len(passes) != len(members):
            raise BillError(
                f"curriculum: passes has {len(passes)} numbers and {self.curriculum.by!r} makes {len(members)} stages "
                f"({self._shown()}); give one for each, or leave it out"
            )
        weights = [Fraction(str(one)) * held for one, held in zip(passes, tokens, strict=True)]
        keys = [f"{number:09}" for number in range(len(members))]
        given = quotas(steps, {key: weight / sum(weights) for key, weight in zip(keys, weights, strict=True)})
        empty = [number for number, key in enumerate(keys) if not given[key]]
        if empty:
            raise BillError(
                f"curriculum: {self.curriculum.by} = {self.labels[empty[0]]} has {tokens[empty[0]]:,} tokens and gets "
                f"none of the {steps:,} steps over {len(members)} stages; raise `tokens` or its `passes`, lower "
                "`batch`, or take `mode: order`"
            )
        return [
            Stage(self.labels[number], given[key], members[number], ("stage", number))
            for number, key in enumerate(keys)
        ]

    def _members(self, rank: int, streams: Sequence[str]) -> dict[str, list[int]]:
        assert self.curriculum is not None
        least = 0 if self.curriculum.cumulative else rank
        found = {
            name: [number for number, one in enumerate(self.ranks[name]) if least <= one <= rank] for name in streams
        }
        return {name: mine for name, mine in found.items() if mine}

    def _shown(self) -> str:
        return join_texts([str(label) for label in self.labels], 10)


def order_of(
    curriculum: Curriculum | None, values: Values | None, ids: Mapping[str, Sequence[str]], replay: str
) -> Order:
    """Where the records of each stream stand; `values` are those that were noted while the streams were read.

    Raises:
        BillError: when no row has a value.
    """
    if curriculum is None:
        return Order()
    if values is None or values.curriculum != curriculum:
        raise ValueError("a plan with a curriculum needs the values of its rows")
    labels = {name: [values.of[name][one] for one in mine] for name, mine in ids.items() if name != replay}
    known = curriculum.sorted(label for mine in labels.values() for label in mine)
    if known == [None]:
        wanted = f"one of {', '.join(curriculum.values)}" if curriculum.values else "a value"
        raise BillError(
            f"curriculum: no row of the streams {', '.join(labels)} has {wanted} in {curriculum.by!r}; add the step "
            "that writes it, or correct the name"
        )
    rank = {label: number for number, label in enumerate(known)}
    return Order(
        curriculum,
        known,
        {name: [rank[label] for label in mine] for name, mine in labels.items()},
        {name: _digest(ids[name], mine) for name, mine in sorted(labels.items())},
    )


def _digest(ids: Sequence[str], labels: Sequence[Label]) -> str:
    """A hash that does not depend on the order of the records."""
    total = hashlib.blake2b(digest_size=16)
    for record_id, label in sorted(zip(ids, labels, strict=True), key=lambda pair: pair[0]):
        total.update(f"{len(record_id)}:{record_id}{label!r};".encode())
    return total.hexdigest()
