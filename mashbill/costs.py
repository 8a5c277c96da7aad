"""What a release took: yield, asks, tokens and money of each step and of each source, from its manifest.

::

    stream  step        source               read  tried  kept  yield  asks  prompt tokens  new tokens  cost
    tales   tell_tales  read_documents/7f74     8     32    24   75 %    43            387         215  0.02

Counted is what the rows are made of, whoever paid for it and when: a reply that came from the ledger counts like a new
one, so two runs of one bill say the same. What an account has paid is in the ledger (`mashbill.spending`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from mashbill.counts import Counts
from mashbill.prices import PriceTable
from mashbill.release_manifest import ReleaseManifest, StepCounts
from mashbill.runtime import tried_of

SHORT = 4
"""Characters of a fingerprint in a source's label, as commands take them."""


class Tokens(NamedTuple):
    """What one engine was given and gave."""

    asks: int
    prompt: int
    completion: int


class Asking(Protocol):
    """What a manifest says of a step that asks."""

    @property
    def counts(self) -> Counts:
        """With those of each role."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """With the engine of each role."""
        ...

    @property
    def engine(self) -> str:
        """The main one's identity."""
        ...


@dataclass(frozen=True)
class StepCost:
    """One step of a release that asks; a step that several streams share stands once, with the first."""

    stream: str
    step: str
    fingerprint: str
    sources: tuple[str, ...]
    """What its rows come from."""
    read: int
    tried: int
    """Rows that were tried; what a budget left unasked was not."""
    kept: int
    engines: Mapping[str, Tokens]
    """By identity."""

    @property
    def asks(self) -> int:
        """Replies used, re-asks included."""
        return sum(one.asks for one in self.engines.values())

    @property
    def prompt_tokens(self) -> int:
        """Of all engines."""
        return sum(one.prompt for one in self.engines.values())

    @property
    def completion_tokens(self) -> int:
        """Of all engines."""
        return sum(one.completion for one in self.engines.values())

    @property
    def gained(self) -> float:
        """The yield: kept of tried, 0 where nothing was."""
        return self.kept / self.tried if self.tried else 0.0

    def money(self, prices: PriceTable | None) -> float | None:
        """At these prices, those of single asks; None without a price for each of its engines."""
        return money_of(self.engines, prices)


@dataclass(frozen=True)
class SourceCost:
    """All steps over one source, or over several that were read together."""

    sources: tuple[str, ...]
    read: int
    """Records of the source."""
    released: int
    """Rows of the release that come from it."""
    steps: tuple[StepCost, ...]

    @property
    def asks(self) -> int:
        """Of its steps together."""
        return sum(one.asks for one in self.steps)

    @property
    def prompt_tokens(self) -> int:
        """Of its steps together."""
        return sum(one.prompt_tokens for one in self.steps)

    @property
    def completion_tokens(self) -> int:
        """Of its steps together."""
        return sum(one.completion_tokens for one in self.steps)

    def money(self, prices: PriceTable | None) -> float | None:
        """Of its steps together; None where one of them has none."""
        costs = [one.money(prices) for one in self.steps]
        known = [one for one in costs if one is not None]
        return sum(known) if prices is not None and len(known) == len(costs) else None


def step_costs(release: ReleaseManifest, names: Mapping[str, str] | None = None) -> list[StepCost]:
    """The steps of a release that asked; `names` are the bill's of its sources, by fingerprint."""
    found: dict[str, StepCost] = {}
    for stream, counts in release.streams.items():
        origins = _origins(counts.steps, names or {})
        for step in counts.steps:
            if step.counts.asks and step.fingerprint not in found:
                found[step.fingerprint] = StepCost(
                    stream=stream,
                    step=step.step,
                    fingerprint=step.fingerprint,
                    sources=tuple(origins[step.fingerprint]),
                    read=step.counts.read,
                    tried=tried_of(step.counts),
                    kept=step.counts.kept,
                    engines=by_engine(step),
                )
    return list(found.values())


