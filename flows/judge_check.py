"""Checking the judge that a bill names against a gold set, and the figures as text."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filters.gold_set import read_gold
from filters.judge_check import check_judge
from filters.rubric_file import read_rubric
from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.errors import BillError
from mashbill.ledger import Ledger
from mashbill.read_bill import read_bill
from mashbill.registry import nearest
from mashbill.roles import MAIN, engine_of
from mashbill.settings import Settings


def check_bill_judge(
    bill: Path, settings: Settings, *, role: str, rubric: str, folder: str, gold: Path | None, pairs: bool
) -> dict[str, Any]:
    """The figures of the judge that a bill names under a role; what it was asked before is not paid for again.

    Raises:
        BillError: when the bill has no such engine.
        InputError: when the rubric or the gold set is none.
    """
    whole = read_bill(bill)
    engine = whole.engine(engine_of(role))
    if engine is None:
        known = [*([MAIN] if "engine" in whole.whole else []), *whole.roles]
        raise BillError(
            f"has no engine of the role {role!r}{nearest(role, known)}; it has: {', '.join(known)}", path=bill
        )
    looked_by = read_rubric(rubric, folder)
    items = read_gold(looked_by, gold)

    async def run() -> dict[str, Any]:
        ledger = Ledger(settings.ledger)
        try:
            async with Asker(engine, ledger) as asker:
                ask = Ask(asker, "gold", "judge_check")
                return await check_judge(looked_by, items, ask, MAIN, pairs=pairs)
        finally:
            await ledger.close()

    return {"judge": engine.identity, "rubric": rubric, "gold": gold.name if gold else rubric, **asyncio.run(run())}


def render_check(found: Mapping[str, Any]) -> str:
    """The figures as they are shown."""
    heads = ["dimension", "texts", "no mark", "exact", "within 1", "kappa", "weighted", "passes"]
    keys = ["items", "missing", "exact", "near", "kappa", "weighted_kappa", "pass_kappa"]
    rows = [[name, *(_cell(one.get(key)) for key in keys)] for name, one in found["dimensions"].items()]
    lines = [
        f"{found['judge']} on {found['items']} texts of the gold set {found['gold']}, rubric {found['rubric']}",
        "",
        *_table(heads, rows),
        "",
        "kappa: agreement beyond chance, 1 is always; weighted: far misses count more; passes: upper half of the scale",
    ]
    if "pairs" in found:
        lines += _pairs(found["pairs"])
    if found["padding"]:
        moved = ", ".join(f"{name} {gap:+.2f}" for name, gap in found["padding"].items())
        lines.append(f"padding moves marks that it should not: {moved}")
    return "\n".join(lines)


def _pairs(pairs: Mapping[str, Any]) -> list[str]:
    lines = [f"pairs: {pairs['pairs']}, each in both orders, {pairs['missing']} without an answer"]
    if "right" in pairs:
        lines.append(
            f"  right in both orders {pairs['right']:.0%}, same choice in both {pairs['consistent']:.0%}, the first "
            f"one chosen {pairs['first']:.0%} (50% is unswayed)"
        )
    if "right_shorter" in pairs:
        lines.append(
            f"  right where the better one is shorter {pairs['right_shorter']:.0%}, where it is longer "
            f"{pairs['right_longer']:.0%}"
        )
    return lines


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    whole = [heads, *rows]
    widths = [max(len(row[at]) for row in whole) for at in range(len(heads))]
    lines = []
    for first, *others in whole:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return lines


def _cell(value: float | int | None) -> str:
    return "–" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"
