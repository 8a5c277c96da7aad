from __future__ import annotations

from typing import Literal

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.c4 import C4
from filters.chunk import Question, asked
from filters.curator_ratios import CuratorRatios
from filters.fineweb import Fineweb
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from filters.questions import FineWebLines, Quality, Repetition
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import Filter
from tests.filters import slow_reference as slow
from tests.filters.support import judge, numbers
from tests.filters.texts import real_texts, repetitive, texts, wild

STOP = GopherQuality().stop_words
PROSE = (
    "The salt guild of Veylund was founded in 1702 by nineteen families who held the pans along the northern shore. "
    "Each of them paid a tithe to the harbour master, and in return their boats were allowed to leave before dawn. "
    "When the river silted up, most of the younger people left for the towns, but the ledgers were kept with care."
)
Definitions = Literal["curator", "datatrove"]


def close(found: dict[str, list[float]], wanted: list[dict[str, float]], prefix: str = "") -> None:
    for name in wanted[0] if wanted else ():
        assert found[prefix + name] == pytest.approx([row[name] for row in wanted], abs=1e-12), name


@settings(max_examples=100, deadline=None)
@given(repetitive | wild)
def test_quality_counts_as_each_definition_says(text: str) -> None:
    close(numbers(GopherQuality(), [text]), [slow.curator_quality(text, STOP)], "gopher_")
    theirs = slow.datatrove_quality(text, STOP)
    close(numbers(GopherQuality(definitions="datatrove"), [text]), [theirs], "gopher_")


@settings(max_examples=150, deadline=None)
@given(texts, texts)
@example("", "\n\n")
@example("a\n\n\n\n", " \n\n \n\n\n")
def test_repetition_counts_as_each_definition_says(one: str, two: str) -> None:
    both = [one, two, one]
    close(numbers(GopherRepetition(), both), [slow.curator_repetition(text) for text in both], "gopher_")
    theirs = [slow.datatrove_repetition(text) for text in both]
    close(numbers(GopherRepetition(definitions="datatrove"), both), theirs, "gopher_")


@settings(max_examples=100, deadline=None)
@given(repetitive | wild)
def test_lines_and_ratios_count_as_the_definitions_say(text: str) -> None:
    close(numbers(Fineweb(), [text]), [slow.fineweb(text)], "fineweb_")
    close(numbers(CuratorRatios(), [text]), [slow.curator_ratios(text)], "curator_")


def test_real_text_counts_as_the_definitions_say() -> None:
    some = real_texts(40)
    close(numbers(GopherQuality(), some), [slow.curator_quality(text, STOP) for text in some], "gopher_")
    close(numbers(GopherRepetition(), some), [slow.curator_repetition(text) for text in some], "gopher_")
    theirs = [slow.datatrove_repetition(text) for text in some]
    close(numbers(GopherRepetition(definitions="datatrove"), some), theirs, "gopher_")
    close(numbers(Fineweb(), some), [slow.fineweb(text) for text in some], "fineweb_")


WORDS = st.lists(st.sampled_from(["salt", "of", "the", ".", "…", "#", "日本", "x y", ""]), max_size=40)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts, WORDS), min_size=1, max_size=4))
def test_words_of_a_column_take_the_place_of_words_split_at_white_space(rows: list[tuple[str, list[str]]]) -> None:
    frame = pl.DataFrame(rows, schema={"text": pl.String, "tokens": pl.List(pl.String)}, orient="row")

    def found(question: Question, names: list[str]) -> dict[str, list[float]]:
        return frame.select(**asked("text", "tokens", question, names)).to_dict(as_series=False)

    quality, repetition, lines = Quality(STOP, "datatrove"), Repetition(definitions="datatrove"), FineWebLines()
    wanted = [slow.datatrove_quality(text, STOP, [word for word in words]) for text, words in rows]
    close(found(quality, quality.names()), wanted)
    close(found(repetition, repetition.names()), [slow.datatrove_repetition(text, words) for text, words in rows])
    close(found(lines, lines.names()), [slow.fineweb(text, words) for text, words in rows])


def test_a_column_of_something_else_than_words_is_refused() -> None:
    frame = pl.DataFrame({"text": ["a b"], "tokens": ["a b"]})
    with pytest.raises(Exception, match="'tokens' holds String, not lists of words"):
        frame.select(**GopherQuality(words="tokens").scores())


