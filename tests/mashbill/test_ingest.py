"""Files in, records out: every piece of every file accounted for, and a message for each way a file can be wrong."""

from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.errors import InputError
from mashbill.fingerprint import content_id
from mashbill.ingest import ingest
from mashbill.records import Document
from mashbill.runtime import Runtime
from mashbill.sources.read_documents import ReadDocuments
from mashbill.step import BadInput, Source
from mashbill.store import Stored
from tests.support.kernel import rejects_in, rows_of


def read(tmp_path: Path, root: Path, **fields: object) -> Stored:
    return ingest(ReadDocuments(path="x", **fields), root, Runtime(root=tmp_path / "steps"))  # type: ignore[arg-type]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    return folder


def test_each_kind_of_file_becomes_documents(tmp_path: Path, corpus: Path) -> None:
    (corpus / "a.md").write_text("---\ntitle: Salt\nauthor: Ora\nyear: 412\n---\nThe guild.\n")
    (corpus / "b.md").write_text("# A heading \n\nThe road.\n")
    (corpus / "c.txt").write_text("# No heading\n")
    (corpus / "d.jsonl").write_bytes(b'{"text": "one", "title": "T", "domain": "d"}\n\n{"text": "two"}')
    pq.write_table(pa.table({"text": ["three", "four"], "year": [1, None], "other": [[1], [2]]}), corpus / "e.parquet")
    (corpus / "picture.png").write_bytes(b"\0")
    (corpus / ".hidden.md").write_text("hidden")
    (corpus / "deep").mkdir()
    (corpus / "deep" / "f.rst").write_text("five")
    made = read(tmp_path, corpus, domain="", part_rows=3)
    rows: list[Document] = rows_of(made)
    assert [(row.source, row.title, row.text) for row in rows] == [
        ("a.md", "Salt", "The guild."),
        ("b.md", "A heading", "The road."),
        ("c.txt", "c", "# No heading"),
        ("d.jsonl:1", "T", "one"),
        ("d.jsonl:3", "", "two"),
        ("deep/f.rst", "f", "five"),
        ("e.parquet:1", "", "three"),
        ("e.parquet:2", "", "four"),
    ]
    assert (rows[0].author, rows[0].year, rows[3].domain, rows[6].year, rows[7].year) == ("Ora", "412", "d", "1", "")
    assert [part.counts.kept for part in made.manifest.parts] == [3, 3, 2]
    assert [part.counts.read for part in made.manifest.parts] == [3, 3, 3]
    assert made.manifest.counts.rejected == {"unknown_kind": 1}
    assert set(made.manifest.identity["files"]) == {"a.md", "b.md", "c.txt", "d.jsonl", "deep/f.rst", "e.parquet"}


@pytest.mark.parametrize(
    ("raw", "title", "text"),
    [
        (b"\xef\xbb\xbf---\ntitle: Salt\n---\nBody", "Salt", "Body"),
        (b"---\r\ntitle: Salt\r\n---\r\nOne\r\nTwo\r\n", "Salt", "One\nTwo"),
        (b"---  \ntitle: Salt\n---\t\nBody", "Salt", "Body"),
        (b"---\n---\nBody", "a", "---\n---\nBody"),
        (b"---\n# only a comment\n---\nBody", "a", "---\n# only a comment\n---\nBody"),
        (b"---\nonly words\n---\nBody", "a", "---\nonly words\n---\nBody"),
        (b"---\nOra: Who goes there?\n---\nBody", "a", "---\nOra: Who goes there?\n---\nBody"),
        (b"---\na: [\n---\nBody", "a", "---\na: [\n---\nBody"),
        (b"---\n- title\n---\nBody", "a", "---\n- title\n---\nBody"),
        (b"---\ntags: [a]\n---\nBody", "a", "Body"),
        (b"---\ntitle:\n---\nBody", "", "Body"),
        (b"---\ntitle: A\ntext: not this\n---\nBody", "A", "Body"),
        (b"---\ntitle: 2020-01-02\n2020: x\n---\nBody --- and\n---\nmore", "2020-01-02", "Body --- and\n---\nmore"),
        (b"\xef\xbb\xbf# Salt\r\nBody", "Salt", "Body"),
        (b"Body\n---\nnot: front\n---\n", "a", "Body\n---\nnot: front\n---"),
        (b"--- \nno end of it", "a", "--- \nno end of it"),
    ],
)
def test_front_matter_and_headings(tmp_path: Path, corpus: Path, raw: bytes, title: str, text: str) -> None:
    (corpus / "a.md").write_bytes(raw)
    (row,) = rows_of(read(tmp_path, corpus))
    assert (row.title, row.text) == (title, text)


