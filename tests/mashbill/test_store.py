"""Stored steps: whole or absent, the same bytes for the same rows, the memory of a few parts however many there are."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.asker import Asker
from mashbill.counts import Counts
from mashbill.disk import abandoned, file_digest, replacing, write_bytes, write_json, write_parquet
from mashbill.engine import Reply, Request
from mashbill.errors import StoreError
from mashbill.execute import execute
from mashbill.filter_stack import FilterStack
from mashbill.ledger import Ledger
from mashbill.records import Document, to_table
from mashbill.runtime import Runtime
from mashbill.store import Stored, part_name
from tests.support.kernel import Echo, NoDigit, Shuffled, bytes_of, document, documents, reply, rows_of, store

HERE = Path(__file__).parents[2]


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_bytes(path, b"first")

    def torn() -> None:
        with replacing(path) as aside:
            aside.write_bytes(b"half")
            raise KeyError("in the middle")

    with pytest.raises(KeyError):
        torn()
    assert bytes_of(tmp_path) == {"deep/file": b"first"}


KILLED = """
import os, sys
from pathlib import Path
from mashbill.disk import replacing
with replacing(Path(sys.argv[1])) as aside:
    aside.write_bytes(b"half")
    print(aside.name, flush=True)
    os.kill(os.getpid(), 9) if sys.argv[2] == "dies" else sys.stdin.read()
