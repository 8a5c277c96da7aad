"""Evaluation items are found in rows of any type, whatever was done to case and layout, and nothing else is."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filters.decontaminate import Decontaminate
from mashbill.disk import write_parquet
from mashbill.errors import BillError, InputError
from mashbill.execute import execute
from mashbill.fingerprint import fingerprint, step_identity
from mashbill.records import QA, Document, Edge, Instruction, Path, Preference, Rationale, Record, Triple, to_table
from mashbill.runtime import Runtime
from mashbill.words import words
from tests.filters.support import MemoryParts
from tests.support.kernel import rejects_in, rows_of, store

LONG = " ".join(f"word{at}" for at in range(30))


def said(first: int, last: int) -> str:
    """Some words of `LONG`, from one number up to another."""
    return " ".join(LONG.split()[first:last])


def bench(root: FilePath, items: Sequence[Mapping[str, Any]], name: str = "bench.jsonl") -> str:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("".join(json.dumps(one) + "\n" for one in items), encoding="utf-8")
    return str(root / name)


def judged(step: Decontaminate, rows: Sequence[Record]) -> list[str]:
    """The reason of each row, "" where it is kept."""
    (output,) = step.run(MemoryParts([to_table(rows, type(rows[0]))]))
    assert output.kept.num_rows + output.rejects.num_rows == len(rows)
    why = {json.loads(row["record"])["id"]: row["reason"] for row in output.rejects.to_pylist()}
    assert {*output.kept["id"].to_pylist(), *why} == {row.id for row in rows}
    return [why.get(row.id, "") for row in rows]


def details(step: Decontaminate, rows: Sequence[Record]) -> list[tuple[str, float | None]]:
    (output,) = step.run(MemoryParts([to_table(rows, type(rows[0]))]))
    return [(row["detail"], row["value"]) for row in output.rejects.to_pylist()]


def test_a_run_of_words_is_found_by_its_length(tmp_path: FilePath) -> None:
    step = Decontaminate(against=bench(tmp_path, [{"question": f"Case: {LONG}?", "answer": "x"}]))
    rows = [
        Document.new(text=f"Once {said(3, 15)} more."),
        Document.new(text=f"Once {said(3, 16)} more."),
        Document.new(text=f"Once {said(3, 20)} more."),
        Document.new(text=f"Once {said(3, 21)} more."),
        Document.new(text="Nothing of it."),
    ]
    assert judged(step, rows) == ["", "bench_13_gram", "bench_13_gram", "bench_18_gram", ""]
    found = details(step, rows)
    assert [value for _, value in found] == [13.0, 17.0, 18.0]
    assert found[0][0] == f"bench.jsonl:1 has 13 words in a row of it: {said(3, 16)}"


@pytest.mark.parametrize(
    "row",
    [
        Document.new(title="T", text=f"So: {LONG}"),
        QA.new(question="Hm", answer="x", rationale=f"So: {LONG}"),
        QA.new(question="Hm", answer="x", options=("a", LONG)),
        QA.new(question="Hm", answer="x", context=LONG),
        Instruction.new(text="Do", response=LONG),
        Rationale.new(question="Hm", answer="x", rationale=LONG),
        Preference.new(prompt="Hm", chosen="x", rejected=LONG),
        Triple.new(head="a", relation="r", tail="b", evidence=LONG),
    ],
    ids=lambda row: type(row).__name__,
)
def test_rows_of_every_type_are_looked_into(row: Record, tmp_path: FilePath) -> None:
    step = Decontaminate(against=bench(tmp_path, [{"question": f"Case: {LONG}?"}]))
    assert judged(step, [row]) == ["bench_18_gram"]


@pytest.mark.parametrize(
    ("item", "copied"),
    [
        (LONG, LONG.replace(" ", "_").upper()),
        (LONG, LONG.replace(" ", ";\n\n")),
        ("盐" * 7 + "会馆的主人是谁呢请你告诉我们大家", "盐" * 7 + "会馆的主人是谁呢请你告诉我们大家吧"),
        ("é " * 20, "e\u0301 " * 20),
        (
            "שלום " * 3 + "מלח גילדה ים אור בית ספר דרך עיר הר נחל",
            "«שלום» " * 3 + "מלח גילדה ים אור בית ספר דרך עיר הר נחל",
        ),
    ],
    ids=["signs", "lines", "han", "accents", "hebrew"],
)
def test_a_run_of_words_is_found_in_any_dress(item: str, copied: str, tmp_path: FilePath) -> None:
    step = Decontaminate(against=bench(tmp_path, [{"question": item}]))
    assert judged(step, [Document.new(text=f"Look: {copied}")])[0] in ("bench_13_gram", "bench_18_gram")


def test_a_short_question_is_found_as_a_whole_string_or_inside_from_eight_words(tmp_path: FilePath) -> None:
    step = Decontaminate(
        against=bench(
            tmp_path,
            [{"question": "Who taxed salt?"}, {"question": "Who was it that first taxed the salt of Veylund?"}],
        )
    )
    rows = [
        QA.new(question="who TAXED: salt", answer="Ora"),
        QA.new(question="Say, who taxed salt?", answer="Ora"),
        QA.new(question="Say, who was it that first taxed the salt of Veylund?", answer="Ora"),
        QA.new(question="Say, who was it that last taxed the salt of Veylund?", answer="Ora"),
        QA.new(question="Who taxed oak?", answer="Who taxed salt?"),
    ]
    assert judged(step, rows) == ["bench_question", "", "bench_short_item", "", ""]
    assert details(step, rows)[1][0] == (
        "bench.jsonl:2 stands in it whole: who was it that first taxed the salt of veylund"
    )


def test_a_question_of_a_passage_is_told_by_its_passage_where_many_share_it(tmp_path: FilePath) -> None:
    items = [
        {"question": "One name is wrong.", "context": "Ora leads tar."},
        {"question": "One name is wrong.", "context": "Venn leads oak."},
        {"question": "Who leads amber?", "context": "Liss leads amber."},
    ]
    step = Decontaminate(against=bench(tmp_path, items))
    rows = [
        QA.new(question="One name is wrong.", context="Ora leads tar.", answer="x"),
        QA.new(question="One name is wrong.", context="Somebody leads peat.", answer="x"),
        QA.new(question="Who leads amber?", answer="x"),
    ]
    assert judged(step, rows) == ["bench_question", "", "bench_question"]


def test_how_items_are_put_counts_for_nothing(tmp_path: FilePath) -> None:
    stem = "Which one of the following statements is true of the guild and of its many"
    items = [{"question": f"{stem} {good}?"} for good in STEMS]
    step = Decontaminate(against=bench(tmp_path, items))
    rows = [
        Document.new(text=f"He said: {stem} members, as ever."),
        Document.new(text=f"He said: {stem} lamp."),
    ]
    assert judged(step, rows) == ["", "bench_13_gram"]
    fewer = Decontaminate(against=bench(tmp_path, items[:10], "fewer.jsonl"))
    assert judged(fewer, rows) == ["bench_13_gram", "bench_13_gram"]


def test_a_passage_that_many_questions_share_is_one_text(tmp_path: FilePath) -> None:
    items = [{"question": f"What of {at}?", "context": LONG} for at in range(40)]
    assert judged(Decontaminate(against=bench(tmp_path, items)), [Document.new(text=LONG)]) == ["bench_18_gram"]


def test_a_path_is_found_either_way_round(tmp_path: FilePath) -> None:
    def walk(*names: str) -> tuple[Edge, ...]:
        return tuple(Edge(head=one, relation="r", tail=two) for one, two in itertools.pairwise(names))

    held = {
        "question": "Who?",
        "path": [{"head": "Salt Guild", "relation": "r", "tail": "b"}, {"head": "b", "tail": "c"}],
    }
    step = Decontaminate(against=bench(tmp_path, [held]))
    asked = [
        QA.new(question=f"Hm {at}", answer="x", path=path)
        for at, path in enumerate((walk("c", "b", "salt_guild"), walk("c", "b")))
    ]
    assert judged(step, asked) == ["bench_path", ""]
    assert judged(step, [Path.new(edges=walk("Salt Guild", "b", "c")), Path.new(edges=walk("a", "b", "c"))]) == [
        "bench_path",
        "",
    ]


STEMS = ("salt", "oak", "tar", "amber", "peat", "wool", "iron", "lamp", "boat", "ink", "corn")
VOCABULARY = st.sampled_from([f"{letter}{number}" for letter in "abcdefgh" for number in range(30)])


@given(
    item=st.lists(VOCABULARY, min_size=4, max_size=40),
    before=st.lists(VOCABULARY, max_size=40),
    after=st.lists(VOCABULARY, max_size=40),
    cut=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    n=st.integers(2, 15),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_longest_run_is_the_one_that_comparing_all_words_finds(
    item: list[str], before: list[str], after: list[str], cut: tuple[int, int], n: int, tmp_path: FilePath
) -> None:
    copied = item[min(cut) : max(cut)]
    row = Document.new(text=" ".join([*before, "x", *copied, *after]) or "x")
    step = Decontaminate(against=bench(tmp_path, [{"question": " ".join(item)}]), words=n, short=100, common=0)
    (output,) = step.run(MemoryParts([to_table([row], Document)]))
    longest = slow_longest(words(row.text), item)
    found = [reject["value"] for reject in output.rejects.to_pylist() if reject["reason"] != "bench_question"]
    assert found == ([float(longest)] if longest >= n and words(row.text) != item else [])


def slow_longest(text: list[str], item: list[str]) -> int:
    best = 0
    for at in range(len(text)):
        for there in range(len(item)):
            run = 0
            while at + run < len(text) and there + run < len(item) and text[at + run] == item[there + run]:
                run += 1
            best = max(best, run)
    return best


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_planted_item_is_found_and_no_other_row_goes(data: st.DataObject, tmp_path: FilePath) -> None:
    items = data.draw(st.lists(st.lists(VOCABULARY, min_size=13, max_size=25), min_size=1, max_size=5))
    clean = st.lists(st.sampled_from([f"z{number}" for number in range(50)]), max_size=60)
    planted = data.draw(st.lists(st.sampled_from([None, *range(len(items))]), min_size=1, max_size=6))
    rows = []
    for number, which in enumerate(planted):
        middle = [] if which is None else [word.upper() for word in items[which]]
        text = [f"row{number}", *data.draw(clean), *middle, *data.draw(clean)]
        rows.append(Document.new(text=data.draw(st.sampled_from([" ", "\n", ", ", " – "])).join(text)))
    step = Decontaminate(against=bench(tmp_path, [{"question": " ".join(item)} for item in items]), common=0)
    assert [bool(reason) for reason in judged(step, rows)] == [which is not None for which in planted]
    assert judged(
        step, [row for row, which in zip(rows, planted, strict=True) if which is None] or [Document.new(text="z")]
    ) == [""] * max(planted.count(None), 1)


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet", "text", "folder", "saved"])
def test_a_set_is_read_from_each_kind_of_file(form: str, tmp_path: FilePath) -> None:
    items = [QA.new(question="Who taxed salt?", answer="Ora"), QA.new(question=LONG, answer="x")]
    plain = [{"question": item.question, "answer": item.answer} for item in items]
    if form == "jsonl":
        against = bench(tmp_path, plain)
    elif form == "json":
        (tmp_path / "b.json").write_text(json.dumps(plain), encoding="utf-8")
        against = str(tmp_path / "b.json")
    elif form == "text":
        (tmp_path / "b.txt").write_text("Who taxed salt?\n\n" + LONG + "\n", encoding="utf-8")
        against = str(tmp_path / "b.txt")
    elif form == "parquet":
        write_parquet(tmp_path / "b.parquet", to_table(items, QA))
        against = str(tmp_path / "b.parquet")
    elif form == "saved":
        datasets = pytest.importorskip("datasets")
        datasets.Dataset.from_list(plain).save_to_disk(tmp_path / "saved")
        against = str(tmp_path / "saved")
    else:
        write_parquet(tmp_path / "release" / "data" / "test-0.parquet", to_table(items, QA))
        write_parquet(
            tmp_path / "release" / "rejects" / "part-0.parquet", to_table([Document.new(text="no")], Document)
        )
        (tmp_path / "release" / "README.md").write_text("A card that says: what else?", encoding="utf-8")
        against = str(tmp_path / "release")
    rows = [QA.new(question="Who taxed SALT", answer="x"), QA.new(question="no", answer="x", rationale=LONG)]
    step = Decontaminate(against=against)
    assert judged(step, rows) == ["bench_question", "bench_18_gram"]
    assert all(":" in detail.split(" ")[0] for detail, _ in details(step, rows))


def test_columns_of_unusual_names_are_named(tmp_path: FilePath) -> None:
    against = bench(tmp_path, [{"stem_text": "Who taxed salt?", "gold": LONG}])
    with pytest.raises(InputError, match=r"bench.jsonl:1: is no item: it has the columns gold, stem_text .*fields:"):
        Decontaminate(against=against).bench()
    step = Decontaminate(against=against, fields=("stem_text", "gold"))
    assert judged(step, [Document.new(text="Who taxed salt?"), Document.new(text=f"so {LONG}")]) == [
        "bench_question",
        "bench_18_gram",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.jsonl", None, "no such evaluation set"),
        ("bench.pdf", "x", "is no evaluation set: wanted .jsonl"),
        ("bench.jsonl", "", "has no item"),
        ("bench.jsonl", '{"question": "a"}\n{', "bench.jsonl:2: is not JSON"),
        ("bench.json", '{"question": "a"}\n{', "bench.json:2: is no JSON"),
        ("bench.json", "[1]", "item 1 is int; wanted an object"),
        ("bench.txt", b"\xff\xfe", "is not UTF-8 at byte 0"),
        ("folder/readme.pdf", "x", "holds no evaluation set"),
    ],
)
def test_a_set_that_cannot_be_read_is_named(name: str, content: Any, message: str, tmp_path: FilePath) -> None:
    path = tmp_path / name
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        Decontaminate(against=str(path.parent if "/" in name else path)).bench()


def test_settings_that_find_nothing_are_refused(tmp_path: FilePath) -> None:
    against = bench(tmp_path, [{"question": "Who?"}])
    for fields in ({"words": 1}, {"short": 0}, {"common": -1}, {"audit_from": 1.5}):
        with pytest.raises(BillError, match=next(iter(fields))):
            Decontaminate(against=against, **fields)
    with pytest.raises(BillError, match="names no evaluation set"):
        Decontaminate(against=())
    with pytest.raises(BillError, match="QA has no text column 'text'"):
        judged(Decontaminate(against=against, columns=("text",)), [QA.new(question="Who?", answer="x")])


def test_where_a_set_lies_is_no_identity_and_what_it_holds_is(tmp_path: FilePath) -> None:
    one, same = bench(tmp_path, [{"question": "a"}], "a/x.jsonl"), bench(tmp_path, [{"question": "a"}], "b/y.jsonl")
    other = bench(tmp_path, [{"question": "b"}], "c/x.jsonl")
    digests = [fingerprint(step_identity(Decontaminate(against=place))) for place in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]
    step = Decontaminate(against=(one, other))
    assert judged(step, [Document.new(text="a"), Document.new(text="b")]) == ["bench_question"] * 2
    assert [detail.split(" ")[0] for detail, _ in details(step, [Document.new(text="a"), Document.new(text="b")])] == [
        "a/x.jsonl:1",
        "c/x.jsonl:1",
    ]


async def test_the_report_counts_items_and_rows_of_each_set(tmp_path: FilePath) -> None:
    first = bench(tmp_path, [{"question": "Who taxed salt?"}, {"question": LONG}, {"question": "Who else?"}], "a.jsonl")
    second = bench(tmp_path, [{"question": "Where is Veylund?"}], "b.jsonl")
    rows = [
        QA.new(question="Who taxed salt?", answer="x"),
        QA.new(question="Who taxed salt?", answer="y"),
        QA.new(question="so", answer=LONG),
        QA.new(question="not", answer="this"),
        QA.new(question="nearly", answer=said(0, 14)),
    ]
    step = Decontaminate(against=(first, second), words=18, audit="hashed_ngrams", audit_from=0.05)
    stored = await execute(step, store(tmp_path, rows, part_rows=2), Runtime(root=tmp_path))
    assert [one.reason for one in rejects_in(stored)] == ["bench_question", "bench_question", "bench_18_gram"]
    found = stored.manifest.notes["decontamination"]
    assert found["sets"]["a.jsonl"] | {"digest": ""} == {
        "items": 3, "digest": "", "items found": 2, "rows": {"bench_18_gram": 1, "bench_question": 2},
    }  # fmt: skip
    assert found["sets"]["b.jsonl"]["rows"] == {}
    assert found["kept with 13 words in a row"] == 1
    kept: list[QA] = rows_of(stored)
    assert found["nearest"][0]["cosine"] == pytest.approx(max(row.scores[0].value for row in kept), abs=1e-4)
    assert {row.scores[0].name for row in kept} == {"bench_similarity"}
    assert stored.manifest.notes["card"][0].startswith("compared with 3 items of a.jsonl (digest ")
    assert (
        "3 rows went (bench_18_gram 1, bench_question 2); 2 of its items were found" in stored.manifest.notes["card"][0]
    )


def test_a_row_near_an_item_goes_only_if_that_is_asked_for(tmp_path: FilePath) -> None:
    against = bench(
        tmp_path, [{"question": "Who was it that taxed the salt of Veylund?"}, {"question": "Why is the sky blue?"}]
    )
    rows = [
        QA.new(question="Who was it who taxed Veylund's salt?", answer="x"),
        QA.new(question="How do ships float?", answer="x"),
    ]
    assert judged(Decontaminate(against=against, audit="hashed_ngrams", audit_from=0.7), rows) == ["", ""]
    step = Decontaminate(against=against, audit="hashed_ngrams", audit_from=0.7, audit_rejects=True)
    assert judged(step, rows) == ["bench_near", ""]
    assert details(step, rows)[0][0].startswith("bench.jsonl:1 is near: cosine 0.")


@pytest.mark.parametrize("text", ["", " \n", "\0", "a\0b", "?!", "\ufffd", "word " * 5])
def test_texts_that_say_nothing_are_kept(text: str, tmp_path: FilePath) -> None:
    step = Decontaminate(against=bench(tmp_path, [{"question": "Who taxed salt?"}, {"question": "?!"}]))
    assert judged(step, [Document.new(text=text)]) == [""]