def broken(name: str, raw: bytes) -> Callable[[Path], None]:
    def make(corpus: Path) -> None:
        (corpus / name).write_bytes(raw)

    return make


BROKEN = {
    "binary": (broken("b.txt", b"a\0b"), "b.txt: holds zero bytes", "binary"),
    "not utf-8": (broken("b.txt", b"caf\xe9"), "b.txt: is not UTF-8 at byte 3; convert it", "not_utf8"),
    "not utf-8 line": (
        broken("b.jsonl", b'{"text": "a"}\n{"text": "\xe9"}\n'),
        "b.jsonl:2: is not UTF-8 at byte 10",
        "not_utf8",
    ),
    "binary line": (broken("b.jsonl", b'{"text": "a"}\n\0\n'), "b.jsonl:2: holds zero bytes", "binary"),
    "json": (broken("b.jsonl", b'{"text": "a"}\n\n{"text": \n'), "b.jsonl:3: is not JSON", "broken_json"),
    "list": (broken("b.ndjson", b"[1]\n"), "b.ndjson:1: must be a JSON object; found list", "broken_json"),
    "no text": (
        broken("b.jsonl", b'{"body": "a", "id": 1}\n'),
        "b.jsonl:1: has no field 'text'; its fields are body, id",
        "no_text",
    ),
    "number": (broken("b.jsonl", b'{"text": 5}\n'), "b.jsonl:1: the field 'text' is int, not text", "no_text"),
    "yaml": (broken("b.md", b"---\ntitle: [\n---\nx"), "b.md: the front matter is not YAML", "broken_front_matter"),
    "date": (
        broken("b.md", b"---\nyear: 2020-13-45\n---\nx"),
        "b.md: the front matter is not YAML",
        "broken_front_matter",
    ),
    "parquet": (broken("b.parquet", b"PAR1 nothing PAR1"), "b.parquet: cannot be read as Parquet", "broken_parquet"),
    "no column": (
        lambda corpus: pq.write_table(pa.table({"body": ["a"]}), corpus / "b.parquet"),
        "b.parquet: has no column 'text'; its columns are body",
        "no_text",
    ),
    "too large": (
        broken("b.txt", b"x" * 2000),
        "b.txt: 2,000 bytes in one document; the most is `max_bytes` (1,000)",
        "too_large",
    ),
    "large line": (broken("b.jsonl", b'{"text": "a"}\n' + b"x" * 5000 + b"\n"), "b.jsonl:2: 5,001 bytes", "too_large"),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_a_broken_piece_stops_the_run_with_its_place_or_is_counted(tmp_path: Path, corpus: Path, case: str) -> None:
    make, message, reason = BROKEN[case]
    (corpus / "a.md").write_text("A good one.")
    make(corpus)
    with pytest.raises(InputError) as caught:
        read(tmp_path, corpus, max_bytes=1000)
    assert f"corpus/{message}" in str(caught.value)
    assert f"counted as {reason!r}, set `bad_input: reject`" in str(caught.value)
    made = read(tmp_path, corpus, max_bytes=1000, bad_input="reject")
    (reject,) = rejects_in(made)
    assert (reject.reason, reject.step, reject.kind) == (reason, "read_documents", "Document")
    assert reject.source.split(":")[0] == message.split(":")[0]
    counts = made.manifest.counts
    assert counts.rejected == {reason: 1}
    assert counts.read == counts.attempts == counts.kept + 1


def test_empty_pieces_never_stop_a_run_but_are_counted(tmp_path: Path, corpus: Path) -> None:
    (corpus / "a.md").write_text("A good one.")
    (corpus / "b.md").write_text("")
    (corpus / "c.md").write_text("---\ntitle: All head\n---")
    (corpus / "d.jsonl").write_text('{"text": null}\n{"text": "  "}\n\n')
    (corpus / "e.jsonl").write_text("")
    made = read(tmp_path, corpus)
    assert made.manifest.counts.rejected == {"empty": 4}
    assert [one.source for one in rejects_in(made)] == ["b.md", "c.md", "d.jsonl:1", "d.jsonl:2"]


def test_a_source_without_any_record_is_an_error(tmp_path: Path, corpus: Path) -> None:
    (corpus / "a.md").write_text(" \n")
    with pytest.raises(InputError, match=r"corpus: gave no record at all \(empty 1\); first: a\.md: holds no text"):
        read(tmp_path, corpus)
    (corpus / "a.md").unlink()
    (corpus / "a.jsonl").write_text("")
    with pytest.raises(InputError, match=r"gave no record at all \(no rows\); first: nothing to read"):
        read(tmp_path, corpus)


def test_a_path_that_is_not_there_and_a_folder_without_documents_are_errors(tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder; `path` is taken relative to the bill"):
        read(tmp_path, tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"corpus: has no documents: looked for \.md.* and found nothing"):
        read(tmp_path, corpus)
    (corpus / "a.pdf").write_text("x")
    (corpus / "Makefile").write_text("x")
    with pytest.raises(InputError, match=r"found \.pdf, Makefile"):
        read(tmp_path, corpus)


@pytest.mark.parametrize(("name", "kind"), [("one.json", "a .json"), ("one.csv", "a .csv"), ("one.pdf", "a .pdf")])
def test_a_single_file_of_another_kind_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_text('{"text": "x"}')
    with pytest.raises(InputError, match=rf"{name}: is {kind} file, which is not read; what is: \.md, .*\.parquet"):
        read(tmp_path, tmp_path / name, bad_input="reject")


def test_a_single_file_without_a_suffix_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("x")
    with pytest.raises(InputError, match="one: is a file without a suffix, which is not read"):
        read(tmp_path, tmp_path / "one")


def test_files_of_other_kinds_in_a_folder_are_counted(tmp_path: Path, corpus: Path) -> None:
    (corpus / "a.md").write_text("A text.")
    (corpus / "deep").mkdir()
    for name in ("deep/b.PDF", "c.csv", "Makefile", ".hidden.png"):
        (corpus / name).write_bytes(b"\0")
    made = read(tmp_path, corpus)
    assert made.manifest.counts.rejected == {"unknown_kind": 3}
    assert [(one.source, one.detail) for one in rejects_in(made)] == [
        ("Makefile", "a file without a suffix is not read"),
        ("c.csv", ".csv is not read"),
        ("deep/b.PDF", ".PDF is not read"),
    ]
    assert read(tmp_path, corpus, glob="**/*.md").manifest.counts.rejected == {}
    # Another one is counted; what is in it is nothing to the rows.
    (corpus / "c.csv").write_bytes(b"more")
    assert read(tmp_path, corpus).path == made.path
    (corpus / "d.csv").write_bytes(b"")
    assert read(tmp_path, corpus).manifest.counts.rejected == {"unknown_kind": 4}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"part_rows": 0}, "part_rows is 0"),
        ({"max_bytes": 0}, "max_bytes is 0"),
        ({"glob": ""}, "glob is empty"),
        ({"glob": " "}, "glob is empty"),
        ({"glob": "/data/*.md"}, "glob is '/data/\\*.md'; it is taken relative to `path`"),
        ({"glob": "C:\\*.md"}, "it is taken relative to `path`"),
    ],
)
def test_settings_that_can_never_work_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReadDocuments(path="x", **fields)  # type: ignore[arg-type]


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, corpus: Path, as_root: bool) -> None:
    if as_root:
        pytest.skip("root may read anything")
    (corpus / "a.md").write_text("x")
    (corpus / "a.md").chmod(0)
    with pytest.raises(InputError, match=r"a\.md: cannot be read: Permission denied; check its permissions"):
        read(tmp_path, corpus)