"""


def test_what_a_killed_writer_left_goes_when_its_file_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    dead = subprocess.run([sys.executable, "-c", KILLED, str(path), "dies"], capture_output=True, text=True, cwd=HERE)
    assert dead.returncode == -9
    left = dead.stdout.strip()
    assert abandoned(left)
    write_bytes(tmp_path / "other", b"x")
    assert sorted(bytes_of(tmp_path)) == [left, "other"], "another file's is not touched"
    write_bytes(path, b"whole")
    assert sorted(bytes_of(tmp_path)) == ["file", "other"]


def test_what_a_living_writer_has_aside_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    command = [sys.executable, "-c", KILLED, str(path), "lives"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE) as living:
        assert living.stdout is not None
        theirs = living.stdout.readline().strip()
        write_bytes(path, b"whole")
        assert bytes_of(tmp_path) == {theirs: b"half", "file": b"whole"}
        living.communicate("")
    assert living.returncode == 0
    assert bytes_of(tmp_path) == {"file": b"half"}


def test_only_what_nobody_writes_any_more_is_abandoned(tmp_path: Path) -> None:
    with replacing(tmp_path / "file") as aside:
        aside.write_bytes(b"x")
        ours = aside.name
        assert not abandoned(ours)
    start, thread = ours.rsplit("-", 1)
    assert not abandoned(ours), "the thread lives"
    assert abandoned(f"{start}-1.tmp"), "a thread of an earlier process that had our number"
    machine = start.split(".")[-2]
    assert not abandoned(ours.replace(machine, "0" * 8).replace(f".{os.getpid()}-", f".{2**22 + 1}-"))
    assert abandoned(ours.replace(f".{os.getpid()}-", f".{2**22 + 1}-"))
    assert abandoned(ours.replace(f".{os.getpid()}-", f".{2**70}-"))
    assert not abandoned(f".file.{os.getppid()}-{thread}")
    assert not abandoned("file.tmp")


@pytest.mark.parametrize(("answer", "lives"), [(PermissionError, True), (ProcessLookupError, False)])
def test_a_process_of_somebody_else_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: type[OSError], lives: bool
) -> None:
    def kill(*_: int) -> None:
        raise answer

    with replacing(tmp_path / "file") as aside:
        aside.write_bytes(b"x")
        name = aside.name.replace(f".{os.getpid()}-", ".1-")
    monkeypatch.setattr(os, "kill", kill)
    assert abandoned(name) is not lives


def test_a_place_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"cannot write: .*free some space or mend the permissions, and run the same"):
        write_bytes(tmp_path / "file" / "under", b"x")


def test_json_is_readable_and_always_the_same(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": "é", "a": [1]})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": [\n    1\n  ],\n  "b": "é"\n}\n'


def test_the_same_rows_give_the_same_bytes_and_keep_the_schemas_metadata(tmp_path: Path) -> None:
    table = to_table(documents(5), Document).replace_schema_metadata({"kept": "yes"})
    for name in ("one", "two"):
        write_parquet(tmp_path / name, table, {"counts": "5"})
    assert file_digest(tmp_path / "one") == file_digest(tmp_path / "two")
    metadata = pq.read_schema(tmp_path / "one").metadata
    assert (metadata[b"counts"], metadata[b"kept"]) == (b"5", b"yes")


counts = st.builds(
    Counts,
    read=st.integers(0, 9),
    attempts=st.integers(0, 9),
    kept=st.integers(0, 9),
    rejected=st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    asks=st.integers(0, 9),
)


@given(counts, counts, counts)
def test_counts_add_in_any_order(one: Counts, two: Counts, three: Counts) -> None:
    assert one + two == two + one
    assert (one + two) + three == one + (two + three)
    assert (one + two).rejects == one.rejects + two.rejects
    assert list((one + two).rejected) == sorted((one + two).rejected)


def test_a_stored_step_reads_part_by_part_and_column_by_column(tmp_path: Path) -> None:
    stored = store(tmp_path, documents(6), part_rows=4)
    assert len(stored) == 2
    assert [table.num_rows for table in stored] == [4, 2]
    assert stored.table(1, ["id"]).column_names == ["id"]
    assert stored.rejects(0).num_rows == 0
    assert stored.part_paths() == [stored.path / part_name(index) for index in range(2)]
    assert stored.kind is Document
    assert Stored.finished(stored.path)


def test_a_stored_step_that_is_absent_broken_or_robbed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such stored step; run the bill that makes it first"):
        Stored.open(tmp_path / "nowhere")
    stored = store(tmp_path, documents(6))
    stored.part_paths()[0].unlink()
    with pytest.raises(StoreError, match=r"part-00000\.parquet: the manifest names it but it cannot be read"):
        stored.table(0)
    stored.part_paths()[1].write_bytes(b"x")
    with pytest.raises(StoreError, match="run the bill again: replies already paid for are in the ledger"):
        stored.table(1)
    (stored.path / "manifest.json").write_text('{"format": 1, "more": 2}')
    with pytest.raises(StoreError, match="is not a manifest this version can read"):
        Stored.open(stored.path)


def test_a_part_with_other_rows_than_were_counted_is_refused(tmp_path: Path) -> None:
    stored = store(tmp_path, documents(6))
    (first, _), refused = stored.part_paths(), stored.path / "rejects" / part_name(1)
    pq.write_table(pq.read_table(first).slice(0, 3), first)
    with pytest.raises(StoreError, match=f"it has 3 rows and 4 were written; remove {stored.path} and run the bill"):
        stored.table(0, ["id"])
    pq.write_table(pq.read_table(first), refused)
    with pytest.raises(StoreError, match=r"rejects/part-00001\.parquet: it has 3 rows and 0 were written"):
        stored.rejects(1)
    assert stored.table(1).num_rows == 2


def test_a_part_whose_bytes_changed_is_found_where_it_is_verified(tmp_path: Path) -> None:
    stored = store(tmp_path, documents(6))
    stored.verify(0)
    first, second = stored.part_paths()
    pq.write_table(pq.read_table(first), first, compression="none")
    assert stored.table(0).num_rows == 4
    with pytest.raises(StoreError, match=r"part-00000\.parquet: its bytes are not the ones that were written; remove"):
        stored.verify(0)
    second.unlink()
    with pytest.raises(StoreError, match="the manifest names it but it cannot be read"):
        stored.verify(1)


def test_a_full_disk_stops_the_run_and_keeps_the_parts_that_are_finished(tmp_path: Path) -> None:
    code = f"""
        import asyncio, random, resource
        from pathlib import Path
        from mashbill.errors import StoreError
        from mashbill.execute import execute
        from mashbill.runtime import Runtime
        from mashbill.filter_stack import FilterStack
        from mashbill.store import Stored
        from tests.support.kernel import NoDigit, document, store

        noise = random.Random(1)
        texts = ["short"] * 8 + ["".join(chr(noise.randrange(0x4E00, 0x9FFF)) for _ in range(20_000))]
        source = store(Path({str(tmp_path)!r}), [document(n, text) for n, text in enumerate(texts)])
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        stack = FilterStack(filters=(NoDigit(),))
        try:
            asyncio.run(execute(stack, source, Runtime(root=Path({str(tmp_path)!r}))))
        except StoreError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=HERE, capture_output=True, text=True, check=True
    )
    assert "part-00002.parquet: cannot write: " in done.stdout
    assert "what was finished before is kept: free some space" in done.stdout
    place = next((tmp_path / "no_digit").iterdir())
    assert [path.name for path in sorted(place.iterdir())] == ["part-00000.parquet", "part-00001.parquet", "rejects"]
    with pytest.raises(StoreError, match="did not finish"):
        Stored.open(place)
    source = Stored.open(next((tmp_path / "made_by_hand").iterdir()))
    mended = asyncio.run(execute(FilterStack(filters=(NoDigit(),)), source, Runtime(root=tmp_path)))
    assert [row.id for row in rows_of(mended)] == [row.id for row in rows_of(source)]


class Forgetful(Shuffled):
    """Keeps nothing of what it answered."""

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        for index in range(len(requests)):
            await asyncio.sleep(0)
            yield index, reply("A long tale. " * 20)


async def peak_of(root: Path, parts: int) -> int:
    """The most memory that running a generator and a filter over so many parts of 25 rows took."""
    source = store(root / "steps", [document(n, f"{n} " * 500) for n in range(parts * 25)], part_rows=25)
    ledger = Ledger(root / "ledger.sqlite")
    async with Asker(Forgetful(lambda _: reply(""), batch=8), ledger) as asker:
        runtime = Runtime(root=root / "steps", asker=asker, records_in_flight=10)
        tracemalloc.start()
        made = await execute(Echo(), source, runtime)
        await execute(FilterStack(filters=(NoDigit(),)), made, runtime)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    await ledger.close()
    return peak


async def test_ten_times_the_parts_take_no_more_memory(tmp_path: Path) -> None:
    await peak_of(tmp_path / "warm", 2)  # what is imported or cached on first use
    few = await peak_of(tmp_path / "few", 4)
    many = await peak_of(tmp_path / "many", 40)
    assert many < 2 * few
