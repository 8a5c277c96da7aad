from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mashbill.errors import InputError
from mashbill.fingerprint import fingerprint, step_identity
from synth.contexts import filled, read_contexts
from synth.generators.pair_contexts import PairContexts
from tests.synth.rationale_helpers import count_reasons, rejects_in, rows_of, run
from tests.synth.tcia_teacher import BASE, PLACE, good, searched


def file_of(root: Path, *contexts: dict[str, Any], name: str = "contexts.jsonl") -> str:
    root.mkdir(parents=True, exist_ok=True)
    path = root / name
    path.write_text("".join(f"{json.dumps(one)}\n\n" for one in contexts), encoding="utf-8")
    return str(path)


TEN = [{"transcript": f"Ora: pan {number} leaks in {{bay}}."} for number in range(10)]
TEXT = f"{BASE}\n{{transcript}}\nUse five bullets."


async def test_each_instruction_gets_five_inputs_in_the_place_of_its_placeholder(tmp_path: Path) -> None:
    rows = [searched(PLACE, text=TEXT, number=number) for number in range(2)]
    made = rows_of(await run(tmp_path, PairContexts(contexts=file_of(tmp_path, *TEN)), rows, good))
    assert len(made) == 10
    first = [row for row in made if row.parents == (rows[0].id,)]
    assert len({row.text for row in first}) == 5
    assert all("leaks in {bay}." in row.text and "{transcript}" not in row.text and not row.context for row in made)
    assert {row.text for row in first} != {row.text for row in made if row not in first}, "each draws its own"
    alone = rows_of(await run(tmp_path / "b", PairContexts(contexts=file_of(tmp_path / "b", *TEN)), rows[:1], good))
    assert [row.id for row in alone] == [row.id for row in first], "what one gets does not depend on the others"


async def test_an_instruction_without_a_placeholder_has_its_input_beside_it(tmp_path: Path) -> None:
    step = PairContexts(contexts=file_of(tmp_path, {"text": "Salt is low.", "who": "Ora"}), each=3)
    (row,) = rows_of(await run(tmp_path, step, [searched(PLACE, text=BASE)], good))
    assert (row.text, row.context) == (BASE, "Salt is low.\n\nOra")


async def test_a_placeholder_that_no_context_fills_is_a_reason(tmp_path: Path) -> None:
    step = PairContexts(contexts=file_of(tmp_path, {"notes": "Salt."}, {"transcript": "Ora."}))
    made = await run(tmp_path, step, [searched(text="Sum up {notes} of {transcript}."), searched(text="")], good)
    assert count_reasons(made) == {"no_context": 1, "no_text": 1}
    assert rejects_in(made)[0].detail == (
        "it wants notes, transcript in one context; the file's contexts have notes, transcript"
    )


def test_placeholders_are_filled_by_name_and_all_at_once() -> None:
    two = {"notes": "{transcript}", "transcript": "Ora."}
    assert filled("A {notes} B {Transcript} C {notes}", two) == ("A {transcript} B Ora. C {transcript}", "")
    assert filled("Sum up [INPUT TEXT]", {"text": "Salt."}) == ("Sum up Salt.", "")
    assert filled("Sum up {a} and {b}", {"text": "Salt."}) is None
    assert filled('Write {"a": 1} as JSON.', {"text": "Salt."}) == ('Write {"a": 1} as JSON.', "Salt.")


def test_contexts_come_from_parquet_too(tmp_path: Path) -> None:
    pq.write_table(pa.table({"transcript": ["One.", "Two."], "who": ["Ora", None]}), tmp_path / "c.parquet")
    assert read_contexts(tmp_path / "c.parquet") == [{"transcript": "One.", "who": "Ora"}, {"transcript": "Two."}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no context"),
        ("[1]\n", r"c.jsonl:1: a context is an object"),
        ('{"a": "b"}\n{"a": }\n', r"c.jsonl:2: is no JSON"),
        ('{"a": 5}\n', r"c.jsonl:1: a context is an object whose values are texts"),
        ('{"a": "  "}\n', "not blank"),
        ("{}\n", "not blank"),
    ],
)
def test_a_file_that_holds_no_contexts_is_named_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        PairContexts(contexts=str(tmp_path / "c.jsonl"))


def test_a_file_that_is_none_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe")
    (tmp_path / "b.parquet").write_bytes(b"no")
    for name, message in (("a.jsonl", "no such file"), ("b.jsonl", "cannot be read"), ("b.parquet", "cannot be read")):
        with pytest.raises(InputError, match=message):
            read_contexts(tmp_path / name)
    with pytest.raises(ValueError, match="each is 0"):
        PairContexts(contexts=file_of(tmp_path, *TEN), each=0)


def test_what_the_file_holds_is_identity_and_where_it_lies_is_not(tmp_path: Path) -> None:
    one, moved = (PairContexts(contexts=file_of(tmp_path / name, *TEN)) for name in ("a", "b"))
    other = PairContexts(contexts=file_of(tmp_path / "c", *TEN[1:]))
    assert fingerprint(step_identity(one)) == fingerprint(step_identity(moved)) != fingerprint(step_identity(other))
    assert dataclasses.replace(one, each=2) != one
