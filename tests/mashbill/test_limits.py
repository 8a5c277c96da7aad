"""What a budget and a price file may say, and what is refused with what is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from mashbill.errors import BudgetError, SettingsError
from mashbill.limits import Limits
from mashbill.prices import Price, PriceTable


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (["200000tokens"], Limits(tokens=200_000)),
        (["200k tokens"], Limits(tokens=200_000)),
        (["200_000 tokens"], Limits(tokens=200_000)),
        (["1.5M tokens"], Limits(tokens=1_500_000)),
        (["1 token"], Limits(tokens=1)),
        ([" 5 USD "], Limits(money=5.0, currency="USD")),
        (["0.50EUR"], Limits(money=0.5, currency="EUR")),
        (["30min"], Limits(seconds=1800.0)),
        (["90s"], Limits(seconds=90.0)),
        (["1.5 h"], Limits(seconds=5400.0)),
        (["2h", "5USD", "1M tokens"], Limits(tokens=1_000_000, money=5.0, currency="USD", seconds=7200.0)),
        ([], Limits()),
    ],
)
def test_budgets_are_read(said: list[str], wanted: Limits) -> None:
    assert Limits.parse(said) == wanted
    assert bool(wanted) is bool(said)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (["0tokens"], "nothing can be asked for that; leave --budget out"),
        (["0 USD"], "nothing can be asked for that"),
        (["0.0min"], "nothing can be asked for that"),
        (["-5USD"], "is no number above 0 with a unit; wanted tokens"),
        (["5"], "is no number above 0 with a unit"),
        (["USD"], "is no number above 0 with a unit"),
        (["1,000 tokens"], "is no number above 0 with a unit"),
        (["nan USD"], "is no number above 0 with a unit"),
        (["5 parsecs"], "'parsecs' is no unit; wanted tokens"),
        (["5 usd"], "'usd' is no unit"),
        (["5 m tokens"], "'m tokens' is no unit"),
        (["0.5 tokens"], r"is 0\.5 tokens; wanted a whole number"),
        (["5USD", "6USD"], "a budget of money was given already"),
        (["30min", "2h"], "a budget of seconds was given already"),
        ([""], "is no number above 0"),
    ],
)
def test_what_is_no_budget_is_refused_with_what_is_one(said: list[str], why: str) -> None:
    with pytest.raises(BudgetError, match=why):
        Limits.parse(said)


def test_a_budget_is_shown_as_it_would_be_said() -> None:
    assert str(Limits.parse(["200k tokens", "0.5USD", "2h"])) == "200,000 tokens, 0.5 USD, 120 min"
    assert str(Limits()) == "no limit"


def table(tmp_path: Path, text: str) -> PriceTable:
    path = tmp_path / "prices.toml"
    path.write_text(text, encoding="utf-8")
    return PriceTable.read(path)


def test_prices_are_read(tmp_path: Path) -> None:
    said = 'currency = "EUR"\n["a/b@1"]\ninput = 1\noutput = 2.5\nbatch_input = 0.5\n["mine"]\ninput = 0\noutput = 0\n'
    read = table(tmp_path, said)
    assert read.currency == "EUR"
    assert read.engines == {"a/b@1": Price(1.0, 2.5, 0.5), "mine": Price(0.0, 0.0)}
    assert read.engines["a/b@1"].cost(2_000_000, 1_000_000) == 4.5
    # Where a side has no price for batches, a batch costs what other asks do.
    assert read.engines["a/b@1"].cost(2_000_000, 1_000_000, "batch") == 3.5


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("currency = ", "cannot be read as a price file"),
        ('currency = "dollars"', "wanted three capital letters"),
        ("currency = 5", "wanted three capital letters"),
        ('["a/b"]\ninput = 1', "'a/b' must hold the numbers input and output"),
        ('["a/b"]\ninput = 1\noutput = -1', "must hold the numbers input and output, per million tokens, 0 or more"),
        ('["a/b"]\ninput = 1\noutput = nan', "must hold the numbers"),
        ('["a/b"]\ninput = true\noutput = 1', "must hold the numbers"),
        ('"a/b" = 3', "must hold the numbers"),
        ('["a/b"]\ninput = 1\noutput = 2\noutputs = 3', r"unknown price 'outputs' \(did you mean output"),
        ('["a/b"]\ninput = 1\noutput = 2\nbatch_output = "3"', "batch_output of 'a/b' is '3'; wanted a number"),
    ],
)
def test_a_price_file_that_means_nothing_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        table(tmp_path, text)


def test_an_engine_without_a_price_is_named_with_the_nearest(tmp_path: Path) -> None:
    read = table(tmp_path, '["openai/qwen3-8b@2026-04-28"]\ninput = 1\noutput = 2\n')
    read.need(["openai/qwen3-8b@2026-04-28"])
    with pytest.raises(
        SettingsError,
        match=r"prices\.toml: has no price for openai/qwen3-8b@2026-05-01 "
        r'\(did you mean openai/qwen3-8b@2026-04-28\?\); add the table \["openai/qwen3-8b@2026-05-01"\]',
    ):
        read.need(["openai/qwen3-8b@2026-05-01"])
