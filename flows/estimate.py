"""What a bill would ask, take and cost, from a probe of a few records.

The probe asks the real engine; its replies are in the ledger, so the run that follows does not pay for them again. ::

    $ mashbill plan tolvarey.yaml --probe 2 --prices prices.toml
    STREAM     RECORDS  PROBED  ASKS  PROMPT TOKENS  NEW TOKENS      TIME      COST
    entigraph       12       2   198    312,000 ± 9 %  41,000 ± 22 %  9:40   0.41 USD

Prices are a TOML file with a table for each model (`mashbill.prices`).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.kitchen import Kitchen
from flows.run_bill import kitchen_for
from flows.terminal import aligned
from mashbill.ask import Ask
from mashbill.bill import Stream
from mashbill.errors import BadReply, Unanswered
from mashbill.fingerprint import content_id
from mashbill.prices import PriceTable
from mashbill.progress import Silent
from mashbill.records import Record, from_rows
from mashbill.runtime import Runtime
from mashbill.settings import Settings
from mashbill.step import Generator
from mashbill.store import Stored

_HEADS = ["STREAM", "STEP", "RECORDS", "PROBED", "ASKS", "PROMPT TOKENS", "NEW TOKENS", "ROWS", "TIME", "COST"]


@dataclass(frozen=True)
class Amount:
    """A sum over all records, reckoned from the probed ones: mean times records, with a 95 % interval."""

    value: float
    spread: float
    """Half the interval; 0 when all were probed, infinite when only one of several was."""

    def __str__(self) -> str:
        """``41,000 ± 22 %``."""
        if self.value == 0 or self.spread == 0:
            return f"{self.value:,.0f}"
        if math.isinf(self.spread):
            return f"about {self.value:,.0f}"
        return f"{self.value:,.0f} ± {100 * self.spread / self.value:.0f} %"


@dataclass(frozen=True)
class StreamEstimate:
    """One generating stream."""

    name: str
    step: str
    records: int | None
    """None where a stream that it takes is made by a model, and so is not known before it is made."""
    probed: int
    asks: Amount
    prompt_tokens: Amount
    completion_tokens: Amount
    kept: Amount
    seconds: float
    """For all records, at the speed of the probe; 0 when every reply came from the ledger."""
    cost: float | None


@dataclass(frozen=True)
class Estimate:
    """What a bill would take."""

    name: str
    sources: Mapping[str, int]
    streams: Sequence[StreamEstimate]
    training: Mapping[str, int]
    """Arm -> tokens."""
    currency: str
    notes: Sequence[str]

    def render(self) -> str:
        """The estimate as text."""
        read = ", ".join(f"{count:,} records from {name}" for name, count in self.sources.items())
        lines = [f"{self.name}: reads {read}"]
        if self.streams:
            heads = [
                "STREAM",
                "STEP",
                "RECORDS",
                "PROBED",
                "ASKS",
                "PROMPT TOKENS",
                "NEW TOKENS",
                "ROWS",
                "TIME",
                "COST",
            ]
            lines += ["", *aligned(heads, [self._row(one) for one in self.streams])]
        if self.training:
            arms = ", ".join(f"{name} {tokens:,}" for name, tokens in self.training.items())
            lines += ["", f"trains {len(self.training)} students, tokens each: {arms}"]
        return "\n".join([*lines, *(["", *self.notes] if self.notes else [])])

    def _row(self, one: StreamEstimate) -> list[str]:
        records = "?" if one.records is None else f"{one.records:,}"
        if not one.probed:
            return [one.name, one.step, records, "0", *["?"] * 6]
        minutes, seconds = divmod(round(one.seconds), 60)
        shown = f"{minutes}:{seconds:02d}" if one.seconds else "–"
        cost = "–" if one.cost is None else f"{one.cost:,.2f} {self.currency}"
        amounts = [str(amount) for amount in (one.asks, one.prompt_tokens, one.completion_tokens, one.kept)]
        return [one.name, one.step, records, f"{one.probed:,}", *amounts, shown, cost]


@dataclass(frozen=True)
class _Probe:
    """What one record took."""

    asks: int
    prompt_tokens: int
    completion_tokens: int
    kept: int


def estimate_bill(path: Path, settings: Settings, *, probe: int = 2, prices: Path | None = None) -> Estimate:
    """Read a bill's sources and ask about `probe` records of each generating stream; 0 asks nothing.

    Raises:
        SettingsError: for a price file that cannot be read.
        MashbillError: as a run would.
    """
    file = prices or settings.prices
    table = PriceTable(Path()) if file is None else PriceTable.read(file)

    async def run() -> Estimate:
        async with kitchen_for(path, settings, Silent(), command="plan") as kitchen:
            return await _estimate(kitchen, probe, table)

    return asyncio.run(run())


async def _estimate(kitchen: Kitchen, probe: int, prices: PriceTable) -> Estimate:
    bill = kitchen.bill
    sources = {name: (await kitchen.source(name)).manifest.counts.kept for name in bill.sources}
    streams = [await _stream(kitchen, stream, probe, prices) for stream in bill.streams.values() if stream.asks]
    training: dict[str, int] = {}
    if "train" in bill.whole:
        from flows.training_section import read_training

        spec = read_training(bill)
        training = {name: plan.tokens for name, plan in spec.plans.items()} if spec else {}
    notes = []
    for name, one in bill.streams.items():
        if one.accept is not None and one.asks:
            what = f"{one.accept.amount:,} {'rows' if one.accept.rows else 'tokens'}"
            notes.append(f"{name} accepts {what}: only as many records are asked about as it takes")
    if streams and not probe:
        notes.append("nothing was asked; `--probe 2` asks about two records of each stream and reckons from them")
    if any(one.records is None for one in streams):
        notes.append("? records: a stream that takes what another has a model make is not known before that is made")
    if any(one.probed and not one.seconds for one in streams):
        notes.append("time is not known: every reply of the probe was in the ledger already")
    return Estimate(bill.name, sources, streams, training, prices.currency, notes)


async def _stream(kitchen: Kitchen, stream: Stream, probe: int, prices: PriceTable) -> StreamEstimate:
    first = next(index for index, step in enumerate(stream.steps) if step.asks)
    step = stream.steps[first]
    if _asks_above(kitchen, stream):
        unknown = {name: _amount([], 0) for name in _Probe.__dataclass_fields__}
        return StreamEstimate(
            name=stream.name, step=step.name, records=None, probed=0, seconds=0.0, cost=None, **unknown
        )
    before = await _before(kitchen, stream, first)
    total = before.manifest.counts.kept
    # A step that needs all parts at once says nothing by what it does with two records.
    chosen = _sample(before, min(probe, total), kitchen.bill.seed) if isinstance(step, Generator) else []
    runtime = kitchen.runtime(step)
    started = time.perf_counter()
    probes = [await _ask_about(runtime, step, record) for record in chosen if isinstance(step, Generator)]
    took = time.perf_counter() - started
    asker, usage = runtime.asker, runtime.usage()
    fresh = usage.asks > usage.replayed
    amounts = {name: _amount([getattr(one, name) for one in probes], total) for name in _Probe.__dataclass_fields__}
    # Several engines have several prices, and the probe counts their tokens together.
    price = prices.get(asker.identity) if asker is not None and not runtime.askers else None
    prompt, new = amounts["prompt_tokens"].value, amounts["completion_tokens"].value
    return StreamEstimate(
        name=stream.name,
        step=step.name,
        records=total,
        probed=len(chosen),
        seconds=took / len(chosen) * total if chosen and fresh else 0.0,
        cost=None if price is None else price.cost(prompt, new),
        **amounts,
    )


async def _before(kitchen: Kitchen, stream: Stream, first: int) -> Stored:
    """What the first step that asks reads: of a stream that accepts so much, all that it may take."""
    if stream.accept is None:
        return await kitchen.step(stream, first - 1)
    stored = await kitchen.origin(stream)
    for step in stream.steps[:first]:
        stored = await kitchen.run_step(stream, step, stored)
    return stored


def _asks_above(kitchen: Kitchen, stream: Stream) -> bool:
    """Whether a model must be asked before the rows that a stream takes are there."""
    above = [kitchen.bill.streams[name] for name in stream.origins if name not in kitchen.bill.sources]
    return any(one.asks or _asks_above(kitchen, one) for one in above)


def _sample(stored: Stored, count: int, seed: int) -> list[Record]:
    """Records by the order of a hash: the same ones whenever the bill is planned, from anywhere in the source."""
    ids = [(content_id("probe", seed, one), part) for part in range(len(stored)) for one in _ids(stored, part)]
    wanted = {digest for digest, _ in sorted(ids)[:count]}
    parts = sorted({part for digest, part in ids if digest in wanted})
    records = [record for part in parts for record in from_rows(stored.table(part).to_pylist(), stored.kind)]
    return [record for record in records if content_id("probe", seed, record.id) in wanted]


def _ids(stored: Stored, part: int) -> list[str]:
    return list(stored.table(part, ["id"]).column("id").to_pylist())


async def _ask_about(runtime: Runtime, step: Generator[Any, Any], record: Record) -> _Probe:
    assert runtime.asker is not None
    ask = Ask(runtime.asker, record.id, step.name, askers=runtime.askers)
    try:
        made = list(await step.make(record, ask))
    except (BadReply, Unanswered):
        made = []
    kept = sum(isinstance(row, Record) for row in made)
    return _Probe(ask.usage.asks, ask.usage.prompt_tokens, ask.usage.completion_tokens, kept)


def _amount(values: Sequence[float], total: int) -> Amount:
    """Mean times total; the interval is the normal one with the correction for a finite population."""
    if not values:
        return Amount(0.0, math.inf)
    mean, count = math.fsum(values) / len(values), len(values)
    if count == total:
        return Amount(mean * total, 0.0)
    if count == 1:
        return Amount(mean * total, math.inf)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return Amount(mean * total, 1.96 * total * math.sqrt(variance / count * (1 - count / total)))
