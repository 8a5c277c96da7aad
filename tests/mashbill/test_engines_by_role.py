"""Several engines in one run: each answers for itself, enters identity, and is reached by variables of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.engine import ScriptedEngine
from mashbill.engine_env import engine_environ, engine_role
from mashbill.errors import BadReply, BillError, StepFailed
from mashbill.execute import execute, place_of
from mashbill.ledger import Ledger
from mashbill.read_bill import read_bill
from mashbill.records import Document
from mashbill.runtime import Runtime
from mashbill.step import Generator
from mashbill.store import Stored
from synth.engines.openai_run import OpenaiRun
from tests.support.kernel import documents, rejects_in, rows_of, store

HEAD = """\
name: judged
sources: {docs: {read_documents: {path: corpus}}}
"""
STEP = """
from collections.abc import Sequence
from dataclasses import dataclass

from mashbill.records import Document
from mashbill.step import Generator


@dataclass(frozen=True, kw_only=True)
class Judged(Generator[Document, Document]):
    judge: str = "judge"

    def engines(self) -> Sequence[str]:
        return (self.judge,)
"""


@dataclass(frozen=True, kw_only=True)
class Judged(Generator[Document, Document]):
    """Asks the main engine for a text and the judge whether it may stay."""

    judge: str = "judge"
    hidden: bool = False
    """Does not say that it asks the judge."""

    def engines(self) -> Sequence[str]:
        return () if self.hidden else (self.judge,)

    async def make(self, record: Document, ask: Ask) -> Iterable[Document | BadReply]:
        written = await ask(f"Tell it again: {record.text}")
        verdict = await ask(f"Is this fit to keep? {written.text}", engine=self.judge)
        if verdict.text != "yes":
            return [BadReply("judged_unfit", verdict.text, asks=written.keys + verdict.keys)]
        return [record.child(Document, text=written.text, made=written.made())]


def writer() -> ScriptedEngine:
    return ScriptedEngine(lambda request: "A tale of salt.", name="writer")


def judge(says: str = "yes", name: str = "judge") -> ScriptedEngine:
    return ScriptedEngine(lambda request: says, name=name)


async def run(root: Path, step: Any, askers: dict[str, ScriptedEngine]) -> Stored:
    ledger = Ledger(root / "ledger.sqlite")
    main = Asker(writer(), ledger)
    others = {role: Asker(engine, ledger) for role, engine in askers.items()}
    try:
        source = store(root, documents(3))
        return await execute(step, source, Runtime(root=root, asker=main, askers=others))
    finally:
        for asker in (main, *others.values()):
            await asker.close()
        await ledger.close()


def test_each_engine_answers_its_own_asks(tmp_path: Path) -> None:
    kept = asyncio.run(run(tmp_path / "yes", Judged(), {"judge": judge()}))
    assert [row.text for row in rows_of(kept)] == ["A tale of salt."] * 3
    assert {row.made.engine for row in rows_of(kept)} == {writer().identity}
    assert kept.manifest.engine == writer().identity
    assert kept.manifest.engines == {"judge": judge().identity}
    assert kept.manifest.identity["engines"] == {"judge": judge().identity}
    assert kept.manifest.counts.asks == 6

    gone = asyncio.run(run(tmp_path / "no", Judged(), {"judge": judge("no")}))
    assert {reject.reason for reject in rejects_in(gone)} == {"judged_unfit"}


def test_another_judge_makes_another_step(tmp_path: Path) -> None:
    async def places() -> list[Path]:
        ledger = Ledger(tmp_path / "ledger.sqlite")
        source, main = store(tmp_path, documents(1)), Asker(writer(), ledger)
        runtimes = [
            Runtime(root=tmp_path, asker=main, askers={"judge": Asker(judge(name=name), ledger)}) for name in ("a", "b")
        ]
        found = [place_of(Judged(), source, runtime)[0] for runtime in runtimes]
        await ledger.close()
        return found

    first, second = asyncio.run(places())
    assert first != second


def test_a_run_without_the_engine_is_refused_before_any_ask(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="judged asks the engines judge, and the run has referee besides"):
        asyncio.run(run(tmp_path, Judged(), {"referee": judge()}))


def test_an_engine_that_the_step_did_not_name_is_a_bug_of_the_step(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="asks the engine 'judge', which its `engines` does not name"):
        asyncio.run(run(tmp_path, Judged(hidden=True), {}))


# In a bill -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def bill_of(tmp_path: Path) -> Any:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "judged.py").write_text(STEP)

    def read(more: str) -> Any:
        path = tmp_path / "bill.yaml"
        path.write_text(HEAD + "steps: own\nengine: {openai: {model: m}}\n" + more)
        return read_bill(path)

    return read


STREAMS = "streams: {made: {from: docs, generate: [judged]}}\n"


def test_a_bill_names_engines_by_role(bill_of: Any) -> None:
    bill = bill_of("engines: {judge: {openai: {model: j, revision: r1}}}\n" + STREAMS)
    assert bill.roles == ("judge",)
    assert bill.engine("judge").identity == "openai/j@r1"
    assert bill.engine().identity == "openai/m@unstated"
    assert bill.engine("nobody") is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (STREAMS, "judged asks the engine 'judge'; under `engines` there are: none"),
        ("engines: {jugde: {openai: {model: j}}}\n" + STREAMS, "did you mean jugde"),
        ("engines: {Judge: {openai: {model: j}}}\n" + STREAMS, "a role is lower-case letters"),
        ("engines: {judge: {openai: {modle: j}}}\n" + STREAMS, "unknown field"),
        ("engines: {judge: {opnai: {model: j}}}\n" + STREAMS, "did you mean openai"),
    ],
)
def test_a_bill_says_which_engine_is_wrong(bill_of: Any, more: str, said: str) -> None:
    with pytest.raises(BillError, match=said) as caught:
        bill_of(more)
    assert caught.value.line is not None


# How it is reached ---------------------------------------------------------------------------------------------------


def test_a_role_has_variables_of_its_own() -> None:
    env = {
        "MASHBILL_ENGINE_URL": "http://127.0.0.1:1/v1",
        "MASHBILL_API_KEY": "for-main",
        "MASHBILL_ENGINE_TIMEOUT": "7",
        "MASHBILL_JUDGE__ENGINE_URL": "http://127.0.0.1:2/v1",
    }
    assert OpenaiRun.from_env(env).endpoints == ("http://127.0.0.1:1/v1",)
    with engine_role("judge"):
        run = OpenaiRun.from_env(env)
    assert run.endpoints == ("http://127.0.0.1:2/v1",)
    assert run.timeout == 7
    assert run.secrets() == (), "the main engine's key belongs to another server"
    with engine_role("judge"):
        own = OpenaiRun.from_env({**env, "MASHBILL_JUDGE__API_KEY": "for-judge"})
        same = OpenaiRun.from_env({name: value for name, value in env.items() if "JUDGE" not in name})
    assert own.secrets() == ("for-judge",)
    assert same.secrets() == ("for-main",), "a judge at the main engine's place has its key"


def test_the_environment_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASHBILL_A__ENGINE_URL", "http://a")
    with engine_role("a"):
        assert engine_environ()["MASHBILL_ENGINE_URL"] == "http://a"
    assert engine_environ().get("MASHBILL_ENGINE_URL") != "http://a"
