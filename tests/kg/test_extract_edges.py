"""Extraction at its edges: scripts, marks, borders of windows, and replies that say one thing twice."""

from __future__ import annotations

import itertools
import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.extract_evidence import Track
from kg.extract_triples import ExtractTriples
from kg.extract_windows import windows_of
from mashbill.engine import Request, ScriptedEngine
from mashbill.records import Document
from tests.kg.extract_support import edges, reasons_of, run, stated, triples_of
from tests.support.kernel import store

Form = Literal["NFC", "NFD"]


def cut(text: str, quote: str, near: int = 0, until: int | None = None) -> str | None:
    span = Track.of(text).find(quote, near, until)
    return None if span is None else text[span[0] : span[1]]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("other", ["NFC", "NFD"])
@pytest.mark.parametrize("quote", ["Élodie mangea", "서울은 크다", "tiếng Việt", "かぎをかけた"])
def test_a_quote_is_found_however_its_letters_are_composed(form: Form, other: Form, quote: str) -> None:
    text = unicodedata.normalize(form, f"So it was: {quote}, they say.")
    found = cut(text, unicodedata.normalize(other, quote))
    assert found == unicodedata.normalize(form, quote)


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("a cafe\u0301 there", "cafe"),
        ("học sinh ở tiếng nước", "ế"),
        ("she said art™ in party", "ar"),
        ("резюме\u0301 было", "резюме"),
    ],
)
def test_a_part_of_a_word_or_a_letter_is_no_quote(text: str, quote: str) -> None:
    assert cut(text, quote) is None


@pytest.mark.parametrize(
    ("text", "quote", "found"),
    [
        ("the \ufb01rst o\ufb03ce", "first office", "the \ufb01rst o\ufb03ce"[4:]),
        ("One\r\n\r\nTwo went.\r\nHome", "two went. home", "Two went.\r\nHome"),
        ("It is\ufeff true", "it is true", "It is\ufeff true"),
        ("Ora\u00a0Venn sold", "Ora Venn sold", "Ora\u00a0Venn sold"),
        ("an emoji 👩‍🔬 worked here", "👩‍🔬 worked", "👩‍🔬 worked"),
    ],
)
def test_ligatures_line_ends_and_signs_without_width_are_let_pass(text: str, quote: str, found: str) -> None:
    assert cut(text, quote) == found


def test_the_words_of_the_window_are_preferred_to_a_closer_form_elsewhere() -> None:
    text = "Salt was sold, and lamps were lit. Then much later, again: salt was sold."
    assert Track.of(text).find("Salt was sold.", 0, 34) == (0, 13)
    assert Track.of(text).find("again", 0, 34) == (52, 57), "what only stands elsewhere is still found"


@given(st.text(alphabet="aé e\u0301İßﬁ“—.*_\u200b가\u1100\u1161か\u3099न\u093f🙂\r\n", max_size=60), st.data())
def test_what_is_found_says_what_was_asked_for(text: str, data: st.DataObject) -> None:
    pieces = text.split()
    if not pieces:
        return
    begin = data.draw(st.integers(0, len(pieces) - 1))
    quote = " ".join(pieces[begin : begin + 3])
    span = Track.of(text).find(quote)
    if span is None:
        assert not Track.of(quote).folded.strip(" .,;:!?\"'()[]-") or not quote.isascii()
        return
    found = text[span[0] : span[1]]
    edge = " .,;:!?\"'()[]-"
    assert Track.of(found).folded.strip(edge) == Track.of(quote).folded.strip(edge)
    assert span[1] == len(text) or not unicodedata.combining(text[span[1]])


def test_a_text_without_sentences_overlaps_at_words() -> None:
    text = " ".join(f"keeper{at} lit lamp{at}" for at in range(60))
    windows = windows_of(text, 200, 60)
    for one, other in itertools.pairwise(windows):
        assert 30 <= one.end - other.start <= 60
        assert text[other.start - 1] == " "


