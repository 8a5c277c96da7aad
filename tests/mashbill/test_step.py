"""Steps: named and typed by their class, chained with care, and helped with the common shapes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mashbill.ask import Answer
from mashbill.asker import Asker
from mashbill.chain import chain
from mashbill.engine import Engine, Reply, Request, Sampling, ScriptedEngine, assistant, canonical_json, system, user
from mashbill.errors import BadReply, ChainError, EngineDown
from mashbill.filter_stack import FilterStack
from mashbill.ledger import Ledger
from mashbill.records import Document, Instruction, Reject, Triple, from_rows, schema_of, to_table
from mashbill.step import Filter, Generator, Prompt, Source, Step, conform, reject_table, settle, snake_case
from tests.support.kernel import Echo, Names, NoDigit, ask_of, document, documents


@dataclass(frozen=True, kw_only=True)
class KGPath(Generator[Document, Triple]):
    def prompt(self, record: Document) -> Prompt:
        return user(record.text, " Names?")

    def parse(self, record: Document, answer: Answer[Any]) -> Iterable[Triple]:
        names = [answer.text] if self.returns is None else answer.value.names
        for name in names:
            yield record.child(Triple, head=name, relation="in", tail="text", made=answer.made())


@dataclass(frozen=True, kw_only=True)
class Shaped(KGPath):
    returns = Names


@dataclass(frozen=True, kw_only=True)
class Mute(Generator[Document, Document]):
    pass


@dataclass(frozen=True, kw_only=True)
class Deaf(Generator[Document, Document]):
    def prompt(self, record: Document) -> Prompt:
        return "?"


@pytest.mark.parametrize(
    ("name", "snake"),
    [("MinhashDedup", "minhash_dedup"), ("TCIA", "tcia"), ("KGPath", "kg_path"), ("C4", "c4"), ("BoostQA", "boost_qa")],
)
def test_a_class_name_in_snake_case(name: str, snake: str) -> None:
    assert snake_case(name) == snake


def test_a_step_is_named_and_typed_by_its_class() -> None:
    assert (KGPath.name, KGPath.reads, KGPath.writes) == ("kg_path", Document, Triple)
    assert (Shaped.name, Shaped.reads, Shaped.writes) == ("shaped", Document, Triple)
    assert (NoDigit.reads, NoDigit.writes) == (Document, Document)


async def test_a_recipe_of_one_question_gets_make_for_free(ledger: Ledger) -> None:
    engine = ScriptedEngine(lambda request: '{"names": ["Ora", "Venn"]}' if request.schema else "Ora")
    async with Asker(engine, ledger) as asker:
        plain = await KGPath(sampling=Sampling(max_tokens=9)).make(document(1), ask_of(asker))
        shaped = await Shaped().make(document(1), ask_of(asker))
    assert [row.head for row in plain if isinstance(row, Triple)] == ["Ora"]
    assert [row.head for row in shaped if isinstance(row, Triple)] == ["Ora", "Venn"]
    assert engine.seen[0].sampling.max_tokens == 9


async def test_a_generator_says_which_half_is_missing(ledger: Ledger) -> None:
    async with Asker(ScriptedEngine({"?": "x"}), ledger) as asker:
        with pytest.raises(TypeError, match="Mute has neither `make` nor `prompt`"):
            await Mute().make(document(1), ask_of(asker))
        with pytest.raises(TypeError, match="Deaf has `prompt` but not `parse`"):
            await Deaf().make(document(1), ask_of(asker))
    with pytest.raises(TypeError, match="has no `reasons`"):
        Filter().reasons()


async def test_settling_keeps_the_order_and_turns_bad_replies_into_values() -> None:
    gates = [asyncio.Event() for _ in range(3)]

    async def attempt(number: int) -> int:
        await gates[number].wait()
        if number == 1:
            raise BadReply("empty")
        return number

    waiting = asyncio.create_task(settle(attempt(n) for n in range(3)))
    for gate in reversed(gates):
        gate.set()
        await asyncio.sleep(0)
    first, second, third = await waiting
    assert (first, third) == (0, 2)
    assert isinstance(second, BadReply)


async def test_settling_stops_at_any_other_error_and_raises_it_bare() -> None:
    cancelled = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def breaks() -> None:
        raise KeyError("salt")

    with pytest.raises(KeyError, match="salt"):
        await settle([waits(), breaks()])
    assert cancelled.is_set()


def test_a_chain_of_steps_that_fit() -> None:
    assert chain([Echo(), NoDigit(), KGPath()], Document) is Triple
    assert chain([], Document) is Document
    assert chain([NoDigit()], Document) is Document
    assert chain([FilterStack(filters=(NoDigit(),))], Instruction) is Instruction


def test_a_chain_that_does_not_fit_names_both_steps_and_types() -> None:
    with pytest.raises(ChainError, match="echo reads Document but kg_path gives Triple; put a step between"):
        chain([KGPath(), Echo()])
    with pytest.raises(ChainError, match="no_digit reads Document but the source gives Instruction"):
        chain([NoDigit()], Instruction)
    assert issubclass(Source, Step)


def test_reject_rows_are_made_column_wise_and_keep_the_whole_row() -> None:
    rows = documents(2)
    frame = pl.DataFrame(to_table(rows, Document)).with_columns(near=pl.Series([0.5, 1.0]))
    table = reject_table(
        frame, step="dedup", kind=Document, reason=pl.lit("duplicate"), detail=pl.col("source"),
        kept_id=pl.lit("k"), value=pl.col("near"),
    )  # fmt: skip
    rejects = from_rows(table.to_pylist(), Reject)
    assert table.schema == schema_of(Reject)
    assert [(one.id, one.step, one.reason, one.detail, one.kept_id, one.value, one.text) for one in rejects] == [
        (row.id, "dedup", "duplicate", row.source, "k", near, row.text)
        for row, near in zip(rows, [0.5, 1.0], strict=True)
    ]
    triple = Triple.new(head="a", relation="b", tail="c")
    bare = reject_table(pl.DataFrame(to_table([triple], Triple)), step="s", kind=Triple, reason=pl.lit("r"))
    (reject,) = from_rows(bare.to_pylist(), Reject)
    assert (reject.text, reject.subjects, reject.value, reject.detail) == ("", (), None, "")
    assert '"head":"a"' in reject.record


def test_a_frame_takes_exactly_the_schema_of_its_kind() -> None:
    frame = pl.DataFrame(to_table(documents(1), Document)).with_columns(more=pl.lit(1))
    assert conform(frame, Document).schema == schema_of(Document)


# The scripted engine -------------------------------------------------------------------------------------------------


async def answers(engine: ScriptedEngine, *requests: Request) -> list[Reply]:
    return [reply async for _, reply in engine.complete(requests)]


async def test_the_scripted_engine_cuts_as_a_model_would() -> None:
    engine = ScriptedEngine(lambda _: "one two three END four")
    (stopped,) = await answers(engine, Request(messages=(user("a b"),), sampling=Sampling(stop=(" END",))))
    (cut,) = await answers(engine, Request(messages=(user("a"),), sampling=Sampling(max_tokens=2)))
    assert (stopped.text, stopped.finish_reason, stopped.prompt_tokens) == ("one two three", "stop", 2)
    assert (cut.text, cut.finish_reason, cut.completion_tokens) == ("one two", "length", 2)
    assert isinstance(engine, Engine)


async def test_a_script_may_be_a_mapping_and_says_what_it_cannot_answer() -> None:
    engine = ScriptedEngine({"capital": "Orrin."}, name="n", delay=0.001)
    (reply,) = await answers(engine, Request(messages=(system("x"), assistant("y"), user("The capital?"))))
    assert (reply.text, engine.identity) == ("Orrin.", "scripted/n")
    with pytest.raises(EngineDown, match=r"the script has no answer for: 'River\?'; its keys are \['capital'\]"):
        await answers(engine, Request(messages=(user("River?"),)))
    await engine.start()
    await engine.close()
    assert (engine.started, engine.closed, len(engine.seen)) == (1, 1, 1)


def test_canonical_json_has_one_text_for_one_value() -> None:
    assert canonical_json({"b": [1, 2], "a": "é"}) == '{"a":"é","b":[1,2]}'


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_tokens": 0}, "max_tokens is 0; it must be 1 or more"),
        ({"temperature": -0.1}, "temperature is -0.1; it must be 0"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0.0}, "top_p is 0.0; it must be above 0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"top_p": float("nan")}, "top_p is nan"),
        ({"top_k": -1}, "top_k is -1; it must be 0 or more"),
        ({"logprobs": -1}, "logprobs is -1; it must be 0 or more"),
    ],
)
def test_sampling_that_can_never_work_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling(**fields)


def test_sampling_may_be_greedy() -> None:
    assert Sampling(max_tokens=1, temperature=0, top_p=1, top_k=0, logprobs=0).temperature == 0


def test_a_source_skips_nothing_unless_it_says_so(tmp_path: Path) -> None:
    assert Source(path="x").skipped(tmp_path) == []
