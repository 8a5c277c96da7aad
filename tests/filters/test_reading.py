"""Texts read once: words, hashes, lines and counts against Python's own string functions."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.code_points import table
from filters.hashing import span_hash
from filters.reading import read_in_chunks, read_texts
from filters.text_buffer import Bytes
from tests.filters.texts import texts


def piece(data: Bytes, start: int, end: int) -> str:
    return data[start:end].tobytes().decode()


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, max_size=5))
@example(["a\x1cb\x1d c\x1e", "x\x1fy", "a\r\nb\rc"])
def test_words_and_lines_are_those_of_python(some: list[str]) -> None:
    reading = read_texts(pa.array(some, pa.large_string()))
    words, lines = reading.words, reading.lines
    for at, text in enumerate(some):
        of_words = range(words.bounds[at], words.bounds[at + 1])
        found = [piece(words.data, words.start[one], words.end[one]) for one in of_words]
        assert found == text.split()
        assert [int(words.hash[one]) for one in of_words] == [span_hash(word.encode()) for word in found]
        assert [int(words.chars[one]) for one in of_words] == [len(word) for word in found]
        of_lines = range(lines.bounds[at], lines.bounds[at + 1])
        assert [piece(reading.data, lines.start[one], lines.end[one]) for one in of_lines] == text.splitlines()
        assert [int(lines.chars[one]) for one in of_lines] == [len(line) for line in text.splitlines()]
        counts = {name: int(reading.total(name)[at]) for name in ("chars", "newlines", "ellipses", "hashes", "letters")}
        assert counts == {
            "chars": len(text),
            "newlines": text.count("\n"),
            "ellipses": text.count("...") + text.count("…"),
            "hashes": text.count("#"),
            "letters": sum(char.isalpha() for char in text),
        }


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_text_are_read_to_their_end(data: bytes) -> None:
    offsets = np.array([0, len(data)], dtype=np.int64)
    array = pa.LargeStringArray.from_buffers(1, pa.py_buffer(offsets), pa.py_buffer(data))
    reading = read_texts(array)
    assert sum((reading.words.end - reading.words.start).tolist()) <= len(data)
    assert reading.words.bounds.tolist() == [0, len(reading.words)]


def test_an_array_that_is_a_slice_of_another_is_read_alone() -> None:
    whole = pa.array(["gone", "a b", "", "c"], pa.large_string()).slice(1)
    reading = read_texts(whole)
    assert reading.words.count.tolist() == [2, 0, 1]
    assert [len(part) for part in read_in_chunks(whole, 3)] == [2, 1]


def test_no_text_is_read_as_none() -> None:
    assert len(read_texts(pa.array([], pa.large_string()))) == 0
    assert list(read_in_chunks(pa.array([], pa.large_string()))) == []


def test_beyond_the_table_characters_have_flags_too() -> None:
    from filters.code_points import BOUND, MARK, REAL
    from filters.word_kernel import flags_of

    assert flags_of(table(), BOUND + 5) == 0
    assert flags_of(table(), 0xE0100) == MARK | REAL
    assert flags_of(table(), -1) == 0
