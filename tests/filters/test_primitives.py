"""Labels and spans, by a model or by what learnt from it; no answer is no "no", and no span is made up."""

from __future__ import annotations

import doctest
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from filters import primitives, spilled
from filters.primitives import get_label, get_span, label_proxy, span_proxy, standing
from mashbill import sentences
from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.engine import Request, ScriptedEngine
from mashbill.errors import BadReply, ProxyError
from mashbill.ledger import Ledger
from mashbill.sentences import sentence_spans

SALT = "Is it about salt?"
PEOPLE = "Sentences about people."


@asynccontextmanager
async def asking(rule: Callable[[str], object], folder: Path) -> AsyncIterator[tuple[Ask, ScriptedEngine]]:
    def answer(request: Request) -> str:
        said = rule(request.messages[1].content)
        return said if isinstance(said, str) else json.dumps(said)

    engine, ledger = ScriptedEngine(answer), Ledger(folder / "ledger.sqlite")
    async with Asker(engine, ledger) as asker:
        yield Ask(asker, "record", "primitives"), engine
    await ledger.close()


def about_salt(material: str) -> object:
    return {"reason": "It says so.", "label": "yes" if "salt" in material else "no"}


def people_in(material: str) -> object:
    text = material.split("<text>\n")[1].removesuffix("\n</text>")
    return {"spans": [text[start:end] for start, end in sentence_spans(text) if "Ora" in text[start:end]] + ["Nobody."]}


def texts_of(count: int) -> list[str]:
    draw = random.Random(0)
    people = ["Ora Venn kept the books.", "Then Ora Dahl was born.", "Her brother Ora Lind sold nets."]
    things = ["The pans were iron.", "It rained for a week.", "Trade was slow that year."]
    return [" ".join(draw.choice(draw.choice((people, things))) for _ in range(4)) for _ in range(count)]


async def test_a_model_labels_texts(tmp_path: Path) -> None:
    async with asking(about_salt, tmp_path) as (ask, engine):
        assert await get_label(["salt pan", "lamp", "salt pan"], SALT, ask) == [True, False, True]
        assert len(engine.seen) == 2, "one text is asked about once"
        assert await get_label([], SALT, ask) == []


async def test_no_answer_is_no_no(tmp_path: Path) -> None:
    async with asking(lambda text: {"reason": "?", "label": None}, tmp_path) as (ask, _):
        with pytest.raises(BadReply, match="no_label: no answer about 'salt'"):
            await get_label(["salt"], SALT, ask)


async def test_a_proxy_labels_as_the_model_it_learnt_from(tmp_path: Path) -> None:
    texts = [f"{word} number {at}" for at in range(40) for word in ("salt", "lamp")]
    async with asking(about_salt, tmp_path) as (ask, engine):
        proxy = await label_proxy(texts, SALT, ask, [f"d{at // 4}" for at in range(80)])
        paid = len(engine.seen)
        assert await get_label(["salt anew", "lamp anew"], SALT, {SALT: proxy}) == [True, False]
        assert len(engine.seen) == paid
    with pytest.raises(ProxyError, match=r"no proxy has learnt 'Is it red\?'; there are those of: Is it about salt\?"):
        await get_label(["salt"], "Is it red?", {SALT: proxy})


async def test_a_model_finds_spans_and_what_does_not_stand_in_the_text_is_left_out(tmp_path: Path) -> None:
    async with asking(people_in, tmp_path) as (ask, _):
        found = await get_span(["Ora Venn kept it. It rained. Ora Dahl came.", "It rained."], PEOPLE, ask)
    assert found == [["Ora Venn kept it.", "Ora Dahl came."], []]


async def test_a_reply_without_a_list_is_a_bad_reply(tmp_path: Path) -> None:
    async with asking(lambda text: "none", tmp_path) as (ask, _):
        with pytest.raises(BadReply, match="unparsable"):
            await get_span(["Ora"], PEOPLE, ask)


async def test_a_proxy_finds_the_sentences_that_the_model_would(tmp_path: Path) -> None:
    texts = texts_of(60)
    async with asking(people_in, tmp_path) as (ask, _):
        proxy = await span_proxy(texts, PEOPLE, ask, [f"d{at}" for at in range(60)])
    new = "The pans were iron. Ora Venn kept the books. Then Ora Dahl was born. It rained for a week."
    assert await get_span([new, "", "It rained for a week."], PEOPLE, {PEOPLE: proxy}) == [
        ["Ora Venn kept the books. Then Ora Dahl was born."],
        [],
        [],
    ]


def test_spans_are_in_the_order_of_the_text_and_each_once() -> None:
    assert standing(["b", "a.c", "b"], "a.c abc b") == ["a.c", "b"]


@pytest.mark.parametrize("module", [primitives, sentences, spilled])
def test_the_examples_of_the_docstrings_are_true(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