def test_a_file_gone_before_it_is_read_is_named(tmp_path: Path, corpus: Path) -> None:
    class Ghost(ReadDocuments):
        def files(self, root: Path) -> list[Path]:
            return [root / "ghost.md"]

    with pytest.raises(InputError, match=r"ghost\.md: cannot be read: No such file"):
        ingest(Ghost(path="x"), corpus, Runtime(root=tmp_path))


def test_one_file_may_be_the_whole_source(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("Alone.")
    made = read(tmp_path, tmp_path / "one.txt", domain="salt", license="CC0-1.0")
    assert [(row.source, row.domain, row.license) for row in rows_of(made)] == [("one.txt", "salt", "CC0-1.0")]


def test_other_names_of_columns(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_bytes(orjson.dumps({"body": "Text.", "name": "Title"}))
    made = read(tmp_path, tmp_path / "one.jsonl", text_field="body", title_field="name")
    assert [(row.text, row.title) for row in rows_of(made)] == [("Text.", "Title")]


def test_unchanged_files_are_not_read_again_and_changed_ones_are(tmp_path: Path, corpus: Path) -> None:
    (corpus / "a.md").write_text("One.")
    first = read(tmp_path, corpus)
    before = (first.path / "manifest.json").stat().st_mtime_ns
    shutil.move(corpus, tmp_path / "moved")
    again = read(tmp_path, tmp_path / "moved")
    assert again.path == first.path
    assert (first.path / "manifest.json").stat().st_mtime_ns == before
    (tmp_path / "moved" / "a.md").write_text("Two.")
    changed = read(tmp_path, tmp_path / "moved")
    assert changed.manifest.fingerprint != first.manifest.fingerprint
    (tmp_path / "moved" / "a.md").rename(tmp_path / "moved" / "b.md")
    assert read(tmp_path, tmp_path / "moved").manifest.fingerprint != changed.manifest.fingerprint
    assert read(tmp_path, tmp_path / "moved", domain="d").manifest.fingerprint != changed.manifest.fingerprint


def test_ids_do_not_depend_on_lines_or_names_of_files(tmp_path: Path, corpus: Path) -> None:
    lines = [orjson.dumps({"text": text}) + b"\n" for text in ("one", "two")]
    (corpus / "a.jsonl").write_bytes(b"".join(lines))
    before = {row.text: row.id for row in rows_of(read(tmp_path, corpus))}
    (corpus / "a.jsonl").write_bytes(b'{"text": "new"}\n' + b"".join(lines))
    (corpus / "a.jsonl").rename(corpus / "b.jsonl")
    after = {row.text: row.id for row in rows_of(read(tmp_path, corpus))}
    assert before.items() < after.items()


def test_equal_documents_are_rows_of_their_own_from_one_source(tmp_path: Path, corpus: Path) -> None:
    (corpus / "a.jsonl").write_bytes(b'{"text": "same"}\n{"text": "other"}\n{"text": "same"}\n')
    (corpus / "b.jsonl").write_bytes(b'{"text": "same"}\n')
    rows: list[Document] = rows_of(read(tmp_path, corpus, part_rows=2))
    first, other, *again = rows
    assert [row.source for row in rows] == ["a.jsonl:1", "a.jsonl:2", "a.jsonl:3", "b.jsonl:1"]
    assert [row.id for row in again] == [content_id(first.id, 1), content_id(first.id, 2)]
    assert {row.source_id for row in (first, *again)} == {first.id}
    assert other.source_id == other.id


def test_equal_texts_with_other_titles_are_of_one_source_too(tmp_path: Path, corpus: Path) -> None:
    for name in ("a", "b", "c"):
        (corpus / f"{name}.txt").write_text("The same.")
    (corpus / "d.jsonl").write_bytes(b'{"text": "The same.", "title": "b"}\n')
    rows: list[Document] = rows_of(read(tmp_path, corpus))
    first, second, third, fourth = rows
    assert [row.title for row in rows] == ["a", "b", "c", "b"]
    assert {row.source_id for row in rows} == {first.id}
    assert len({row.id for row in rows}) == 4
    assert fourth.id == content_id(second.id, 1)
    assert third.id == third.identified().id


def test_a_source_that_groups_its_records_is_left_to_it(tmp_path: Path, corpus: Path) -> None:
    class Chapters(ReadDocuments):
        def read(self, path: Path, name: str) -> Iterator[Document | BadInput]:
            for number in range(2):
                yield Document.new(text="Chapter.", source=f"{name}:{number}", source_id=path.stem)

    for name in ("one", "two"):
        (corpus / f"{name}.md").write_text("x")
    made = ingest(Chapters(path="x"), corpus, Runtime(root=tmp_path / "steps"))
    rows = rows_of(made)
    assert [row.source_id for row in rows] == ["one", "one", "two", "two"]
    assert len({row.id for row in rows}) == 4


def test_a_line_of_a_hundred_megabytes_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "dump.jsonl"
    with path.open("wb") as handle:
        handle.write(b'{"text": "before"}\n')
        handle.seek(100 * 1024 * 1024, 1)
        handle.write(b'\n{"text": "after"}\n')
    tracemalloc.start()
    try:
        made = read(tmp_path, path, max_bytes=1024 * 1024, bad_input="reject")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [row.text for row in rows_of(made)] == ["before", "after"]
    assert [(one.reason, one.source) for one in rejects_in(made)] == [("too_large", "dump.jsonl:2")]
    assert peak < 16 * 1024 * 1024


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1).map(lambda text: f"x{text}x"),
        min_size=1,
    )
)
def test_what_is_in_a_line_is_what_is_in_the_row(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    tmp_path = tmp_path_factory.mktemp("lines")
    (tmp_path / "a.jsonl").write_bytes(b"".join(orjson.dumps({"text": text}) + b"\n" for text in texts))
    assert [row.text for row in rows_of(read(tmp_path, tmp_path / "a.jsonl"))] == texts


def test_a_source_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="has no `files`"):
        Source(path="x").files(tmp_path)
    with pytest.raises(TypeError, match="has no `read`"):
        Source(path="x").read(tmp_path, "x")