def source_costs(release: ReleaseManifest, names: Mapping[str, str] | None = None) -> list[SourceCost]:
    """What was spent on each source, also where nothing was asked, and how many rows of it were released."""
    names = names or {}
    read: dict[str, int] = {}
    groups: dict[tuple[str, ...], list[StepCost]] = {}
    released: dict[tuple[str, ...], int] = {}
    for counts in release.streams.values():
        origins = _origins(counts.steps, names)
        read |= {_label(step, names): step.counts.kept for step in counts.steps if not _inputs(step)}
        of = tuple(origins[counts.steps[-1].fingerprint])
        released[of] = released.get(of, 0) + counts.released
        groups.setdefault(of, [])
    for cost in step_costs(release, names):
        groups.setdefault(cost.sources, []).append(cost)
    return [
        SourceCost(of, sum(read[one] for one in of), released.get(of, 0), tuple(steps))
        for of, steps in sorted(groups.items())
    ]


def _origins(steps: Sequence[StepCounts], names: Mapping[str, str]) -> dict[str, list[str]]:
    """Fingerprint of each step of a way -> labels of the sources that its rows come from."""
    found: dict[str, list[str]] = {}
    for step in steps:
        above = [one for place in _inputs(step) for one in found.get(place, ())]
        found[step.fingerprint] = list(dict.fromkeys(above)) or [_label(step, names)]
    return found


def _inputs(step: StepCounts) -> list[str]:
    one = step.identity.get("input")
    return [one] if one else list(step.identity.get("inputs", ()))


def _label(step: StepCounts, names: Mapping[str, str]) -> str:
    return names.get(step.fingerprint) or f"{step.step}/{step.fingerprint[:SHORT]}"


def by_engine(step: Asking) -> dict[str, Tokens]:
    """What each engine was given: a role's own counts, and of the main one what is left."""
    whole = Tokens(step.counts.asks, step.counts.prompt_tokens, step.counts.completion_tokens)
    found: dict[str, Tokens] = {}
    for role, engine in step.identity.get("engines", {}).items():
        one = Tokens(*(step.counts.roles.get(f"{role} {side}", 0) for side in Tokens._fields))
        whole = Tokens(*(all_ - mine for all_, mine in zip(whole, one, strict=True)))
        found[engine] = _sum(found.get(engine, Tokens(0, 0, 0)), one)
    if any(whole):
        found[step.engine] = _sum(found.get(step.engine, Tokens(0, 0, 0)), whole)
    return {engine: one for engine, one in found.items() if any(one)}


def together(parts: Iterable[Mapping[str, Tokens]]) -> dict[str, Tokens]:
    """What each engine was given in all.

    >>> together([{"a/1": Tokens(1, 20, 3)}, {"a/1": Tokens(2, 30, 4), "b/1": Tokens(1, 5, 6)}])
    {'a/1': Tokens(asks=3, prompt=50, completion=7), 'b/1': Tokens(asks=1, prompt=5, completion=6)}
    """
    found: dict[str, Tokens] = {}
    for part in parts:
        for engine, one in part.items():
            found[engine] = _sum(found.get(engine, Tokens(0, 0, 0)), one)
    return found


def money_of(engines: Mapping[str, Tokens], prices: PriceTable | None) -> float | None:
    """What so many tokens cost as single asks; None without a price for each of the engines."""
    if prices is None:
        return None
    costs = [
        None if (price := prices.get(name)) is None else price.cost(one.prompt, one.completion)
        for name, one in engines.items()
    ]
    return sum(one for one in costs if one is not None) if all(one is not None for one in costs) else None


def _sum(one: Tokens, other: Tokens) -> Tokens:
    return Tokens(*(mine + its for mine, its in zip(one, other, strict=True)))


STEP_HEADS = ("stream", "step", "source", "read", "tried", "kept", "yield", "asks", "prompt tokens", "new tokens")
SOURCE_HEADS = ("source", "records", "released rows", "asks", "prompt tokens", "new tokens")


def step_rows(costs: Iterable[StepCost]) -> list[list[object]]:
    """Rows under `STEP_HEADS`."""
    return [
        [
            *(one.stream, one.step, " + ".join(one.sources), one.read, one.tried, one.kept, f"{one.gained:.0%}"),
            *(one.asks, one.prompt_tokens, one.completion_tokens),
        ]
        for one in costs
    ]


def source_rows(costs: Iterable[SourceCost]) -> list[list[object]]:
    """Rows under `SOURCE_HEADS`."""
    return [
        [" + ".join(one.sources), one.read, one.released, one.asks, one.prompt_tokens, one.completion_tokens]
        for one in costs
    ]
