"""What a release took, for whoever ran it: a line at the end of a run, ``mashbill costs``, and a page beside a report.

$ mashbill costs tolvarey --prices prices.toml
STREAM  STEP        SOURCE   READ  TRIED  KEPT  YIELD  ASKS  PROMPT TOKENS  NEW TOKENS      COST
tales   tell_tales  almanac     8     32    24    75%    43            387         215  0.02 USD
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.terminal import aligned
from mashbill.card import table
from mashbill.costs import (
    SOURCE_HEADS,
    STEP_HEADS,
    SourceCost,
    StepCost,
    source_costs,
    source_rows,
    step_costs,
    step_rows,
)
from mashbill.disk import write_bytes, write_json
from mashbill.prices import PriceTable
from mashbill.release_manifest import ReleaseManifest

__all__ = ["SourceCost", "StepCost", "cost_json", "cost_lines", "source_costs", "step_costs", "write_costs"]

COSTS = "costs"
"""Beside a report: ``costs.md`` and ``costs.json``."""


def cost_lines(release: ReleaseManifest, prices: PriceTable | None = None) -> list[str]:
    """For the end of a run: a line for each step that asked, and the money in all where prices are given.

    ::

        tales, tell_tales: 24 of 32 kept (75%), 43 asks, 387 + 215 tokens, 0.02 USD
    """
    return [
        f"{one.stream}, {one.step}: {one.kept:,} of {one.tried:,} kept ({one.gained:.0%}), {one.asks:,} asks, "
        f"{one.prompt_tokens:,} + {one.completion_tokens:,} tokens{_money(one.money(prices), prices)}"
        for one in step_costs(release)
    ]


def _money(cost: float | None, prices: PriceTable | None) -> str:
    if prices is None:
        return ""
    return ", cost unknown" if cost is None else f", {shown(cost, prices.currency)}"


def shown(cost: float, currency: str) -> str:
    """Money for a reader: two places, or as many as show something.

    >>> shown(12.3456, "USD"), shown(0.00123, ""), shown(0, "EUR")
    ('12.35 USD', '0.0012', '0.00 EUR')
    """
    text = f"{cost:,.2f}" if cost >= 1 or not cost else f"{cost:.2g}" if cost < 0.1 else f"{cost:.2f}"
    return f"{text} {currency}".rstrip()


def render_costs(
    release: ReleaseManifest, prices: PriceTable | None = None, names: Mapping[str, str] | None = None
) -> str:
    """What `mashbill costs` prints."""
    steps, sources = _tables(release, prices, names)
    if not steps.rows:
        return f"{release.name} {release.version}: no step asked a model, so it took no tokens"
    said = [
        *aligned([head.upper() for head in steps.heads], _text(steps.rows), left=3),
        "",
        *aligned([head.upper() for head in sources.heads], _text(sources.rows), left=1),
    ]
    return "\n".join(said)


def write_costs(
    folder: Path, release: ReleaseManifest, prices: PriceTable | None, names: Mapping[str, str] | None = None
) -> None:
    """Write ``costs.md`` and ``costs.json`` beside a report, anew with each run: prices change."""
    steps, sources = _tables(release, prices, names)
    text = (
        f"# {release.name}: what it took\n\n{table(steps.heads, steps.rows)}\n\n{table(sources.heads, sources.rows)}\n"
    )
    write_bytes(folder / f"{COSTS}.md", text.encode())
    write_json(folder / f"{COSTS}.json", cost_json(release, prices, names))


def cost_json(
    release: ReleaseManifest, prices: PriceTable | None = None, names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The same as plain values; ``cost`` is null where a price lacks."""
    steps = [
        dict(zip((*STEP_HEADS, "cost"), [*row, one.money(prices)], strict=True))
        for one in step_costs(release, names)
        for row in step_rows([one])
    ]
    sources = [
        dict(zip((*SOURCE_HEADS, "cost"), [*row, one.money(prices)], strict=True))
        for one in source_costs(release, names)
        for row in source_rows([one])
    ]
    return {"steps": steps, "sources": sources, "currency": prices.currency if prices is not None else ""}


class _Table:
    """Heads, and rows with a column of money where there are prices."""

    def __init__(self, heads: Sequence[str], rows: list[list[object]], money: Iterable[float | None]) -> None:
        self.heads, self.rows = list(heads), rows
        self._money = list(money)

    def priced(self, prices: PriceTable | None) -> _Table:
        if prices is not None:
            self.heads.append("cost")
            for row, cost in zip(self.rows, self._money, strict=True):
                row.append("–" if cost is None else shown(cost, prices.currency))
        return self


def _tables(
    release: ReleaseManifest, prices: PriceTable | None, names: Mapping[str, str] | None
) -> tuple[_Table, _Table]:
    steps, sources = step_costs(release, names), source_costs(release, names)
    return (
        _Table(STEP_HEADS, step_rows(steps), (one.money(prices) for one in steps)).priced(prices),
        _Table(SOURCE_HEADS, source_rows(sources), (one.money(prices) for one in sources)).priced(prices),
    )


def _text(rows: Sequence[Sequence[object]]) -> list[list[str]]:
    return [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
