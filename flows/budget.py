"""The budget of a run, from its settings, its bill and its account in the ledger; and how an account is shown.

$ mashbill budget tolvarey.yaml --prices prices.toml
account tolvarey: 812 asks, 1,310,022 + 402,110 tokens, 0.29 USD, 11.4 min
ENGINE                       STEP        ASKS  PROMPT TOKENS  NEW TOKENS      COST
openai/qwen3-8b@2026-04-28   entigraph    812      1,310,022     402,110  0.29 USD
"""

from __future__ import annotations

from collections.abc import Iterable

from flows.costs import shown
from flows.terminal import aligned
from mashbill.bill import Bill
from mashbill.budget import Budget
from mashbill.engine_env import engine_root
from mashbill.errors import OverBudget
from mashbill.ledger import Ledger
from mashbill.limits import Limits
from mashbill.partial import PARTIAL
from mashbill.prices import PriceTable
from mashbill.release_manifest import ReleaseManifest, StepCounts
from mashbill.settings import Settings
from mashbill.spending import Account, Spent, kept_account

NOT_IN_IT = "Not in it: stream "
"""How the description of a release names a stream that the budget left without a row."""


def account_name(settings: Settings, bill: Bill) -> str:
    """On what a run of a bill is entered."""
    return settings.account or bill.name


def price_table(settings: Settings) -> PriceTable | None:
    """The prices that the settings name, or None.

    Raises:
        SettingsError: for a file that cannot be read, or says what is no price.
    """
    return None if settings.prices is None else PriceTable.read(settings.prices)


def open_budget(settings: Settings, bill: Bill, ledger: Ledger) -> Budget | None:
    """What a run may still spend; None without limits. All that can be wrong with it is said here, before any ask.

    Raises:
        BudgetError: for money without prices, or in another currency than theirs.
        SettingsError: for prices that cannot be read, or lack an engine of the bill's.
    """
    if not settings.budget:
        return None
    prices = price_table(settings)
    if settings.budget.money is not None and prices is not None:
        with engine_root(settings.root):
            prices.need(engines_of(bill))
    return Budget(settings.budget, ledger.account(account_name(settings, bill)), prices)


def engines_of(bill: Bill) -> list[str]:
    """The identities of the engines that the bill's steps ask."""
    asking = [step for stream in bill.streams.values() for step in stream.steps if step.asks]
    roles = sorted({role for step in asking for role in ("", *step.engines())})
    engines = [bill.engine(role) for role in roles]
    return sorted({engine.identity for engine in engines if engine is not None})


def lacking_steps(release: ReleaseManifest) -> list[tuple[str, StepCounts]]:
    """The streams and steps of a release in which records were not answered, each step once."""
    found: dict[str, tuple[str, StepCounts]] = {}
    for name, stream in release.streams.items():
        for step in stream.steps:
            if PARTIAL in step.identity:
                found.setdefault(step.fingerprint, (name, step))
    return list(found.values())


def partial_lines(release: ReleaseManifest) -> list[str]:
    """For the end of a run: what lacks in which step, and how to go on; nothing for a whole release."""
    lacking = lacking_steps(release)
    lines = [f"{name}, {step.step}: {step.said[0]}" for name, step in lacking]
    without = [line for line in release.description.split("\n\n") if line.startswith(NOT_IN_IT)]
    if without or any(OverBudget.state in step.identity[PARTIAL] for _, step in lacking):
        lines.append("to go on, run the same command with a larger --budget: what was paid for is kept")
    return [*without, *lines]


def render_account(account: Account, limits: Limits, prices: PriceTable | None) -> str:
    """An account as text: what was spent in all, by engine and step, and what is left of the limits."""
    total = Spent()
    for one in account.spent.values():
        total.add(one.asks, one.prompt_tokens, one.completion_tokens)
    cost = _cost(account, prices)
    money = "" if cost is None or prices is None else f", {shown(cost, prices.currency)}"
    lines = [
        f"account {account.name}: {total.asks:,} asks, {total.prompt_tokens:,} + {total.completion_tokens:,} tokens"
        f"{money}, {account.seconds / 60:,.1f} min"
    ]
    if limits:
        lines.append(f"left of {limits}: {', '.join(_left(account, total, cost, limits))}")
    if account.spent:
        lines += ["", *_by_step(account, prices)]
    return "\n".join(lines)


def _left(account: Account, total: Spent, cost: float | None, limits: Limits) -> Iterable[str]:
    if limits.tokens is not None:
        yield f"{max(0, limits.tokens - total.tokens):,} tokens"
    if limits.money is not None:
        yield "unknown without prices" if cost is None else shown(max(0.0, limits.money - cost), limits.currency)
    if limits.seconds is not None:
        yield f"{max(0.0, limits.seconds - account.seconds) / 60:,.1f} min"


def _cost(account: Account, prices: PriceTable | None) -> float | None:
    """None where one of the engines has no price."""
    if prices is None:
        return None
    found = [(prices.get(payer.engine), payer.tariff, one) for payer, one in account.spent.items()]
    if any(price is None for price, _, _ in found):
        return None
    return sum(p.cost(one.prompt_tokens, one.completion_tokens, tariff) for p, tariff, one in found if p is not None)


def _by_step(account: Account, prices: PriceTable | None) -> Iterable[str]:
    heads = ["ENGINE", "STEP", "ASKS", "PROMPT TOKENS", "NEW TOKENS", "COST"]
    rows = []
    for payer, one in account.spent.items():
        price = None if prices is None else prices.get(payer.engine)
        cost = "–"
        if prices is not None and price is not None:
            cost = shown(price.cost(one.prompt_tokens, one.completion_tokens, payer.tariff), prices.currency)
        engine = f"{payer.engine} ({payer.tariff})" if payer.tariff else payer.engine
        rows.append([engine, payer.step, f"{one.asks:,}", f"{one.prompt_tokens:,}", f"{one.completion_tokens:,}", cost])
    return aligned(heads, rows)


def shown_account(bill: Bill, settings: Settings) -> str:
    """What `mashbill budget` prints.

    Raises:
        SettingsError, LedgerError: as a run would.
    """
    prices, name = price_table(settings), account_name(settings, bill)
    account = kept_account(settings.ledger, name)
    return render_account(account, settings.budget, prices)
