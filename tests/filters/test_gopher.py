from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings

from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from filters.repetition import repetition
from tests.filters import slow_reference as slow
from tests.filters.support import judge, numbers
from tests.filters.texts import real_texts, repetitive, texts, wild

PROSE = (
    "The salt guild of Veylund was founded in 1702 by nineteen families who held the pans along the northern shore. "
    "Each of them paid a tithe to the harbour master, and in return their boats were allowed to leave before dawn. "
    "When the river silted up, most of the younger people left for the towns, but the ledgers were kept with care."
)


def close(found: dict[str, list[float]], wanted: list[dict[str, float]], prefix: str = "") -> None:
    for name, values in found.items():
        assert values == pytest.approx([row[name.removeprefix(prefix)] for row in wanted], abs=1e-12), name


@settings(max_examples=300, deadline=None)
@given(repetitive | wild)
def test_quality_counts_as_the_definition_says(text: str) -> None:
    step = GopherQuality()
    close(numbers(step, [text]), [slow.quality(text, step.stop_words)])


@settings(max_examples=500, deadline=None)
@given(texts, texts)
def test_repetition_counts_as_the_definition_says(one: str, two: str) -> None:
    both = [one, two, one]
    close(numbers(GopherRepetition(), both), [slow.repetition(text) for text in both], "gopher_")


def test_real_text_counts_as_the_definitions_say() -> None:
    some = real_texts(120)
    close(numbers(GopherRepetition(), some), [slow.repetition(text) for text in some], "gopher_")
    close(numbers(GopherQuality(), some), [slow.quality(text, GopherQuality().stop_words) for text in some])


def test_on_stripped_text_the_shares_are_datatroves_except_for_grams_that_occur_once() -> None:
    for text in (text.strip() for text in real_texts(60)):
        theirs = slow.datatrove_repetition(text)
        ours = {name: float(values[0]) for name, values in repetition(pa.array([text], pa.large_string())).items()}
        for name, share in ours.items():
            if share == 0.0 and name.startswith("top"):
                n = int(name.split("_")[1])
                assert slow.top_chars(slow.words_of(text), n) == 0
            else:
                assert share == pytest.approx(theirs[name])


def test_chunks_do_not_show() -> None:
    some = ["a b a b " * 3, "", "x\n\nx", "日本 日本 " * 100_000, "a b\na b"]
    whole = repetition(pa.array(some, pa.large_string()))
    for place, text in enumerate(some):
        alone = repetition(pa.array([text], pa.large_string()))
        assert {name: values[place] for name, values in whole.items()} == {n: v[0] for n, v in alone.items()}
    sliced = repetition(pa.array(["gone", *some], pa.large_string()).slice(1))
    assert {n: v.tolist() for n, v in sliced.items()} == {n: v.tolist() for n, v in whole.items()}


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("gopher_too_few_words", "the tithe of salt " * 12),
        ("gopher_too_many_words", "the salt of Veylund and its tithe to them " * 11_200),
        ("gopher_words_too_short", "to a b " * 30),
        ("gopher_words_too_long", "saltmeasurement tithecollection of harbourmastership and " * 12),
        ("gopher_too_many_hashes", PROSE + " #" * 30),
        ("gopher_too_many_ellipses", PROSE.replace("the", "the...")),
        ("gopher_too_many_bullet_lines", "\n".join("  - " + word for word in PROSE.split())),
        ("gopher_too_many_ellipsis_lines", "\n".join(["we have the salt of the town and of the sea that we…"] * 6)),
        ("gopher_too_few_letter_words", PROSE + " 1702" * 40),
        ("gopher_too_few_stop_words", "guild salt tithe boat river " * 11),
        ("", PROSE),
    ],
)
def test_each_quality_reason(reason: str, text: str) -> None:
    assert judge(GopherQuality(), [text]) == [reason]


LONG = "a much longer line than all the others, and so on"


def lines(count: int, of: str = "line") -> list[str]:
    return [f"{of} {number} says {number * 7} things" for number in range(count)]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("gopher_duplicate_lines", "\n".join([*lines(3), "x", "x", "x"])),
        ("gopher_duplicate_paragraphs", "\n\n".join([*lines(5), "x", "x", "x", "x"]).replace("\n\nx", "\n\n\nx")),
        ("gopher_duplicate_line_chars", "\n".join([*lines(3), LONG, LONG])),
        ("gopher_top_2_gram_chars", "salt guild " * 3 + " ".join(f"w{n}" for n in range(8))),
        ("", PROSE),
        ("", "nothing occurs twice here"),
    ],
)
def test_repetition_reasons(reason: str, text: str) -> None:
    step = GopherRepetition(max_duplicate_lines=1.0) if "paragraphs" in reason else GopherRepetition()
    assert judge(step, [text]) == [reason]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_each_top_gram_reason(n: int) -> None:
    step = GopherRepetition(max_top_grams=((n, 0.1),), max_duplicate_grams=())
    gram = " ".join("abcd"[:n])
    fill = [f"w{i}" for i in range(9)]
    assert judge(step, [f"{gram} {' '.join(fill[:3])} {gram}", " ".join(fill)]) == [f"gopher_top_{n}_gram_chars", ""]


@pytest.mark.parametrize("n", [5, 6, 7, 8, 9, 10])
def test_each_duplicate_gram_reason(n: int) -> None:
    step = GopherRepetition(max_top_grams=(), max_duplicate_grams=((n, 0.1),))
    gram = " ".join("abcdefghij"[:n])
    assert judge(step, [f"{gram} x {gram}", f"{gram} x {gram[:-2]}"]) == [f"gopher_duplicate_{n}_gram_chars", ""]


def test_nulls_and_nothing() -> None:
    assert judge(GopherRepetition(), []) == []
    assert judge(GopherQuality(), ["", "\n", " \n\n "]) == ["gopher_too_few_words"] * 3
    assert judge(GopherQuality(min_words=0, min_mean_word_chars=0, min_letter_words=0, min_stop_words=0), [""]) == [""]
