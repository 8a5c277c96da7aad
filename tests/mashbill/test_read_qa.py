"""Questions from files: every row is a question or is named with its place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mashbill.errors import InputError, RegistryError
from mashbill.ingest import ingest
from mashbill.records import QA, from_table
from mashbill.runtime import Runtime
from mashbill.sources.read_qa import ReadQa
from mashbill.step import BadInput

SUM = {"question": "What is 2 + 2?", "answer": "2 + 2 = <<2+2=4>>4\n#### 4"}


def lines(path: Path, *rows: Any) -> Path:
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def read(path: Path, **fields: Any) -> list[QA | BadInput]:
    return list(ReadQa(path=str(path), **fields).read(path, path.name))


def bad(path: Path, **fields: Any) -> tuple[str, str, str]:
    """The one bad input of a file."""
    (one,) = [piece for piece in read(path, **fields) if isinstance(piece, BadInput)]
    return one.where, one.reason, one.detail


def test_a_worked_answer_is_parted_at_its_marker(tmp_path: Path) -> None:
    (one,) = read(lines(tmp_path / "a.jsonl", SUM), marker="####", domain="maths", license="MIT", kind="open")
    assert isinstance(one, QA)
    assert (one.question, one.answer, one.rationale) == ("What is 2 + 2?", "4", "2 + 2 = <<2+2=4>>4")
    assert (one.source, one.domain, one.license, one.kind) == ("a.jsonl:1", "maths", "MIT", "open")
    assert one.accepted == ()
    (whole,) = read(tmp_path / "a.jsonl")
    assert isinstance(whole, QA)
    assert whole.answer == SUM["answer"]


def test_columns_are_named(tmp_path: Path) -> None:
    row = {
        "q": " Who? \r\n",
        "gold": 7,
        "why": "because",
        "text": "Ora.",
        "choices": ["Ora", "7"],
        "c": "guild",
        "d": None,
    }
    (one,) = read(
        lines(tmp_path / "a.jsonl", row),
        question="q", answer="gold", rationale="why", context="text", options="choices", category="c", discipline="d",
    )  # fmt: skip
    assert isinstance(one, QA)
    assert (one.question, one.answer, one.rationale, one.context) == ("Who?", "7", "because", "Ora.")
    assert (one.options, one.category, one.discipline) == (("Ora", "7"), "guild", "")


def test_several_right_answers_are_all_kept(tmp_path: Path) -> None:
    (one,) = read(lines(tmp_path / "a.jsonl", {"question": "Who?", "answer": ["Ora Venn", "Venn", "Venn"]}))
    assert isinstance(one, QA)
    assert (one.answer, one.accepted) == ("Ora Venn", ("Ora Venn", "Venn"))


def test_options_by_place_and_by_label(tmp_path: Path) -> None:
    (one,) = read(
        lines(tmp_path / "a.jsonl", {"question": "Who?", "answer": 1, "options": ["Ora", "Venn"]}),
        options="options", answer_is="index",
    )  # fmt: skip
    assert isinstance(one, QA)
    assert one.answer == "Venn"
    arc = {"question": "Who?", "answer": "2", "choices": {"text": ["Ora", "Venn"], "label": ["1", "2"]}}
    (one,) = read(lines(tmp_path / "b.jsonl", arc), options="choices")
    assert isinstance(one, QA)
    assert (one.answer, one.options) == ("Venn", ("Ora", "Venn"))


MALFORMED: list[tuple[Any, dict[str, Any], str, str]] = [
    ({"question": "Who?", "answer": "4"}, {"marker": "####"}, "no_marker", "'####' stands nowhere in the answer '4'"),
    ({"question": "Who?", "answer": "#### 4\n#### 5"}, {"marker": "####"}, "two_answers", "before '4', '5'"),
    ({"question": "Who?", "answer": "so\n#### "}, {"marker": "####"}, "no_answer", "holds no answer"),
    ({"question": "Who?", "answer": " "}, {}, "no_answer", "holds no answer"),
    ({"question": "Who?", "answer": []}, {}, "no_answer", "holds no answer"),
    ({"question": "Who?", "answer": None}, {}, "bad_answer", "neither text nor a number: None"),
    ({"question": "Who?", "answer": {"a": 1}}, {}, "bad_answer", "neither text nor a number"),
    ({"question": "Who?", "answer": True}, {}, "bad_answer", "neither text nor a number: True"),
    ({"question": " ", "answer": "4"}, {}, "no_question", "must be text; found ' '"),
    ({"question": 5, "answer": "4"}, {}, "no_question", "must be text; found 5"),
    ({"qestion": "Who?", "answer": "4"}, {}, "no_column", "'question' (did you mean qestion?); its fields"),
    ({"question": "Who?", "answer": "4"}, {"context": "text"}, "no_column", "no field 'text'"),
    ({"question": "Who?", "answer": "4", "o": ["4"]}, {"options": "o"}, "bad_options", "a list of two or more"),
    ({"question": "Who?", "answer": "4", "o": "45"}, {"options": "o"}, "bad_options", "found '45'"),
    (
        {"question": "Who?", "answer": "4", "o": {"text": ["4", "5"], "label": ["A"]}},
        {"options": "o"}, "bad_options", "equal length",
    ),
    ({"question": "Who?", "answer": 2, "o": ["4", "5"]}, {"options": "o", "answer_is": "index"}, "bad_answer", "2"),
    ({"question": "Who?", "answer": "many"}, {"readable_by": "numeric"}, "gold_unreadable", "answer 'many'"),
    ({"question": "Who?", "answer": ["4", "many"]}, {"readable_by": "numeric"}, "gold_unreadable", "'many'"),
    ("[1]", {}, "broken_json", "must be a JSON object; found list"),
    ("{", {}, "broken_json", "is not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "fields", "reason", "detail"), MALFORMED)
def test_a_malformed_row_is_named_with_its_line(
    tmp_path: Path, row: Any, fields: dict[str, Any], reason: str, detail: str
) -> None:
    where, found, said = bad(lines(tmp_path / "a.jsonl", "", row), **fields)
    assert (where, found) == ("a.jsonl:2", reason)
    assert detail in said


def test_bytes_that_are_no_text_and_lines_without_end_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(SUM).encode() + b"\n\xff\n")
    assert bad(path)[:2] == ("a.jsonl:2", "not_utf8")
    path.write_bytes(b"{" + b"a" * 500 + b"\n" + json.dumps(SUM).encode())
    where, reason, detail = bad(path, max_bytes=100)
    assert (where, reason) == ("a.jsonl:1", "too_large")
    assert detail.startswith("502 bytes in one line")
    assert len(read(path, max_bytes=100)) == 2


def test_a_question_that_is_asked_twice_is_a_bad_input_unless_it_is_wanted(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", SUM, {**SUM, "answer": "5"})
    assert bad(path)[:2] == ("a.jsonl:2", "repeated")
    assert "asks what a.jsonl:1 asks" in bad(path)[2]
    assert len([one for one in read(path, repeats="keep") if isinstance(one, QA)]) == 2


def test_parquet_and_arrow_hold_the_same_rows(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n}?", "answer": f"{n}", "options": [f"{n}", "none"]} for n in range(2500)]
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "b.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    with pa.OSFile(str(tmp_path / "c.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    ids = [
        [one.id for one in read(tmp_path / name, options="options") if isinstance(one, QA)]
        for name in ("a.parquet", "b.arrow", "c.arrow")
    ]
    assert len(ids[0]) == 2500
    assert ids[0] == ids[1] == ids[2]
    assert len(read(tmp_path / "a.parquet", limit=10)) == 10


def test_a_folder_that_datasets_saved_is_read_without_that_library(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list([SUM, {"question": "What is 3?", "answer": "#### 3"}]).save_to_disk(tmp_path / "saved")
    source = ReadQa(path=str(tmp_path / "saved"), marker="####")
    files = source.files(tmp_path / "saved")
    assert source.skipped(tmp_path / "saved") == []
    found = [one for path in files for one in source.read(path, path.name)]
    assert [one.answer for one in found if isinstance(one, QA)] == ["4", "3"]


def test_tables_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for name, reason in (("a.parquet", "broken_parquet"), ("a.arrow", "broken_arrow")):
        (tmp_path / name).write_bytes(b"salt and oak")
        assert bad(tmp_path / name)[:2] == (name, reason)


def test_an_empty_file_says_so_and_an_empty_source_stops(tmp_path: Path) -> None:
    assert bad(lines(tmp_path / "a.jsonl"))[:2] == ("a.jsonl", "empty")
    with pytest.raises(InputError, match=r"gave no record at all \(empty 1\)"):
        ingest(ReadQa(path="a.jsonl"), tmp_path / "a.jsonl", Runtime(root=tmp_path / "runs"))
    with pytest.raises(InputError, match="no such file or folder"):
        ReadQa(path="x").files(tmp_path / "x")
    (tmp_path / "texts").mkdir()
    with pytest.raises(InputError, match=r"has no questions: .* found nothing"):
        ReadQa(path="x").files(tmp_path / "texts")
    (tmp_path / "texts" / "a.txt").write_text("salt")
    with pytest.raises(InputError, match=r"found \.txt"):
        ReadQa(path="x").files(tmp_path / "texts")


def test_ingested_questions_stop_at_the_first_bad_one_or_count_it(tmp_path: Path) -> None:
    root = tmp_path / "qa"
    (root / ".hidden").mkdir(parents=True)
    lines(root / ".hidden" / "a.jsonl", "{")
    lines(root / "a.jsonl", SUM, {"question": "Who?", "answer": "nobody said"})
    lines(root / "b.jsonl", SUM)
    (root / "notes.txt").write_text("salt")
    with pytest.raises(InputError, match=r"a\.jsonl:2: '####' stands nowhere .* set `bad_input: reject`"):
        ingest(ReadQa(path="qa", marker="####"), root, Runtime(root=tmp_path / "runs"))
    stored = ingest(ReadQa(path="qa", marker="####", bad_input="reject"), root, Runtime(root=tmp_path / "runs"))
    assert stored.manifest.counts.rejected == {"no_marker": 1, "unknown_kind": 1}
    first, second = from_table(stored.table(0), QA)
    assert first.id != second.id
    assert first.source_id == second.source_id  # one question in two files: no split parts them
    assert ReadQa(path="qa").skipped(root / "a.jsonl") == []
    assert ReadQa(path="qa").files(root / "a.jsonl") == [root / "a.jsonl"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_bytes": 0}, "max_bytes is 0"),
        ({"limit": -1}, "limit -1"),
        ({"question": ""}, "question is empty"),
        ({"answer": "", "marker": "####"}, "answer is empty"),
        ({"glob": " "}, "glob is"),
        ({"glob": "/x/*"}, "glob is"),
        ({"answer_is": "index"}, "name their column in `options`"),
    ],
)
def test_settings_that_mean_nothing_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReadQa(path="x", **fields)
    with pytest.raises(RegistryError, match="no matcher is called"):
        ReadQa(path="x", readable_by="numbers")


def test_gsm8k_is_read_whole() -> None:
    if "MASHBILL_DATA" not in os.environ:
        pytest.skip("MASHBILL_DATA, the folder of gsm8k_train_500.jsonl, is not set")
    path = Path(os.environ["MASHBILL_DATA"]) / "gsm8k_train_500.jsonl"
    found = read(path, marker="####", readable_by="numeric")
    assert len(found) == 500
    assert all(isinstance(one, QA) and one.rationale for one in found)


def test_questions_whose_answers_nobody_knows_are_read_without_one(tmp_path: Path) -> None:
    path = lines(tmp_path / "q.jsonl", {"question": "Which drug?", "note": "Willow bark."}, {"question": "Which harm?"})
    rows = read(path, answer="")
    assert [(row.question, row.answer, row.accepted) for row in rows if isinstance(row, QA)] == [
        ("Which drug?", "", ()),
        ("Which harm?", "", ()),
    ]


def test_a_whole_number_of_any_length_stays_that_number(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "How many?", "answer": 123456789012345678901234567890}\n', encoding="utf-8")
    (one,) = read(path)
    assert isinstance(one, QA)
    assert one.answer == "123456789012345678901234567890"


def test_what_is_no_number_is_no_answer(tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": ["How many?"], "answer": [float("nan")]}), tmp_path / "q.parquet")
    assert bad(tmp_path / "q.parquet")[:2] == ("q.parquet:1", "bad_answer")


def test_zero_bytes_in_a_line_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(json.dumps(SUM).encode() + b"\n\0\n")
    assert bad(path)[:2] == ("q.jsonl:2", "binary")


def test_tests_of_code_are_read_though_they_do_not_pass_themselves(tmp_path: Path) -> None:
    good, broken = {"question": "Area?", "answer": "assert area(2, 3) == 6"}, {"question": "Sum?", "answer": "assert ("}
    path = lines(tmp_path / "q.jsonl", good, broken)
    one, two = read(path, readable_by="code_tests")
    assert isinstance(one, QA)
    assert isinstance(two, BadInput)
    assert (two.where, two.reason) == ("q.jsonl:2", "gold_unreadable")
