"""The first rows by a hash: exactly as many as are wanted, and each draw holds the smaller ones."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill.errors import BillError
from mashbill.execute import execute
from mashbill.records import RECORD_TYPES, Document, to_table
from mashbill.row_size import BYTES_A_TOKEN, Measure, sizes
from mashbill.runtime import Runtime
from mashbill.store import Stored
from mashbill.take_first import TakeFirst
from tests.mashbill.release_rows import BYTES, rows_of_kind, texts
from tests.support.kernel import rejects_in, rows_of, store

WORDS = Measure(unit="tokens", tokenizer="words", count=lambda texts: [len(text.split()) for text in texts])


def take(stored: Stored, root: Path, **fields: object) -> Stored:
    step = TakeFirst(kind=stored.manifest.kind, **fields)  # type: ignore[arg-type]
    return asyncio.run(execute(step, stored, Runtime(root=root)))


def ids(stored: Stored) -> list[str]:
    return [row.id for row in rows_of(stored)]


@settings(max_examples=20)
@given(
    count=st.integers(1, 40),
    wanted=st.integers(1, 45),
    more=st.integers(0, 10),
    part_rows=st.integers(1, 9),
    seed=st.integers(0, 9),
)
def test_exactly_as_many_are_taken_and_a_larger_draw_holds_the_smaller(
    count: int, wanted: int, more: int, part_rows: int, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        rows = store(root, texts([9] * count), part_rows)
        some, larger = take(rows, root, rows=wanted, seed=seed), take(rows, root, rows=wanted + more, seed=seed)
        assert len(ids(some)) == min(wanted, count)
        assert set(ids(some)) <= set(ids(larger))
        order = ids(rows)
        assert ids(some) == sorted(ids(some), key=order.index), "rows keep their order"
        rejects = rejects_in(some)
        assert Counter([*ids(some), *(one.parents[0] if one.parents else "" for one in rejects)]).total() == count
        assert {one.reason for one in rejects} <= {"over_accept"}
        assert some.manifest.notes["accepted"] == {
            "wanted": wanted,
            "unit": "rows",
            "have": min(wanted, count),
            "met": wanted <= count,
        }


@settings(max_examples=20)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=20), wanted=st.integers(1, 300))
def test_tokens_are_filled_by_a_last_row(lengths: list[int], wanted: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        rows = [Document.new(text=" ".join(["salt"] * length), title=str(at)) for at, length in enumerate(lengths)]
        stored = store(root, rows, 3)
        some = take(stored, root, tokens=wanted, measure=WORDS)
        got = [len(row.text.split()) for row in rows_of(some)]
        assert sum(got) >= min(wanted, sum(lengths))
        assert sum(got) - max(got) < wanted, "no row more than fills it"
        assert some.manifest.notes["accepted"]["have"] == sum(got)
        assert some.manifest.counts.rejected.get("over_accept", 0) == len(lengths) - len(got)


def test_a_row_that_was_made_is_kept_in_its_reject_and_one_that_was_not_asked_about_is_not(tmp_path: Path) -> None:
    rows = store(tmp_path, texts([9, 9, 9]))
    made = rejects_in(take(rows, tmp_path, rows=1))
    asked = rejects_in(take(rows, tmp_path, rows=1, reason="not_asked"))
    assert [bool(one.record) and bool(one.text) for one in made] == [True, True]
    assert [(one.record, one.text, one.reason) for one in asked] == [("", "", "not_asked")] * 2
    assert {one.source for one in asked} == {one.source for one in made}


def test_the_tokenizer_is_identity_and_its_function_is_not(tmp_path: Path) -> None:
    rows = store(tmp_path, texts([9, 9, 9]))
    again = Measure(unit="tokens", tokenizer="words", count=lambda texts: [1 for _ in texts])
    other = Measure(unit="tokens", tokenizer="letters", count=lambda texts: [len(text) for text in texts])
    places = [take(rows, tmp_path, tokens=2, measure=one).path for one in (WORDS, again, other)]
    assert places[0] == places[1] != places[2]


@pytest.mark.parametrize("fields", [{}, {"rows": 1, "tokens": 1}, {"rows": -1}, {"rows": 2, "tokens": -1}])
def test_one_amount_is_wanted(fields: dict[str, Any]) -> None:
    with pytest.raises((ValueError, BillError), match="one of them is wanted"):
        TakeFirst(kind="Document", **fields)


@pytest.mark.parametrize("kind", sorted(RECORD_TYPES))
def test_the_size_of_a_row_is_that_of_its_texts(kind: str) -> None:
    (row,) = rows_of_kind(kind, 1)
    frame = pl.DataFrame(to_table([row], RECORD_TYPES[kind]))
    letters = Measure(unit="tokens", tokenizer="bytes", count=lambda texts: [len(text.encode()) for text in texts])
    assert sizes(frame, RECORD_TYPES[kind]).to_list() == [BYTES[kind]]
    assert sizes(frame, RECORD_TYPES[kind], letters).to_list() == [BYTES[kind]]
    guessed = Measure(unit="tokens")
    assert guessed.name == "tokens of four bytes"
    assert sizes(frame, RECORD_TYPES[kind], guessed).to_list() == [-(-BYTES[kind] // BYTES_A_TOKEN)]
