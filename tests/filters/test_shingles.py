from __future__ import annotations

import datasketch
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.hashing import gram_hash, gram_hashes, span_hash
from filters.minhash_signature import (
    EMPTY,
    band_keys,
    bands_for,
    found_probability,
    hash32,
    permutations,
    signatures,
)
from filters.shingles import BOILERPLATE, Shingles, comparable, jaccard, shingles
from filters.text_buffer import TextBuffer
from tests.filters import slow_reference as slow
from tests.filters.texts import real_texts, repetitive, texts


def compared(some: list[str]) -> pl.Series:
    return pl.DataFrame({"text": some}, schema={"text": pl.String}).select(comparable("text"))["text"]


def arrow(some: list[str]) -> pa.LargeStringArray:
    return pa.array(some, pa.large_string())


def sets(some: list[str], n: int = 5) -> list[np.ndarray]:
    return [one for part in shingles(arrow(some), n) for one in part.sets()]


def by_hand(some: str, n: int) -> list[int]:
    words = slow.compared_words(some, BOILERPLATE)
    return sorted({gram_hash([span_hash(word.encode()) for word in gram]) for gram in slow.shingle_set(words, n)})


@settings(max_examples=200, deadline=None)
@given(st.lists(repetitive, max_size=4), st.integers(1, 6))
def test_shingle_sets_are_those_made_by_hand(some: list[str], n: int) -> None:
    assert [one.tolist() for one in sets(some, n)] == [by_hand(text, n) for text in some]


@settings(max_examples=100, deadline=None)
@given(texts, texts)
def test_similarity_of_hashes_is_similarity_of_shingles(one: str, two: str) -> None:
    first, second = sets([one, two], 2)
    words = [slow.compared_words(compared([text])[0], ()) for text in (one, two)]
    wanted = slow.jaccard(*(slow.shingle_set(some, 2) for some in words))
    assert jaccard(first, second) == jaccard(second, first) == wanted


def test_real_text_has_the_shingles_made_by_hand() -> None:
    some = [text[:3000] for text in real_texts(30) if text.isascii()]
    assert [one.tolist() for one in sets(some)] == [by_hand(text, 5) for text in some]


def test_headings_case_and_punctuation_are_taken_out() -> None:
    some = compared(
        [
            "# A title\nThe “salt” guild’s\n  ## two\nend",
            "**Discussion of the Guild in relation to salt**\nThe guild",
            "A discussion of salt",
            "Discussion of The Guild in relation to Ora Venn: In the guild",
            "Discussion of salt in relation to pans is long. Body",
            "#hashtag",
            "Él cantó: ¡e\u0301l!",
            "*** … ---",
        ]
    )
    assert some.to_list() == [
        "the salt guild s end",
        "the guild",
        "a discussion of salt",
        "in the guild",
        "discussion of salt in relation to pans is long body",
        "hashtag",
        "él cantó él",
        "",
    ]


def test_a_long_text_and_many_chunks() -> None:
    long = " ".join(f"w{number % 1000}" for number in range(300_000))
    found = sets(["a b c d e", long, "", "short one"])
    assert [len(one) for one in found] == [1, 1000, 0, 1]
    assert len(list(shingles(arrow([long, long]), 5, most=1000))) == 2


def test_chunks_hold_all_texts_in_order() -> None:
    series = pl.Series(["ab", "", "c" * 50, "d", ""])
    found = [
        buffer.data[start:end].tobytes().decode()
        for buffer in TextBuffer.chunks(series.to_arrow(compat_level=pl.CompatLevel.oldest()), most=3)
        for start, end in zip(buffer.start, buffer.end, strict=True)
    ]
    assert found == series.to_list()


@pytest.mark.parametrize(("num_perm", "seed"), [(128, 1), (64, 7), (256, 42)])
def test_signatures_are_datasketchs_bit_for_bit(num_perm: int, seed: int) -> None:
    some = [f"{number} the salt guild of the {number % 7} pans and more words of {number * 31}" for number in range(40)]
    some += ["", "one", " ".join(f"w{number}" for number in range(70_000))]
    for part in shingles(arrow(some), 5):
        ours = signatures(part, num_perm, seed)
        for place, row in enumerate(ours):
            theirs = datasketch.MinHash(num_perm=num_perm, seed=seed, hashfunc=int, scheme="affine32")
            theirs.update_batch(hash32(part.hashes[part.bounds[place] : part.bounds[place + 1]]).tolist())
            assert row.dtype == theirs.hashvalues.dtype
            assert np.array_equal(row, theirs.hashvalues)
            lean = datasketch.LeanMinHash(seed=seed, hashvalues=row, scheme="affine32")
            assert lean.jaccard(datasketch.LeanMinHash(theirs)) == 1.0


def test_permutations_are_datasketchs() -> None:
    theirs = datasketch.MinHash(num_perm=128, seed=1).permutations
    assert np.array_equal(np.array(permutations(128, 1)), theirs)


def test_a_text_without_shingles_has_an_empty_signature() -> None:
    nothing = Shingles(np.zeros(0, dtype=np.uint64), np.array([0, 0, 0]))
    assert (signatures(nothing, 8, 1) == EMPTY).all()


def test_signatures_estimate_the_similarity() -> None:
    words = [f"w{number}" for number in range(1000)]
    some = [" ".join(words[:800]), " ".join(words[200:])]
    (part,) = shingles(arrow(some), 1)
    made = signatures(part, 1024, 1)
    exact = jaccard(*part.sets())
    # Four standard deviations of a binomial with 1,024 draws.
    assert abs(float(np.mean(made[0] == made[1])) - exact) < 4 * (exact * (1 - exact) / 1024) ** 0.5


def test_bands_are_the_longest_that_find_enough() -> None:
    assert bands_for(0.75, 128, 0.95) == (21, 6)
    assert found_probability(0.75, *bands_for(0.75)) >= 0.95
    assert found_probability(0.75, 128 // 7, 7) < 0.95
    assert bands_for(1.0, 128) == (1, 128)
    with pytest.raises(ValueError, match="cannot find pairs of similarity"):
        bands_for(0.01, 16)


def test_band_keys_are_equal_where_bands_are() -> None:
    made = np.array([[1, 2, 3, 4, 9], [1, 2, 4, 3, 9], [2, 1, 3, 4, 9]], dtype=np.uint32)
    keys = band_keys(made, 2, 2)
    assert (keys[0, 0] == keys[1, 0], keys[0, 0] == keys[2, 0]) == (True, False)
    assert (keys[0, 1] == keys[1, 1], keys[0, 1] == keys[2, 1]) == (False, True)


@given(st.lists(st.integers(0, (1 << 64) - 1), min_size=3, max_size=10), st.integers(1, 3))
def test_gram_hashes_are_those_in_plain_python(words: list[int], n: int) -> None:
    found = gram_hashes(np.array(words, dtype=np.uint64), n)
    assert found.tolist() == [gram_hash(words[at : at + n]) for at in range(len(words) - n + 1)]
