"""C4's lines and sentences, against decisions written down from the rules as datatrove publishes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from filters.c4 import C4
from filters.code_points import table
from filters.fineweb import Fineweb
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from mashbill.step import Filter
from tests.filters.support import judge, numbers
from tests.filters.texts import texts

GOLDEN = json.loads((Path(__file__).parent / "golden_decisions.json").read_text("utf-8"))
RULES: dict[str, Filter[Any]] = {
    "curator gopher_quality": GopherQuality(),
    "curator gopher_repetition": GopherRepetition(),
    "datatrove c4": C4(),
    "datatrove fineweb": Fineweb(),
}


@pytest.mark.parametrize("rules", RULES)
def test_decisions_are_those_written_down_for_made_texts(rules: str) -> None:
    rows = [row for row in GOLDEN if rules in row["stays"]]
    assert len(rows) >= 5
    made = ["".join(part * times for part, times in row["text"]) for row in rows]
    found = judge(RULES[rules], made)
    assert {row["id"]: reason == "" for row, reason in zip(rows, found, strict=True)} == {
        row["id"]: row["stays"][rules] for row in rows
    }


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("It sold salt. It sold fish.", 2),
        ("Mr. Venn of the U.S. came at 9 a.m. with e.g. salt.", 1),
        ("Plan B. It failed.", 1),
        ("In 1702. In the USA. And so on etc. Then it ended.", 4),
        ('He said "No!" She left (at once.) It rained?', 3),
        ("It ended.Then it began.", 2),
        ("Wait... what.", 1),
        ("Really?! Yes! !important", 3),
        ("See a.b.c. 1. Salt 2. Fish", 4),
        ("See http://a.org/. It is there.", 1),
        ("", 0),
        ("word", 1),
        ("“Salt.” – “Fish.”", 2),
    ],
)
def test_sentences_end_where_a_full_stop_is_a_token_of_its_own(line: str, count: int) -> None:
    from filters.sentence_kernel import sentences

    data = np.frombuffer(line.encode(), dtype=np.uint8)
    assert sentences(data, 0, len(data), table()) == count


GOOD = "The guild of Veylund sold its salt. "


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD * 5, ""),
        (GOOD * 4, "c4_too_few_sentences"),
        (GOOD * 5 + "\nA line with lorem Ipsum in it.", "c4_lorem_ipsum"),
        (GOOD * 5 + "\nlorem ipsum without an end", ""),
        (GOOD * 5 + "\nA line with a { in it.", "c4_curly_bracket"),
        (GOOD * 5 + "\nA line with a { in it", ""),
        (GOOD * 4 + "\nEnable JavaScript in your browser.", "c4_too_few_sentences"),
        (GOOD * 4 + "\nRead our Privacy Policy at once.", "c4_too_few_sentences"),
        (GOOD * 4 + "\nIt was so in 1702.[12]", ""),
        (GOOD * 4 + "\nIt was so in 1702. [12]", "c4_too_few_sentences"),
        (GOOD * 4 + "\nIt was so...", "c4_too_few_sentences"),
        (GOOD * 4 + "\nToo short.", "c4_too_few_sentences"),
        (GOOD * 4 + "\nIt was so long " + "a" * 1001 + ".", "c4_too_few_sentences"),
    ],
)
def test_what_makes_a_document_go(text: str, reason: str) -> None:
    assert judge(C4(), [text]) == [reason]


def test_rules_for_documents_can_be_left_out() -> None:
    step = C4(lorem_ipsum=False, curly_bracket=False, min_sentences=7)
    assert judge(step, [GOOD * 5 + "\nA line with lorem ipsum.\nA line with a { in it."]) == [""]


def test_citations_stay_where_asked() -> None:
    text = GOOD * 4 + "\nIt was so in 1702.[12]"
    assert judge(C4(remove_citations=False), [text]) == ["c4_too_few_sentences"]


@settings(max_examples=100, deadline=None)
@given(texts)
def test_any_text_has_numbers(text: str) -> None:
    found = numbers(C4(), [text])
    assert 0 <= found["c4_kept_lines"][0] <= 1
    assert found["c4_sentences"][0] >= 0