def test_a_window_does_not_end_inside_a_number_or_a_line() -> None:
    text = "The guild sold salt worth 3.14159 crowns. " * 30
    for size in range(200, 240):
        assert all(text[one.end : one.end + 1] in (" ", "") for one in windows_of(text, size, 0))
    table = "\n".join(f"row{at}\tvalue{at}" for at in range(100))
    assert all(table[one.end : one.end + 1] in ("\n", "") for one in windows_of(table, 200, 0))


@given(st.text(alphabet="ab. \n。", max_size=300), st.integers(20, 80), st.integers(0, 40))
def test_no_window_lies_inside_another(text: str, size: int, overlap: int) -> None:
    windows = windows_of(text, size, min(overlap, size // 2))
    assert all(one.start < other.start and one.end < other.end for one, other in itertools.pairwise(windows))


async def test_one_fact_quoted_at_two_lengths_is_one_piece_of_evidence(tmp_path: Path) -> None:
    text = "Ora Venn founded the guild, and it grew. Later Ora Venn founded the guild again."
    rows = stated(
        ("Ora Venn", "founded", "guild", "Ora Venn founded the guild"),
        ("Ora Venn", "founded", "guild", "Ora Venn founded the guild, and it grew."),
        ("Ora Venn", "founded", "guild", "Later Ora Venn founded the guild again."),
    )
    stored = await run(ExtractTriples(), store(tmp_path, [Document.new(text=text)]), ScriptedEngine(lambda _: rows))
    assert [one.evidence_start for one in triples_of(stored)] == [0, 41]
    assert reasons_of(stored) == {"duplicate": 1}


async def test_a_name_whose_signs_tell_must_stand_there_with_them(tmp_path: Path) -> None:
    text = "The language C came from B. Adults with BMI >30 took Na+ salts."
    rows = stated(
        ("C++", "came from", "B", "The language C came from B."),
        ("Adults", "had", "BMI > 30", "Adults with BMI >30 took Na+ salts."),
        ("Adults", "had", "BMI < 30", "Adults with BMI >30 took Na+ salts."),
        ("Adults", "took", "Na⁺", "Adults with BMI >30 took Na+ salts."),
    )
    stored = await run(ExtractTriples(), store(tmp_path, [Document.new(text=text)]), ScriptedEngine(lambda _: rows))
    assert edges(triples_of(stored)) == [("Adults", "had", "BMI > 30"), ("Adults", "took", "Na⁺")]
    assert reasons_of(stored) == {"entity_not_in_text": 2}


async def test_names_in_korean_and_chinese_are_found_with_what_is_joined_to_them(tmp_path: Path) -> None:
    text = "서울은 한국의 수도이다. 东京大学位于东京。"
    rows = stated(
        ("서울", "수도", "한국", "서울은 한국의 수도이다"),
        ("东京大学", "位于", "东京", "东京大学位于东京"),
        ("北京", "位于", "东京", "东京大学位于东京"),
    )
    stored = await run(ExtractTriples(), store(tmp_path, [Document.new(text=text)]), ScriptedEngine(lambda _: rows))
    assert [one.head for one in triples_of(stored)] == ["서울", "东京大学"]
    assert reasons_of(stored) == {"entity_not_in_text": 1}


async def test_a_reply_that_repeats_itself_without_end_costs_its_repeats(tmp_path: Path) -> None:
    text = "Ora Venn founded the guild."
    rows = stated(*[("Ora Venn", "founded", "guild", text)] * 60)
    stored = await run(ExtractTriples(), store(tmp_path, [Document.new(text=text)]), ScriptedEngine(lambda _: rows))
    assert len(triples_of(stored)) == 1
    assert reasons_of(stored) == {"duplicate": 59}


async def test_a_full_reply_fits_the_tokens_it_may_have(tmp_path: Path) -> None:
    def teacher(request: Request) -> str:
        # Some 75 tokens are a triple with a sentence of evidence and two kinds; forty must fit.
        assert request.sampling.max_tokens is not None
        assert request.sampling.max_tokens >= 40 * 75
        return '{"triples": []}'

    await run(ExtractTriples(), store(tmp_path, [Document.new(text="Ora sold salt.")]), ScriptedEngine(teacher))
