from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.exact_dedup import ExactDedup, normal_text
from mashbill.records import Document, Made
from tests.filters.support import doc, flat, run, scored


@pytest.mark.parametrize(
    ("one", "two"),
    [("The  SALT\nguild ", "the salt guild"), ("Straße", "STRASSE"), ("caf\u00e9", "cafe\u0301"), ("\u0390", "\u1fd3")],
)
def test_the_same_but_for_case_and_space(one: str, two: str) -> None:
    assert normal_text(one) == normal_text(two)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_normal_form_is_normal(text: str) -> None:
    once = normal_text(text)
    assert unicodedata.is_normalized("NFC", once)
    assert normal_text(once) == once


def test_the_lowest_id_is_kept_whatever_came_first() -> None:
    copies = sorted((doc("Salt", title=str(number)) for number in range(4)), key=lambda row: row.id)
    for part in (copies, copies[::-1]):
        kept, rejects = run(ExactDedup(), [part[:1], part[1:]])
        assert [row.id for part in kept for row in part] == [copies[0].id]
        assert {row["kept_id"] for row in rejects} == {copies[0].id}
        assert {(row["reason"], row["step"], row["value"]) for row in rejects} == {
            ("exact_duplicate", "exact_dedup", None)
        }


def test_the_best_score_is_kept_and_a_row_without_comes_last() -> None:
    rows = [
        doc("salt"),
        scored(doc("Salt"), quality=0.1),
        scored(doc("SALT"), quality=0.9, other=0.0),
        scored(doc("sALT"), other=5.0),
        scored(doc("saLT"), quality=float("nan")),
    ]
    kept, rejects = run(ExactDedup(score="quality"), [rows])
    assert kept == [[rows[2]]]
    assert len(rejects) == 4


def test_rows_of_one_id_are_told_apart_by_how_they_were_made() -> None:
    one, two = (doc("salt", source="s", made=Made(step="x", seed=seed)) for seed in (1, 2))
    assert one.id == two.id
    first, _ = run(ExactDedup(), [[one], [two]])
    second, _ = run(ExactDedup(), [[two], [one]])
    assert flat(first) == flat(second)


rows = st.lists(
    st.builds(
        lambda text, title, score: scored(doc(text, title=title), q=score) if score else doc(text, title=title),
        st.sampled_from(["salt", "SALT", "salt ", "guild", "", " ", "日本"]),
        st.sampled_from("ab"),
        st.sampled_from([0.0, 1.0, 2.0]),
    ),
    max_size=20,
)


def split(documents: list[Document], draw: random.Random) -> list[list[Document]]:
    shuffled = draw.sample(documents, len(documents))
    cuts = sorted(draw.randrange(len(documents) + 1) for _ in range(draw.randrange(4)))
    return [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(documents)], strict=True)]


@settings(max_examples=30, deadline=None)
@given(rows, st.randoms(use_true_random=False))
def test_order_and_parts_do_not_matter_and_twice_is_once(documents: list[Document], draw: random.Random) -> None:
    step = ExactDedup(score="q")
    kept, rejects = run(step, split(documents, draw))
    again, _ = run(step, split(documents, draw))
    alone = sorted(flat(kept), key=lambda row: row.id)
    assert alone == sorted(flat(again), key=lambda row: row.id)
    assert len({normal_text(row.text) for row in alone}) == len(alone)
    assert {normal_text(row.text) for row in alone} == {normal_text(row.text) for row in documents}
    assert {row["kept_id"] for row in rejects} <= {row.id for row in alone}
    twice, none = run(step, kept)
    assert (twice, none) == (kept, [])


def test_no_parts() -> None:
    assert run(ExactDedup(), []) == ([], [])
    assert run(ExactDedup(), [[], []]) == ([[], []], [])
