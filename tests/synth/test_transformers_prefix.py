"""Which beginnings are shared, which are kept, and attention over them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from synth.engines import shared_attention  # noqa: E402
from synth.engines.prefix import Prefix, PrefixStore, common, shared_lengths  # noqa: E402


def prefix(*ids: int) -> Prefix:
    part = torch.zeros(1, 1, len(ids), 2)
    return Prefix(ids, ((part, part),))


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), max_size=10))
def test_shared_lengths_are_shared(prompts: list[list[int]]) -> None:
    lengths = shared_lengths(prompts, least=2)
    assert len(lengths) == len(prompts)
    for index, (ids, length) in enumerate(zip(prompts, lengths, strict=True)):
        assert length == 0 or 2 <= length < len(ids)
        assert not length or any(
            common(ids, other) >= length and lengths[place] == length
            for place, other in enumerate(prompts)
            if place != index
        )


def test_documents_are_preferred_to_what_all_share() -> None:
    system, first, second = [7] * 3, [1] * 10, [2] * 10
    prompts = [[*system, *document, question] for document in (first, second) for question in (4, 5, 6)]
    assert shared_lengths(prompts, least=2) == [13] * 6
    lonely = [[*system, document, 9] for document in range(6)]
    assert shared_lengths(lonely, least=2) == [3] * 6


def test_prompts_that_each_continue_the_last() -> None:
    chain = [[1] * length for length in range(1, 600)]
    assert len(shared_lengths(chain)) == 599


def test_store_finds_the_longest_and_lets_the_oldest_go() -> None:
    ids = tuple(range(40))
    store = PrefixStore(prefix(*ids).size * 2)
    store.keep(prefix(*ids))
    assert store.find(ids[:20]) is None
    part = store.find([*ids[:36], 99, 98])
    assert part is not None
    assert part.ids == ids[:36]
    assert store.find([*ids[:36], 99, 98]) is part
    other = tuple(range(100, 140))
    store.keep(prefix(*other))
    assert store.find([*ids, 1]) is not None  # used last, so the other goes first
    store.keep(prefix(*range(200, 240)))
    assert store.find([*other, 1]) is None
    assert len(store) == 2
    assert store.size <= store.limit
    store.keep(prefix(*range(1000)))
    assert len(store) == 2
    store.clear()
    assert len(store) == 0


def test_long_queries_in_slices_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, length, 4) for length in (9, 5, 5))
    whole = shared_attention._sliced(query, key, value)
    monkeypatch.setattr(shared_attention, "SCORES", 20)
    for one, other in zip(whole, shared_attention._sliced(query, key, value), strict=True):
        torch.testing.assert_close(one, other)
