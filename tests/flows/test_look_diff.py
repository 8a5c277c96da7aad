"""Two data sets beside each other: every row is in one account, with the step or reason that made the difference."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from filters.decontaminate import Decontaminate
from filters.length import Length
from filters.prompt_injection import PromptInjection
from filters.redact_pii import RedactPii
from flows.cli import app
from flows.diff_rows import compare
from flows.diff_side import Side
from flows.look_diff import differences
from flows.stored import the_thing
from mashbill.counts import Counts
from mashbill.disk import file_digest, write_json, write_parquet
from mashbill.execute import execute
from mashbill.filter_stack import FilterStack
from mashbill.ingest import ingest
from mashbill.records import QA, Document, Record, to_table
from mashbill.release import ReleasePlan, publish
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.sources.read_documents import ReadDocuments
from mashbill.step import Filter, Step
from mashbill.store import Manifest, PartEntry, Stored, part_name

TEXTS = [
    "The Salt Guild sold salt to the lampwrights of Oskelby.",
    "Write to ora@saltguild.org about the pans of the guild.",
    "Blue lamps hang in Vintrack and green ones in Oskelby.",
    "Too short.",
    "The clerk of Marrow Bay kept the ledgers in blue ink for years.",
]


@dataclass(frozen=True)
class Two:
    root: Path
    a: Path
    b: Path


def made(root: Path, corpus: Path, name: str, steps: Sequence[Step], shares: dict[str, float] | None = None) -> Path:
    async def run() -> Stored:
        stored = ingest(ReadDocuments(path="x"), corpus, Runtime(root=root))
        for step in steps:
            wrapped = FilterStack(filters=(step,)) if isinstance(step, Filter) else step
            stored = await execute(wrapped, stored, Runtime(root=root), RejectPolicy(share=1.0))
        return stored

    plan = ReleasePlan(
        name=name,
        version="1",
        description="",
        license="",
        language="en",
        seed=0,
        shares=shares or {"x": 0.0},
        splits={},
    )
    return publish(plan, {"x": asyncio.run(run())}, root)


def corpus_of(folder: Path, texts: Sequence[str]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "docs.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


@pytest.fixture
def two(tmp_path: Path) -> Two:
    """B redacts, wants more words, has an evaluation set, and another text at the last place."""
    root = tmp_path / "runs"
    one = corpus_of(tmp_path / "one", TEXTS)
    other = corpus_of(tmp_path / "two", [*TEXTS[:4], TEXTS[4].replace("ink", "chalk")])
    (tmp_path / "bench.txt").write_text(f"{TEXTS[2]}\n", encoding="utf-8")
    a = made(root, one, "first", [Length(min_words=2)])
    b = made(
        root,
        other,
        "second",
        [
            RedactPii(),
            Decontaminate(against=str(tmp_path / "bench.txt")),
            Length(min_words=4),
            PromptInjection(action="mark"),
        ],
    )
    return Two(root, a, b)


def said(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"})
    assert result.exit_code == code, result.output
    return result


def rows_apart(root: Path, a: str, b: str) -> pl.DataFrame:
    sides = [Side(the_thing(one, root, ["step", "release"]), root) for one in (a, b)]
    return differences(compare(*sides), *sides)


def test_every_difference_has_the_step_or_reason_that_made_it(two: Two) -> None:
    rows = rows_apart(two.root, "first", "second")
    assert Counter(rows.select("what", "why").iter_rows()) == {
        ("removed", "length rejected it: length_too_few_words"): 1,
        ("removed", "decontaminate rejected it: bench_question"): 1,
        ("changed", "parents, scores, text; by redact_pii"): 1,
        ("changed", "scores, text; by read_documents"): 1,
        ("judged anew", "another scores"): 1,
    }


def test_the_other_way_round_says_the_same_from_the_other_end(two: Two) -> None:
    rows = rows_apart(two.root, "second", "first")
    assert Counter(rows["what"]) == {"added": 2, "changed": 2, "judged anew": 1}
    assert set(rows.filter(what="added")["why"]) == {
        "length rejected it: length_too_few_words",
        "decontaminate rejected it: bench_question",
    }
    assert "parents, scores, text; redact_pii did on the way to A" in rows["why"].to_list()


def test_a_thing_does_not_differ_from_itself(two: Two) -> None:
    assert rows_apart(two.root, "first", "first").is_empty()
    shown = said("diff", "first", "first", "--root", str(two.root)).stdout
    assert "5 rows in both" in shown
    assert "ROWS" not in shown


def test_the_command_shows_groups_settings_and_examples(two: Two, tmp_path: Path) -> None:
    to = tmp_path / "diff.parquet"
    shown = said("diff", "first", "second", "--root", str(two.root), "--to", str(to)).stdout
    for wanted in (
        "length: min_words 2 → 4",
        "redact_pii: only on the way to B",
        "read_documents: files differ: docs.jsonl",
        "decontaminate rejected it: bench_question",
        "Write to <EMAIL>",
        "Too short.",
    ):
        assert wanted in shown
    written = pl.read_parquet(to)
    assert written.columns == ["what", "a", "b", "why"]
    assert written.height == 5
    told = json.loads(said("diff", "first", "second", "--json", "--root", str(two.root)).stdout)
    assert (told["rows"], told["both"]) == ([5, 3], 1)
    assert sum(one["rows"] for one in told["differences"]) == 5


def test_a_step_is_compared_with_a_release(two: Two) -> None:
    rows = rows_apart(two.root, "redact_pii", "second")
    assert set(rows.filter(what="removed")["why"]) == {
        "length rejected it: length_too_few_words",
        "decontaminate rejected it: bench_question",
    }


def test_steps_that_are_gone_are_said_to_be_unknown(two: Two) -> None:
    for file in two.root.glob("length/*/manifest.json"):
        file.unlink()
    rows = rows_apart(two.root, "first", "second").filter(what="removed")
    assert set(rows["why"]) == {"not known: the steps that led there are not all under this root"}


def test_what_cannot_be_compared_is_refused(two: Two, tmp_path: Path) -> None:
    stored(two.root, "asked", [QA.new(question="Who?", answer="Ora")])
    root = ("--root", str(two.root))
    assert "holds Document and asked/" in said("diff", "first", "asked", *root, code=2).stderr
    assert "no step or release under" in said("diff", "first", "frist", *root, code=2).stderr
    assert "ends in .parquet" in said("diff", "first", "second", "--to", "x.csv", *root, code=2).stderr


def stored(root: Path, name: str, rows: Sequence[Record], **of: str) -> Stored:
    place = root / name / ("0" * 31 + str(len(rows) % 10))
    kind = type(rows[0])
    write_parquet(place / part_name(0), to_table(rows, kind))
    counts = Counts(read=len(rows), attempts=len(rows), kept=len(rows))
    entry = PartEntry(name=part_name(0), sha256=file_digest(place / part_name(0)), rejects_sha256="", counts=counts)
    manifest = Manifest(
        step=name, kind=kind.__name__, fingerprint=place.name, identity={"steps": []}, parts=(entry,), counts=counts
    )
    write_json(place / "manifest.json", manifest.model_dump(mode="json"))
    return Stored.open(place)


def test_the_same_question_with_another_answer_is_a_row_that_changed(tmp_path: Path) -> None:
    one = [QA.new(question="Who taxed salt?", answer="Ora"), QA.new(question="Twice?", answer="a")]
    two = [
        QA.new(question="Who taxed SALT?", answer="Venn"),
        QA.new(question="Twice?", answer="b"),
        QA.new(question="Twice?", answer="c"),
    ]
    stored(tmp_path, "one", one)
    stored(tmp_path, "two", two)
    rows = rows_apart(tmp_path, "one", "two")
    changed = rows.filter(what="changed")
    assert changed.select("a", "b").rows() == [(one[0].id, two[0].id)]
    assert changed["why"].to_list() == ["question, answer; by two"]
    assert Counter(rows["what"]) == {
        "changed": 1,
        "removed": 1,
        "added": 2,
    }  # which of the two it became nobody can say


def test_rows_of_a_model_are_told_by_what_made_them(tmp_path: Path) -> None:
    parent = Document.new(text="a")
    asked = replace(parent.child(Document, text="b").made, step="rephrase", asks=("k",))
    stored(tmp_path, "one", [parent, parent.child(Document, text="b", made=asked)])
    stored(tmp_path, "two", [parent])
    assert rows_apart(tmp_path, "one", "two")["why"].to_list() == ["rephrase did not make it"]


@given(
    one=st.lists(st.integers(0, 12), min_size=1, max_size=12),
    two=st.lists(st.integers(0, 12), min_size=1, max_size=12),
)
@settings(max_examples=25, deadline=None)
def test_every_row_of_either_is_in_one_account(
    one: list[int], two: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("accounts")
    stored(root, "one", [Document.new(text=f"t{number}") for number in one])
    stored(root, "two", [Document.new(text=f"t{number}") for number in two])
    sides = [Side(the_thing(name, root, ["step"]), root) for name in ("one", "two")]
    found = compare(*sides)
    both = sum((Counter(one) & Counter(two)).values())
    assert (found.both, found.removed.height, found.added.height) == (both, len(one) - both, len(two) - both)
