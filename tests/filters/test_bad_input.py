"""Texts that nobody expects, through every filter and dataset step of `filters`: no row is lost and nothing crashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from filters.decontaminate import Decontaminate
from mashbill.errors import BillError, ChainError, StepFailed
from mashbill.filter_stack import apply_filters
from mashbill.records import QA, Document, Instruction, Preference, Rationale, Record, to_table
from mashbill.registry import available, load
from mashbill.step import DatasetStep, Filter, chain
from tests.filters.support import MemoryParts

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
NEEDS_MORE = {"k_centre", "k_shot", "model_score"}
"""Steps that need a model or rows of another kind; their own tests have their odd rows."""


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
