"""Texts that nobody expects, through every filter and dataset step of `filters`: no row is lost and nothing crashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from filters.adjudicate import Adjudicate
from filters.decontaminate import Decontaminate
from filters.judge import Judge
from filters.k_centre import KCentre
from filters.k_shot import KShot
from filters.model_score import ModelScore
from filters.opinion import CHARACTERS
from filters.proxy_judge import ProxyJudge
from filters.take_rows import Taken, TakeRows
from mashbill.chain import chain
from mashbill.engine import Request, ScriptedEngine
from mashbill.errors import BillError, ChainError, StepFailed
from mashbill.filter_stack import apply_filters
from mashbill.proxy import Judged, fit_proxy
from mashbill.proxy_file import save_proxy
from mashbill.records import QA, Document, Instruction, Preference, Rationale, Record, to_table
from mashbill.registry import available, load
from mashbill.runtime import RejectPolicy
from mashbill.step import DatasetStep, Filter, Step
from tests.filters.judging import judged, scripted
from tests.filters.support import MemoryParts
from tests.support.kernel import store
from tests.train.taught_plans import teacher_at

ODD = {
    "empty": "",
    "white space": " \n\t\u3000 ",
    "zero bytes": "a\0b salt",
    "han": "盐业公会在港口卖盐。" * 20,
    "thai": "สมาคมเกลือขายเกลือ" * 20,
    "hebrew and arabic": "מלח ים אור " * 40 + "شركة الملح تبيع الملح " * 20,
    "lost": "\ufffd" * 50,
    "joined emoji": "👩‍🌾" * 50,
    "marks": "e\u0301\u0301\u0301" * 100,
    "one word": "a" * 100_000,
    "newlines": "\n" * 5000,
    "direction": "Salt\u202e abc \u200f\u2028 x",
}
FIELDS: dict[str, dict[str, Any]] = {"length": {"min_words": 1}}
"""What a step needs to be made at all."""
NEEDS_MORE = {"k_centre", "k_shot", "model_score", "take_rows"}
"""Steps that need a model or a file about the rows: tried below, on rows of the kind they are made for."""


def rows_of(kind: type[Record]) -> list[Record]:
    made: dict[type[Record], Any] = {
        Document: lambda text: Document.new(text=text, title=text[:10]),
        QA: lambda text: QA.new(question=text, answer=text, rationale=text, options=(text, f"{text}x"), pass_rate=0.5),
        Instruction: lambda text: Instruction.new(text=text, response=text),
        Rationale: lambda text: Rationale.new(question=text, rationale=text, answer=text, gold=text, pass_rate=0.5),
        Preference: lambda text: Preference.new(prompt=text, chosen=text, rejected=text),
    }
    rows = [made[kind](text) for text in ODD.values()]
    return [*rows, *rows[:3]]  # ids that stand twice


def steps() -> list[str]:
    found = [name for name, one in available("step").items() if one.module.startswith("filters.")]
    return [name for name in found if name not in NEEDS_MORE and issubclass(load("step", name), Filter | DatasetStep)]


def made(name: str, folder: Path) -> Any:
    if name == "decontaminate":
        (folder / "bench.txt").write_text("Who taxed salt?\n盐业公会在港口卖盐\n", encoding="utf-8")
        return Decontaminate(against=str(folder / "bench.txt"))
    return load("step", name)(**FIELDS.get(name, {}))


def tried(step: Any, kind: type[Record]) -> int:
    table = to_table(rows_of(kind), kind)
    if isinstance(step, Filter):
        outputs = [apply_filters([step], table, kind)]
    else:
        outputs = list(step.run(MemoryParts([table.slice(0, 5), table.slice(5, 0), table.slice(5)])))
    assert all(reason for output in outputs for reason in output.rejects.column("reason").to_pylist())
    return sum(output.kept.num_rows + output.rejects.num_rows for output in outputs)


@pytest.mark.parametrize("name", steps())
def test_no_row_is_lost_whatever_it_says(name: str, tmp_path: Path) -> None:
    step = made(name, tmp_path)
    kinds = [Document, QA, Instruction, Rationale, Preference] if step.reads is Record else [step.reads]
    found = {kind: tried_or_refused(step, kind) for kind in kinds}
    for kind, one in found.items():
        assert one == len(rows_of(kind)) or (isinstance(one, str) and (kind.__name__ in one or "takes" in one))
    assert any(isinstance(one, int) for one in found.values())


def tried_or_refused(step: Any, kind: type[Record]) -> int | str:
    """How many rows there are after a step, or why it takes no such rows."""
    try:
        chain([step], reads=kind)
        return tried(step, kind)
    except (ChainError, BillError) as refused:
        return str(refused)


def with_a_model(name: str, folder: Path) -> DatasetStep[Any, Any]:
    if name == "take_rows":
        Taken(take={rows_of(Document)[3].id: (0,)}).write(folder / "rows.json")
        return TakeRows(rows=str(folder / "rows.json"))
    if name == "k_shot":
        (folder / "shots.jsonl").write_text('{"text": "Salt is boiled from brine."}\n', encoding="utf-8")
        return KShot(shots=str(folder / "shots.jsonl"), keep=6)
    if name == "k_centre":
        rows = [
            Judged(text=f"{label} salt {at}", label=label, source_id=f"{label}{at}")
            for label in ("no", "yes")
            for at in range(30)
        ]
        save_proxy(fit_proxy(rows), folder / "proxy.json")
        return KCentre(proxy=str(folder / "proxy.json"), choose=4)
    return ModelScore(scorer="perplexity", checkpoint=str(teacher_at(folder / "model")), most=1e6)


@pytest.mark.parametrize("name", sorted(NEEDS_MORE))
def test_no_row_is_lost_by_a_step_with_a_model(name: str, tmp_path: Path) -> None:
    assert tried(with_a_model(name, tmp_path), Document) == len(rows_of(Document))


ASKING: dict[str, tuple[type[Record], Step]] = {
    "judge": (Document, Judge(rubric="knowledge", least={"factuality": 3})),
    "proxy_judge": (Document, ProxyJudge(instruction="Is it about salt?", sample=30, held_out=0.5, least_kappa=-1.0)),
    "adjudicate": (QA, Adjudicate(judge="judge")),
}


def long_rows(kind: type[Record]) -> list[Record]:
    """The odd rows, enough of them that a proxy is fitted, and a text of ten megabytes."""
    odd = list({row.id: row for row in rows_of(kind)}.values())
    if kind is QA:
        odd += [QA.new(question="Salt?", answer=text, options=()) for text in ("yes", "no", "\u200f", "盐")]
        return [
            *odd,
            QA.new(question="salt " * 2_000_000, answer="yes"),
            QA.new(question="salt " * 2_000_000, answer=""),
        ]
    return [*odd, *(Document.new(text=f"salt {at}") for at in range(20)), Document.new(text="salt " * 2_000_000)]


def anybody(name: str) -> ScriptedEngine:
    """A judge that finds salt good, and answers in an odd way to what is long or blank."""
    if name == "adjudicate":
        return scripted(lambda said: {"answer": 1 if "yes" in said else 0})
    marks = {"relevance": 4, "brevity": 4, "factuality": 4} if name == "judge" else {"label": "yes"}
    low = {key: 1 for key in marks} if name == "judge" else {"label": "no"}

    def rule(said: str) -> Any:
        return marks if "salt" in said else low if len(said) % 2 else "\x00 no marks"

    return scripted(rule)


@pytest.mark.parametrize("name", sorted(ASKING))
async def test_no_row_is_lost_by_a_step_that_asks(name: str, tmp_path: Path) -> None:
    kind, step = ASKING[name]
    rows = long_rows(kind)
    made = await judged(step, store(tmp_path, rows), anybody(name), policy=RejectPolicy(share=1.0))
    counts = made.manifest.counts
    assert (counts.read, counts.kept + counts.rejects) == (len(rows), len(rows))
    assert counts.kept
    assert counts.rejects


async def test_a_judge_is_shown_the_beginning_of_a_long_text_alone(tmp_path: Path) -> None:
    seen: list[int] = []

    def rule(request: Request) -> str:
        seen.append(sum(len(message.content) for message in request.messages))
        return '{"reason": "By the rule.", "relevance": 4, "brevity": 4, "factuality": 4}'

    row = Document.new(text="salt " * 10_000_000)
    await judged(Judge(rubric="knowledge"), store(tmp_path, [row]), ScriptedEngine(rule, name="judge"))
    assert max(seen) < CHARACTERS + 5000


@pytest.mark.parametrize("name", [name for name in steps() if issubclass(load("step", name), Filter)])
def test_a_null_is_judged_as_a_text_or_kept(name: str, tmp_path: Path) -> None:
    step = made(name, tmp_path)
    if "text" not in step.columns() or step.reads not in (Record, Document):
        pytest.skip("reads no `text`")
    frame = pl.DataFrame(pl.from_arrow(to_table([Document.new(text="a"), Document.new(text="Salt.")], Document)))
    frame = frame.with_columns(text=pl.when(pl.col("text") != "a").then("text"))
    found = frame.select(**step.reasons()) if step.reasons() else frame
    assert found.height == 2


def test_a_column_that_is_not_there_is_named_before_any_work() -> None:
    for name in ("gopher_quality", "c4", "pii", "prompt_injection", "refusals", "language"):
        with pytest.raises(ChainError, match=f"{name} reads the column 'text', but the source gives QA"):
            chain([load("step", name)()], reads=QA)


def test_half_a_surrogate_pair_is_an_error_with_the_rows_id() -> None:
    good, bad = Document.new(text="salt"), Document.new(text="salt \udc00")
    with pytest.raises(StepFailed, match=rf"row {bad.id}: its text holds half of a surrogate pair \('\\udc00'\)"):
        to_table([good, bad], Document)
    inner = QA.new(question="Who?", answer="a", options=("a", "\ud800"))
    with pytest.raises(StepFailed, match=rf"row {inner.id}: its options holds half"):
        to_table([inner], QA)


def test_word_rules_say_that_they_do_not_apply_to_scripts_without_spaces() -> None:
    table = to_table([Document.new(text=ODD["han"])], Document)
    kept = apply_filters([load("step", "gopher_quality")()], table, Document).kept.to_pylist()
    assert {score["name"]: score["value"] for score in kept[0]["scores"]}["gopher_unspaced"] == 1.0
    gone = apply_filters([load("step", "gopher_quality")(unsegmented="reject")], table, Document).rejects.to_pylist()
    assert gone[0]["reason"] == "gopher_unsegmented"
