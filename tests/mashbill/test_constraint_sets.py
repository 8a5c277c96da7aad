"""Sets of constraints: compared without order, case and repeats."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.constraint_sets import CATEGORIES, canonical, category_of, constraint_key, set_key
from mashbill.records import Constraint

constraints = st.lists(
    st.builds(Constraint, category=st.sampled_from(CATEGORIES), text=st.text(min_size=1, max_size=12)), max_size=8
)


@given(constraints, st.integers())
def test_a_set_is_written_the_same_in_whatever_order_it_is_given(found: list[Constraint], seed: int) -> None:
    other = list(found)
    random.Random(seed).shuffle(other)
    assert set_key(other) == set_key(found)
    keys = [constraint_key(one.text) for one in canonical(found)]
    assert keys == sorted(set(keys))
    assert set(keys) == set_key(found)
    assert canonical(canonical(other)) == canonical(other)


def test_a_constraint_without_words_is_still_one() -> None:
    assert constraint_key("{}") != constraint_key("[]")
    assert constraint_key("¿ ?") == "¿ ?"
    assert constraint_key("Do not use lists") != constraint_key("Do use lists")


@pytest.mark.parametrize(
    ("name", "category"),
    [
        *[(one, one) for one in CATEGORIES],
        ("Style/Tone", "style"),
        ("STYLE", "style"),
        ("Input Placeholder", "input_placeholder"),
        ("numeric", "numerical"),
        ("", ""),
        ("mood", "mood"),
    ],
)
def test_categories_are_known_by_their_other_names(name: str, category: str) -> None:
    assert category_of(name) == category
