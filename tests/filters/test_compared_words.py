"""Words of texts as they are compared: the kernel's and polars' ways agree, on every character there is."""

from __future__ import annotations

import unicodedata

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import shingles as module
from filters.shingle_kernel import READ
from filters.shingles import BOILERPLATE, NotUtf8, comparable, shingles
from filters.text_buffer import arrow_bytes
from tests.filters import slow_reference as slow
from tests.filters.texts import texts


def arrow(some: list[str]) -> pa.LargeStringArray:
    return pa.array(some, pa.large_string())


def settled(some: list[str]) -> list[list[int]]:
    """Word hashes of texts that polars normalised."""
    normal = pl.DataFrame({"text": some}, schema={"text": pl.String}).select(comparable("text", ()))["text"].to_list()
    words, _ = module._words(*arrow_bytes(arrow(normal))[::-1], settled=True)
    return [words.hashes[at : at + count].tolist() for at, count in zip(words.first, words.count, strict=True)]


def test_every_character_is_compared_as_polars_would_have_it() -> None:
    codes = [code for code in range(0x32400) if not 0xD800 <= code <= 0xDFFF]
    some = [f"Xa{chr(code)}B {chr(code)} end" for code in [*codes, 0x32400, 0xE0100, 0xF0000, 0x10FFFF]]
    words, state = module._words(*arrow_bytes(arrow(some))[::-1], settled=False)
    read = np.flatnonzero(state == READ)
    assert len(read) > 0.6 * len(some)
    wanted = settled([some[at] for at in read])
    for at, hashes in zip(read.tolist(), wanted, strict=True):
        assert words.hashes[words.first[at] : words.first[at] + words.count[at]].tolist() == hashes, ascii(some[at])


@pytest.mark.parametrize("text", ["e\u0301t\u00e9", "\u03a3\u03a3", "I\u0307", "\u1112\u1161\u11ab", "\u0e01\u0e38"])
def test_a_text_that_needs_normalising_is_left_to_it(text: str) -> None:
    _, state = module._words(*arrow_bytes(arrow(["plain", text]))[::-1], settled=False)
    assert (state == READ).tolist() == [True, False]
    (part,) = shingles(arrow([text, unicodedata.normalize("NFC", text)]), 1)
    one, two = part.sets()
    assert one.tolist() == two.tolist() != []


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, max_size=4), st.integers(1, 4), st.sampled_from([BOILERPLATE, (), (r"salt\S*", "guild")]))
def test_shingles_do_not_depend_on_neighbours_nor_on_the_way(
    some: list[str], n: int, patterns: tuple[str, ...]
) -> None:
    together = [one.tolist() for part in shingles(arrow(some), n, patterns) for one in part.sets()]
    alone = [one.tolist() for text in some for part in shingles(arrow([text]), n, patterns) for one in part.sets()]
    assert together == alone
    for text, found in zip(some, together, strict=True):
        if any(unicodedata.category(char) == "Cn" for char in text):
            continue  # polars knows characters of a later Unicode than this Python, which calls them unassigned
        assert len(found) == len(slow.shingle_set(slow.compared_words(text, patterns), n))


OPENINGS = [
    *("# Salt", " ## a", "\t#x", "#", "d", "Di", "\n", "\r\n", "\u2003# b", "\x0b# c", " text "),
    *("Discussion of a in relation to b:", "**discussion of A in relation to B"),
    "\u3000Discussion of c in relation to d",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(OPENINGS), max_size=6).map("".join))
def test_the_look_at_openings_misses_no_boilerplate(text: str) -> None:
    some = arrow([text])
    hit = any(pl.Series([text]).str.contains(pattern)[0] for pattern in BOILERPLATE)
    assert module._marked(some, *arrow_bytes(some)[::-1], BOILERPLATE)[0] or not hit


@pytest.mark.parametrize(
    "data", [b"a \xed\xa0\x80 b", b"\xff", b"a\xc3", b"\xc0\x80", b"\xe0\x80\x80", b"\xf5\x80\x80\x80"]
)
def test_bytes_that_are_no_text_are_named(data: bytes) -> None:
    broken = pa.Array.from_buffers(pa.large_string(), 1, pa.array([data], pa.large_binary()).buffers())
    some = pa.concat_arrays([arrow(["good", "# é"]), broken])
    with pytest.raises(NotUtf8) as raised:
        list(shingles(some, 5))
    assert raised.value.row == 2
    with pytest.raises(NotUtf8) as raised:
        list(shingles(some, 5, most=1))
    assert raised.value.row == 2


def test_a_letter_without_spaces_around_it_is_a_word() -> None:
    (part,) = shingles(arrow(["製塩所は島にある", "製塩所は島にあった", "salt日本guild", "salt 日 本 guild"]), 2)
    one, two, three, four = part.sets()
    assert len(np.intersect1d(one, two)) == 6
    assert three.tolist() == four.tolist()