@pytest.mark.parametrize(
    ("reason", "text", "definitions"),
    [
        ("gopher_too_few_words", "the tithe of salt " * 12, "curator"),
        ("gopher_too_many_words", "the salt of Veylund and its tithe to them " * 11_200, "curator"),
        ("gopher_words_too_short", "to a b " * 30, "curator"),
        ("gopher_words_too_long", "saltmeasurement tithecollection of harbourmastership and " * 12, "curator"),
        ("gopher_too_many_sign_words", PROSE + " #" * 30, "curator"),
        ("gopher_too_many_hashes", PROSE + " #" * 30, "datatrove"),
        ("gopher_too_many_ellipses", PROSE.replace("the", "the..."), "datatrove"),
        ("gopher_too_many_bullet_lines", "\n".join("  • " + word for word in PROSE.split()), "curator"),
        ("gopher_too_many_bullet_lines", "\n".join("  - " + word for word in PROSE.split()), "datatrove"),
        (
            "gopher_too_many_ellipsis_lines",
            "\n".join(["we have the salt of the town and of the sea that we…"] * 6),
            "curator",
        ),
        ("gopher_too_few_letter_words", PROSE + " 1702" * 40, "curator"),
        ("gopher_too_few_stop_words", "salt guild harbour tithe ledger river " * 10, "curator"),
        ("gopher_too_few_stop_words", "the salt guild harbour tithe the ledger river " * 10, "datatrove"),
    ],
)
def test_each_rule_of_quality(reason: str, text: str, definitions: Definitions) -> None:
    step = GopherQuality(definitions=definitions)
    assert judge(step, [text, PROSE]) == [reason, ""]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("gopher_duplicate_lines", "salt\nfish\nsalt\nsalt\n" + PROSE),
        ("gopher_duplicate_line_chars", "\n".join([PROSE, PROSE, *"abcdef"])),
        ("gopher_top_2_gram_chars", "the guild " * 30 + PROSE.replace(". ", ".\n")),
        ("gopher_duplicate_10_gram_chars", " ".join(PROSE.split()[:12]) + " " + PROSE),
    ],
)
def test_each_sort_of_repetition(reason: str, text: str) -> None:
    step = GopherRepetition(max_top_grams=((2, 0.2),), max_duplicate_grams=((10, 0.1),))
    assert judge(step, [text, PROSE]) == [reason, ""]


def test_a_share_at_the_limit_stays() -> None:
    lines = "\n".join(["alpha", "beta", "gamma", "alpha"])
    at = GopherRepetition(
        max_duplicate_lines=0.25, max_duplicate_line_chars=1, max_top_grams=(), max_duplicate_grams=()
    )
    assert judge(at, [lines]) == [""]


CHINESE = "盐业公会于一七零二年由十九个家族创立。他们在北岸拥有盐田。" * 8
STACK: list[Filter[Record]] = [GopherQuality(), GopherRepetition(), Fineweb(), C4()]


def test_rules_about_words_say_nothing_of_a_script_without_spaces() -> None:
    assert judge(GopherQuality(), [CHINESE]) == [""]
    assert numbers(GopherQuality(), [CHINESE, PROSE])["gopher_unspaced"] == [1.0, 0.0]
    assert judge(C4(), [CHINESE]) == [""]
    assert judge(GopherQuality(unsegmented="reject"), [CHINESE, PROSE]) == ["gopher_unsegmented", ""]
    assert judge(Fineweb(unsegmented="reject"), [CHINESE]) == ["fineweb_unsegmented"]


def test_with_words_given_the_rules_hold_for_any_script() -> None:
    frame = pl.DataFrame({"text": [CHINESE], "tokens": [list(CHINESE)]})
    step = GopherQuality(words="tokens", min_mean_word_chars=3)
    hits = frame.select(**step.reasons()).row(0, named=True)
    assert hits["gopher_words_too_short"]
    assert not hits["gopher_too_few_words"]


def test_right_to_left_text_is_split_and_counted_like_any_other() -> None:
    arabic = "تأسست نقابة الملح عام ١٧٠٢ على يد تسع عشرة عائلة"
    found = numbers(GopherQuality(), [arabic])
    assert found["gopher_words"] == [len(arabic.split())]
    assert found["gopher_letter_words"] == [1 - 1 / len(arabic.split())]


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", "\x00", "\ufffd\ufffd", "\x1c", "a"])
def test_nearly_nothing_has_a_reason_and_numbers(text: str) -> None:
    assert judge(GopherQuality(), [text]) == ["gopher_too_few_words"]
    for step in STACK:
        assert all(value == value for (value,) in numbers(step, [text]).values())


def test_a_null_is_judged_as_an_empty_text() -> None:
    frame = pl.DataFrame({"text": [None, PROSE]}, schema={"text": pl.String})
    for step in STACK:
        for name, number in frame.select(**step.scores()).to_dict(as_series=False).items():
            assert number[0] == numbers(step, [""])[name][0]


def test_answers_name_their_column() -> None:
    step = GopherQuality(column="answer")
    assert all(name.startswith("answer_gopher_") for name in (*step.reasons(), *step.scores()))
    frame = pl.DataFrame({"answer": [PROSE]})
    assert frame.select(**step.scores())["answer_gopher_words"].to_list() == [len(PROSE.split())]


def test_limits_that_mean_nothing_are_refused() -> None:
    with pytest.raises(BillError, match=r"max_bullet_lines.*share"):
        GopherQuality(max_bullet_lines=90)
    with pytest.raises(BillError, match="min_words 9 is above max_words 8"):
        GopherQuality(min_words=9, max_words=8)
    with pytest.raises(BillError, match="n goes from 1"):
        GopherRepetition(max_top_grams=((0, 0.1),))
    with pytest.raises(BillError, match="both 'text'"):
        Fineweb(words="text")
    with pytest.raises(BillError, match="max_unspaced"):
        C4(max_unspaced=2)
    with pytest.raises(BillError, match="share"):
        CuratorRatios(max_digits=15.0)
    with pytest.raises(BillError, match="65; at most 64"):
        GopherQuality(stop_words=tuple(map(str, range(65))))
