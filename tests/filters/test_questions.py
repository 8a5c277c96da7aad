"""Questions asked of a batch directly and through polars: one answer, whichever thread asks and however often."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from filters import code_points
from filters.chunk import WHITESPACE, Question, _Batch, _batch_of, asked, chunk_of, read_empty
from filters.compiled import compiled
from filters.questions import C4Lines, FineWebLines, Quality, Ratios, Repetition, Sizes, Unspaced
from mashbill.errors import BillError
from mashbill.runtime import spare_collector

TEXTS = [
    "The salt guild keeps its ledgers in the hall.\nThe salt guild keeps its ledgers in the hall.\n\nSo it was said...",
    "",
    " \n\t ",
    "# Head\n• one\n- two\n• three…\nlorem ipsum { } javascript [1] http://a.b/c (of 7%)",
    "日本語の文章です。これは二つ目の文です。",
    "WORDS AND words and WORDS and words to be of the with have that, " * 9,
    "no end of line, no stop \u00e9\u0301 \u0e40\u0e01\u0e25\u0e37\u0e2d",
]
WORDS = [[*text.split(), "..."] if text.strip() else [] for text in TEXTS]
STOP = ("the", "be", "to", "of", "and")
QUESTIONS: list[Any] = [
    Repetition(),
    Repetition(definitions="datatrove"),
    Repetition(top=(), duplicate=()),
    Quality(stop_words=STOP),
    Quality(stop_words=(), definitions="datatrove"),
    Unspaced(),
    FineWebLines(),
    C4Lines(),
    C4Lines(cited=False, lorem=False, brace=False),
    Ratios(),
    Sizes(),
]


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


@pytest.mark.parametrize("words", [WHITESPACE, "words"])
@pytest.mark.parametrize("question", QUESTIONS, ids=repr)
def test_asked_directly_and_as_columns_the_numbers_are_the_same(question: Question, words: str) -> None:
    frame = pl.DataFrame({"text": TEXTS, "words": WORDS})
    alone = _Batch(frame["text"], None if words == WHITESPACE else frame["words"]).answer(question)
    as_columns = frame.select(**asked("text", words, question, list(alone)))
    assert alone, "a question has an answer"
    for name, numbers in alone.items():
        assert len(numbers) == len(TEXTS)
        assert same(numbers, as_columns[name].to_numpy()), name


@pytest.mark.parametrize("question", QUESTIONS, ids=repr)
def test_a_text_has_the_same_numbers_alone_as_among_others(question: Question) -> None:
    together = _Batch(pl.Series("text", TEXTS), None).answer(question)
    for at, text in enumerate(TEXTS):
        alone = _Batch(pl.Series("text", [text]), None).answer(question)
        assert {name: numbers[at] for name, numbers in together.items()} == {
            name: pytest.approx(numbers[0], nan_ok=True) for name, numbers in alone.items()
        }


@pytest.mark.parametrize("question", QUESTIONS, ids=repr)
def test_of_no_text_there_are_no_numbers_but_all_names(question: Question) -> None:
    nothing = _Batch(pl.Series("text", [], dtype=pl.String), None).answer(question)
    assert set(nothing) == set(_Batch(pl.Series("text", TEXTS), None).answer(question))
    assert {len(numbers) for numbers in nothing.values()} == {0}


def test_a_batch_is_known_by_where_its_bytes_lie_and_forgotten_for_newer_ones() -> None:
    series = pl.Series("text", TEXTS)
    first = _batch_of(series, None)
    assert _batch_of(series, None) is first
    assert _batch_of(series, pl.Series("words", WORDS)) is not first
    question = Sizes()
    assert first.answer(question) is first.answer(question)
    for number in range(40):
        _batch_of(pl.Series("text", [f"text {number}"]), None)
    assert _batch_of(series, None) is not first


def test_a_question_that_fails_fails_for_whoever_asks_it() -> None:
    class Broken(Sizes):
        def __call__(self, chunk: Any) -> Any:
            raise ZeroDivisionError("a bug")

    batch = _Batch(pl.Series("text", TEXTS), None)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="a bug"):
            batch.answer(Broken())


def test_a_column_that_holds_no_words_is_named() -> None:
    with pytest.raises(BillError, match=r"the column 'words' holds String, not lists of words"):
        _Batch(pl.Series("text", ["a"]), pl.Series("words", ["a"]))


def test_what_is_asked_once_is_made_once() -> None:
    chunk, made = chunk_of(read_empty()), list[int]()
    assert [chunk.once("key", lambda: made.append(1) or 7) for _ in range(2)] == [7, 7]  # type: ignore[func-returns-value]
    assert made == [1]


def test_the_flags_of_characters_are_those_of_the_unicode_database() -> None:
    flags = code_points.table.__wrapped__()
    assert np.array_equal(flags, code_points.table())
    assert not flags.flags.writeable
    letter, upper = code_points.LETTER, code_points.UPPER
    assert flags[ord("a")] & letter
    assert not flags[ord("a")] & upper
    assert flags[ord("Ä")] & upper
    assert flags[ord("٣")] & code_points.DIGIT
    assert flags[ord("!")] & code_points.PUNCTUATION
    assert flags[0x0301] & code_points.MARK
    assert flags[ord("日")] & code_points.UNSPACED
    assert flags[0x2003] == code_points.SPACE


def test_a_compiled_function_is_the_function() -> None:
    def twice(number: int) -> int:
        return 2 * number

    assert compiled(twice)(21) == twice(21) == 42


def test_the_collector_is_spared_for_what_lives_to_the_end() -> None:
    import gc

    before = gc.get_threshold()
    try:
        spare_collector()
        assert gc.get_threshold()[0] > before[0] or before[0] >= 5000
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
