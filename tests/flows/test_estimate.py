"""`mashbill plan`: what it asks, what it reckons, and that the run after it pays for nothing twice."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from flows.estimate import Amount, estimate_bill
from flows.run_bill import run_bill
from mashbill.errors import SettingsError
from mashbill.progress import Silent
from mashbill.settings import Settings

TEACHER = '''
"""A teacher whose replies are as long as the document."""

from dataclasses import dataclass
from pathlib import Path

from mashbill.engine import Reply

PAID = Path(__file__).parents[1] / "paid.log"


@dataclass(frozen=True, kw_only=True)
class LengthTeacher:
    """Answers with the question's own words."""

    identity = "scripted/length"
    batch = 4
    calls = 1

    async def start(self):
        """Nothing to start."""

    async def close(self):
        """Nothing to close."""

    async def complete(self, requests):
        """The whole question again, in other order."""
        for index, request in enumerate(requests):
            words = request.messages[-1].content.split()
            with PAID.open("a") as handle:
                handle.write("x")
            text = " ".join(reversed(words))
            yield index, Reply(text=text, finish_reason="stop", prompt_tokens=len(words), completion_tokens=len(words))
'''

STEP = '''
"""One question a document."""

from dataclasses import dataclass

from mashbill.engine import user
from mashbill.records import Document
from mashbill.step import Generator


@dataclass(frozen=True, kw_only=True)
class Backwards(Generator[Document, Document]):
    """Asks for the document backwards."""

    def prompt(self, record):
        """The document."""
        return user(record.text)

    def parse(self, record, answer):
        """The reply."""
        yield record.child(Document, text=answer.text, made=answer.made())
'''

BILL = """
name: planned
steps: steps
sources: {docs: {read_documents: {path: docs.jsonl}}}
engine: {length_teacher: {}}
streams: {back: {from: docs, generate: [backwards]}}
"""


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "length_teacher.py").write_text(TEACHER, encoding="utf-8")
    (tmp_path / "steps" / "backwards.py").write_text(STEP, encoding="utf-8")
    rows = [json.dumps({"text": " ".join(["word"] * 10 + [f"n{index}"])}) for index in range(20)]
    (tmp_path / "docs.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "bill.yaml").write_text(BILL, encoding="utf-8")
    return tmp_path / "bill.yaml"


def settings(bill: Path) -> Settings:
    return Settings(root=bill.parent / "runs")


def paid(bill: Path) -> int:
    log = bill.parent / "paid.log"
    return len(log.read_text()) if log.exists() else 0


def test_a_probe_of_equal_documents_reckons_the_exact_sums(bill: Path) -> None:
    (stream,) = estimate_bill(bill, settings(bill), probe=4).streams
    assert (stream.records, stream.probed) == (20, 4)
    assert (stream.asks.value, stream.prompt_tokens.value, stream.completion_tokens.value) == (20, 220, 220)
    assert stream.prompt_tokens.spread == 0
    assert stream.kept.value == 20


def test_what_the_probe_paid_for_is_not_paid_for_again(bill: Path) -> None:
    estimate_bill(bill, settings(bill), probe=4)
    assert paid(bill) == 4
    estimate_bill(bill, settings(bill), probe=4)
    assert paid(bill) == 4
    run_bill(bill, settings(bill), Silent())
    assert paid(bill) == 20


def test_no_probe_asks_nothing_and_says_so(bill: Path) -> None:
    estimate = estimate_bill(bill, settings(bill), probe=0)
    assert paid(bill) == 0
    assert "nothing was asked" in estimate.render()
    assert "20 records from docs" in estimate.render()


def test_a_price_gives_a_cost(bill: Path, tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('currency = "EUR"\n["scripted/length"]\ninput = 1000000\noutput = 2000000\n', encoding="utf-8")
    estimate = estimate_bill(bill, settings(bill), probe=2, prices=prices)
    assert estimate.streams[0].cost == pytest.approx(220 + 2 * 220)
    assert "660.00 EUR" in estimate.render()


@pytest.mark.parametrize("text", ["not toml", '["m"]\ninput = 1\n', "m = 3\n"])
def test_a_price_file_that_cannot_be_used_is_named(bill: Path, tmp_path: Path, text: str) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"prices\.toml"):
        estimate_bill(bill, settings(bill), probe=1, prices=prices)


def test_a_stream_of_what_a_model_makes_is_not_made_to_be_estimated(bill: Path) -> None:
    bill.write_text(BILL.replace("]}}", "]}, again: {from: [docs, back], generate: [backwards]}}"), encoding="utf-8")
    estimate = estimate_bill(bill, settings(bill), probe=1)
    assert paid(bill) == 1
    assert [one.records for one in estimate.streams] == [20, None]
    assert "? records" in estimate.render()


def test_amounts_say_how_sure_they_are() -> None:
    assert str(Amount(41_000, 9_000)) == "41,000 ± 22 %"
    assert str(Amount(41_000, 0)) == "41,000"
    assert str(Amount(41_000, math.inf)) == "about 41,000"
