"""Quotes found in their document, and documents cut into windows, without a character lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.extract_evidence import Track
from kg.extract_windows import windows_of

TEXT = "It burned until 463.\n\nThe *Sallow  Heron* — a “ship” — left in 369; she wasn’t back by 371."


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("The Sallow Heron", "The *Sallow  Heron"),
        ("the sallow heron", "The *Sallow  Heron"),
        ('"The Sallow Heron - a "ship"...', "The *Sallow  Heron* — a “ship"),
        ("she wasn't back", "she wasn’t back"),
        ("burned until 463. The", "burned until 463.\n\nThe"),
        ("in 369.", "in 369"),
    ],
)
def test_a_quote_is_found_whatever_its_spaces_marks_and_case(quote: str, found: str) -> None:
    span = Track.of(TEXT).find(quote)
    assert span is not None
    assert TEXT[span[0] : span[1]] == found


@pytest.mark.parametrize("quote", ["", "  ", "...", "The Heron", "eft in 369", "burned for 463", "Sallow Heron Heron"])
def test_words_that_are_not_there_are_not_found(quote: str) -> None:
    assert Track.of(TEXT).find(quote) is None


def test_of_several_places_the_first_in_the_window_is_taken() -> None:
    text = "Salt. Lamps. Salt."
    track = Track.of(text)
    assert track.find("salt", near=6) == (13, 17)
    assert track.find("salt") == (0, 4)
    assert track.find("lamps", near=12) == (6, 11), "what stands before the window alone is still found"


@given(st.text(max_size=120), st.integers(0, 120), st.integers(1, 120))
def test_what_is_cut_out_of_a_text_at_its_words_is_found_in_it(text: str, start: int, size: int) -> None:
    words = [word for word in text.split() if any(letter.isalnum() for letter in word)]
    quote = "\n ".join(text.split()[start % max(1, len(text.split())) :][:size])
    track = Track.of(text)
    if not words or not any(letter.isalnum() for letter in quote):
        return
    span = track.find(quote)
    assert span is not None
    assert 0 <= span[0] < span[1] <= len(text)


@given(st.text(alphabet="ab. \n", max_size=400), st.integers(20, 120), st.integers(0, 10))
def test_windows_hold_every_letter_in_order_and_none_is_too_long(text: str, size: int, overlap: int) -> None:
    windows = windows_of(text, size, overlap)
    held = {place for one in windows for place in range(one.start, one.end)}
    assert all(place in held for place, letter in enumerate(text) if not letter.isspace())
    assert all(0 < one.end - one.start <= size for one in windows)
    starts = [one.start for one in windows]
    assert starts == sorted(set(starts))


def test_windows_end_at_sentences_and_overlap_by_whole_ones() -> None:
    text = "One is here. Two is here. Three is here. Four is here."
    cut = [text[one.start : one.end] for one in windows_of(text, 30, 15)]
    assert cut == ["One is here. Two is here.", "Two is here. Three is here.", "Three is here. Four is here."]
