"""Instructions from files: every row is an instruction or is named with its place."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mashbill.errors import InputError
from mashbill.ingest import ingest
from mashbill.records import Constraint, Instruction, from_table
from mashbill.runtime import Runtime
from mashbill.sources.read_instructions import ReadInstructions
from mashbill.step import BadInput

TASK: dict[str, Any] = {
    "instruction": "Name the relation.",
    "instances": [{"input": "Night : Day", "output": "Opposites."}],
}
APART = {
    "type": "naming",
    "query": "Name it.",
    "wants": [{"category": "Style/Tone", "text": "Be brief."}, "About salt"],
}


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path, **fields: Any) -> list[Instruction | BadInput]:
    return list(ReadInstructions(path=str(path), **fields).read(path, path.name))


def good(path: Path, **fields: Any) -> list[Instruction]:
    found = read(path, **fields)
    assert all(isinstance(one, Instruction) for one in found), found
    return [one for one in found if isinstance(one, Instruction)]


def bad(path: Path, **fields: Any) -> tuple[str, str, str]:
    """The one bad input of a file."""
    (one,) = [piece for piece in read(path, **fields) if isinstance(piece, BadInput)]
    return one.where, one.reason, one.detail


def test_each_instance_is_a_row(tmp_path: Path) -> None:
    two = {**TASK, "instances": [*TASK["instances"], {"input": "", "output": "None."}]}
    path = lines(tmp_path / "a.jsonl", two)
    rows = good(path, instances="instances", domain="words", license="MIT")
    assert [(one.text, one.context, one.response) for one in rows] == [
        ("Name the relation.", "Night : Day", "Opposites."),
        ("Name the relation.", "", "None."),
    ]
    assert {(one.source, one.domain, one.license) for one in rows} == {("a.jsonl:1", "words", "MIT")}
    assert len(good(path, instances="instances", each_instance=False)) == 1
    (alone,) = good(path)
    assert (alone.context, alone.response) == ("", "")


def test_columns_are_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"prompt": " Say it.\r\n", "given": None, "said": 7})
    (one,) = good(path, instruction="prompt", context="given", response="said")
    assert (one.text, one.context, one.response) == ("Say it.", "", "7")


def test_a_chat_gives_its_first_exchange(tmp_path: Path) -> None:
    turns = [("system", "Be kind."), ("user", "Hello?"), ("assistant", "Yes."), ("user", "And?"), ("assistant", "No.")]
    chat = {"messages": [{"role": role, "content": content} for role, content in turns]}
    unanswered = {"messages": [{"role": "user", "content": "Go."}, {"role": "user", "content": "Go on."}]}
    first, second = good(lines(tmp_path / "a.jsonl", chat, unanswered), messages="messages")
    assert (first.text, first.context, first.response) == ("Hello?", "Be kind.", "Yes.")
    assert (second.text, second.response) == ("Go.", "")


def test_an_instruction_taken_apart_is_read_as_it_is(tmp_path: Path) -> None:
    columns = {"task_type": "type", "base_query": "query", "constraints": "wants"}
    path = lines(tmp_path / "a.jsonl", APART, {**APART, "wants": None, "instruction": "Name it now."})
    first, second = good(path, **columns)
    assert (first.text, first.task_type, first.base_query) == ("", "naming", "Name it.")
    assert first.constraints == (
        Constraint(category="content", text="About salt"),
        Constraint(category="style", text="Be brief."),
    )
    assert (second.text, second.constraints) == ("Name it now.", ())


@pytest.mark.parametrize(
    ("row", "fields", "reason", "said"),
    [
        ({"instruction": " "}, {}, "no_instruction", "must be text; found ' '"),
        ({"instruction": None}, {}, "no_instruction", "found None"),
        ({"instructon": "a"}, {}, "no_column", r"has no field 'instruction' \(did you mean instructon\?\)"),
        ({**TASK, "instances": []}, {"instances": "instances"}, "bad_instances", "one or more; found \\[\\]"),
        ({**TASK, "instances": ["a"]}, {"instances": "instances"}, "bad_instances", "found \\['a'\\]"),
        ({"m": [{"role": "assistant", "content": "a"}]}, {"messages": "m"}, "no_instruction", "a turn of the user"),
        ({"m": [{"role": "user", "content": 3}]}, {"messages": "m"}, "no_instruction", "a turn of the user"),
        ({"m": "hello"}, {"messages": "m"}, "no_instruction", "found 'hello'"),
        (
            {**APART, "wants": "short"},
            {"task_type": "type", "base_query": "query", "constraints": "wants"},
            "bad_constraints",
            "must be a list; found 'short'",
        ),
        (
            {**APART, "wants": [{"category": "mood", "text": "sad"}]},
            {"task_type": "type", "base_query": "query", "constraints": "wants"},
            "bad_constraints",
            "with a category of content, numerical",
        ),
        (
            {**APART, "wants": [3]},
            {"task_type": "type", "base_query": "query", "constraints": "wants"},
            "bad_constraints",
            "found 3",
        ),
    ],
)
def test_a_row_that_is_no_instruction_is_named(
    row: Any, fields: dict[str, str], reason: str, said: str, tmp_path: Path
) -> None:
    where, found, detail = bad(lines(tmp_path / "a.jsonl", row), **fields)
    assert (where, found) == ("a.jsonl:1", reason)
    assert re.search(said, detail), detail


def test_what_stands_twice_is_named_unless_it_is_wanted(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", TASK, {"instruction": "Other."}, TASK)
    assert bad(path) == ("a.jsonl:3", "repeated", "says what a.jsonl:1 says; to read both, set `repeats: keep`")
    assert len(good(path, repeats="keep")) == 3
    twice = {**TASK, "instances": TASK["instances"] * 2}
    assert bad(lines(tmp_path / "b.jsonl", twice), instances="instances")[1] == "repeated"


def test_an_empty_file_and_a_limit(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    assert bad(tmp_path / "a.jsonl")[1] == "empty"
    path = lines(tmp_path / "b.jsonl", {"instruction": "a"}, {"instruction": "b"})
    assert [one.text for one in good(path, limit=1)] == ["a"]
    path.write_text('{"instruction": "a"}\nnot json\n')
    assert bad(path)[:2] == ("b.jsonl:2", "broken_json")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"limit": -1}, "limit -1"),
        ({"max_bytes": 0}, "max_bytes is 0"),
        ({"glob": "/x"}, "glob is '/x'"),
        ({"messages": "m", "response": "r"}, "messages holds"),
        ({"instances": "i", "context": "c"}, "instances hold"),
        ({"instruction": ""}, "instruction is empty"),
        ({"constraints": "c"}, "go together"),
    ],
)
def test_fields_that_cannot_be_together_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ReadInstructions(path="a", **fields)


def test_parquet_and_folders(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([TASK]), tmp_path / "a.parquet")
    lines(tmp_path / "b.jsonl", {"instruction": "Other.", "instances": TASK["instances"]})
    (tmp_path / "notes.txt").write_text("no rows")
    stored = ingest(
        ReadInstructions(path=str(tmp_path), instances="instances"), tmp_path, Runtime(root=tmp_path / "runs")
    )
    rows = [one for table in stored for one in from_table(table, Instruction)]
    assert [(one.text, one.source) for one in rows] == [
        ("Name the relation.", "a.parquet:1"),
        ("Other.", "b.jsonl:1"),
    ]
    assert stored.manifest.counts.rejected == {"unknown_kind": 1}
    with pytest.raises(InputError, match=r"has no instructions: looked for \.jsonl"):
        ReadInstructions(path="x").files(tmp_path / "notes.txt")


@pytest.mark.skipif(not os.environ.get("MASHBILL_DATA"), reason="MASHBILL_DATA names no folder of real data")
def test_the_seed_tasks_of_self_instruct_are_read() -> None:
    path = Path(os.environ["MASHBILL_DATA"]) / "self_instruct_seed_tasks.jsonl"
    assert len(good(path)) == 175
    assert all(one.response for one in good(path, instances="instances"))
