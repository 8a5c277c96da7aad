"""All row filters together, run as the runtime runs them."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.c4 import C4
from filters.curator_ratios import CuratorRatios
from filters.fineweb import Fineweb
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from filters.language import Language
from filters.length import Length
from filters.refusals import Refusals
from filters.template_leftovers import TemplateLeftovers
from filters.truncated import Truncated
from mashbill.filter_stack import apply_filters
from mashbill.records import Document, to_table
from mashbill.step import Filter
from tests.filters.support import doc
from tests.filters.test_gopher import PROSE
from tests.filters.texts import texts

STACK: list[Filter[Any]] = [
    Length(min_chars=3, max_words=30),
    Refusals(),
    TemplateLeftovers(),
    Language(min_score=0.3),
    GopherQuality(min_words=5, min_stop_words=0),
    GopherRepetition(),
    Fineweb(min_stopped_lines=0),
    C4(min_sentences=1),
    CuratorRatios(),
    Truncated(sentence=False),
]


def test_reasons_are_countable_and_no_two_filters_share_one() -> None:
    reasons = [reason for step in STACK for reason in step.reasons()]
    assert len(set(reasons)) == len(reasons)
    assert all(reason == reason.lower() and reason.replace("_", "").isalnum() for reason in reasons)
    scores = [score for step in STACK for score in step.scores()]
    assert len(set(scores)) == len(scores)


def test_scores_are_numbers_of_every_row() -> None:
    output = apply_filters(STACK, to_table([doc(PROSE[:150]), doc("")], Document), Document)
    wanted = {score for step in STACK for score in step.scores()}
    for row in [*output.kept.to_pylist(), *output.rejects.to_pylist()]:
        assert {score["name"] for score in row["scores"]} == wanted
        assert all(score["value"] == score["value"] for score in row["scores"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(texts, st.just(PROSE[:140])), max_size=8), st.randoms(use_true_random=False))
def test_nothing_is_lost_order_does_not_matter_and_twice_is_once(some: list[str], draw: random.Random) -> None:
    documents = [doc(text, title=str(number)) for number, text in enumerate(some)]
    output = apply_filters(STACK, to_table(documents, Document), Document)
    kept, gone = output.kept["id"].to_pylist(), output.rejects["id"].to_pylist()
    assert sorted(kept + gone) == sorted(document.id for document in documents)
    again = apply_filters(STACK, output.kept, Document)
    assert again.kept["id"].to_pylist() == kept
    assert again.rejects.num_rows == 0
    mixed = apply_filters(STACK, to_table(draw.sample(documents, len(documents)), Document), Document)
    assert sorted(mixed.kept["id"].to_pylist()) == sorted(kept)
    why = dict(zip(gone, output.rejects["reason"].to_pylist(), strict=True))
    assert dict(zip(mixed.rejects["id"].to_pylist(), mixed.rejects["reason"].to_pylist(), strict=True)) == why


def test_a_row_keeps_the_first_reason_of_the_stack() -> None:
    output = apply_filters(STACK, to_table([doc("As an AI, I can't.")], Document), Document)
    assert pl.from_arrow(output.rejects.select(["step", "reason"])).to_dicts() == [  # type: ignore[union-attr]
        {"step": "refusals", "reason": "refusal"}
    ]
