"""New batches held against rows that were released before."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import datasketch
import numpy as np
import pyarrow.parquet as pq
import pytest

from filters.earlier import FILE, Earlier, write_index
from filters.exact_dedup import ExactDedup
from filters.indexes import Indexes
from filters.lean_minhash import lean_bytes, read_lean, write_signatures
from filters.minhash_dedup import MinhashDedup
from filters.spool import Spool
from mashbill.errors import BillError, InputError
from mashbill.fingerprint import fingerprint, step_identity
from mashbill.records import QA, Document, Record, to_table
from tests.filters.dedup_support import run_any
from tests.filters.support import MemoryParts, doc, flat, run, scored
from tests.filters.test_minhash_dedup import exact, families, near_copy
from tests.filters.texts import random_text


def indexed(folder: Path, rows: list[Any], kind: type[Record] = Document, step: MinhashDedup | None = None) -> str:
    middle = len(rows) // 2
    parts = [MemoryParts([to_table(rows[:middle], kind)]), MemoryParts([to_table(rows[middle:], kind)])]
    assert write_index(parts, folder, step or MinhashDedup()) == len(rows)
    return str(folder)


def test_a_near_copy_of_a_released_row_goes_and_names_it(tmp_path: Path) -> None:
    draw = random.Random(1)
    words = random_text(draw, 200)
    old, other = doc(" ".join(words)), doc(" ".join(random_text(draw, 50)))
    new = [scored(doc(" ".join(near_copy(words, 3, draw))), q=9.0), doc("something else altogether is said here")]
    step = MinhashDedup(score="q", against=indexed(tmp_path / "i", [old, other]))
    kept, rejects = run(step, [new])
    assert flat(kept) == [new[1]]
    (gone,) = rejects
    assert (gone["reason"], gone["kept_id"], gone["cluster"]) == ("near_duplicate_of_earlier", old.id, old.id)
    assert gone["value"] == exact(old, new[0])


def test_a_release_and_a_batch_are_decided_as_if_the_release_came_first(tmp_path: Path) -> None:
    for seed in range(6):
        old, new = families(seed), families(seed + 1)
        shared = [*old, *new]
        random.Random(seed).shuffle(shared)
        batch = shared[: len(new)]
        kept_old, _ = run(MinhashDedup(), [old])
        folder = indexed(tmp_path / f"{seed}", flat(kept_old))
        kept, rejects = run(MinhashDedup(against=folder), [batch])
        first = [scored(row, rank=1.0) for row in flat(kept_old)]
        both, others = run(MinhashDedup(score="rank"), [first, [dataclasses.replace(row, scores=()) for row in batch]])
        assert sorted(row.id for row in both[1]) == sorted(row.id for row in flat(kept))
        assert sorted((str(row["id"]), row["value"]) for row in rejects) == sorted(
            (str(row["id"]), row["value"]) for row in others
        )


def test_an_exact_copy_of_a_released_row_goes(tmp_path: Path) -> None:
    folder = indexed(tmp_path / "i", [doc("The salt guild."), doc("")])
    kept, rejects = run(ExactDedup(against=folder), [[doc("the  SALT guild."), doc("Other"), doc("other")]])
    assert [row.text.lower() for row in flat(kept)] == ["other"]
    assert sorted(str(row["reason"]) for row in rejects) == ["exact_duplicate", "exact_duplicate_of_earlier"]


def test_a_released_question_with_another_answer_is_a_conflict(tmp_path: Path) -> None:
    old = [QA.new(question="Six times twelve?", answer="72")]
    new = [QA.new(question="six times  twelve?", answer="74"), QA.new(question="Six times twelve?", answer="72.")]
    folder = indexed(tmp_path / "i", old, QA)
    for row, reason in zip(new, ("conflicts_with_earlier", "exact_duplicate_of_earlier"), strict=True):
        kept, rejects = run_any(ExactDedup(against=folder), [[row]], QA)
        assert (kept, [one["reason"] for one in rejects]) == ([], [reason])
        assert rejects[0]["cluster"] == old[0].id
    near = MinhashDedup(against=folder, shingle_words=5)
    assert [len(run_any(near, [[row]], QA)[0]) for row in new] == [1, 0]


def test_what_an_index_holds_is_identity_and_where_it_lies_is_not(tmp_path: Path) -> None:
    one, same = (indexed(tmp_path / name, [doc("a b c")]) for name in "ab")
    other = indexed(tmp_path / "c", [doc("a b d")])

    def of(folder: str) -> list[str]:
        return [fingerprint(step_identity(step)) for step in (MinhashDedup(against=folder), ExactDedup(against=folder))]

    assert of(one) == of(same) != of(other) != of("")


def test_an_index_that_does_not_fit_says_why(tmp_path: Path) -> None:
    folder = indexed(tmp_path / "i", [doc("a b c")])
    with pytest.raises(BillError, match="is an index with shingle_words 5, and the step has 3"):
        run(MinhashDedup(against=folder, shingle_words=3), [[doc("x")]])
    with pytest.raises(BillError, match="with kind Document, and the step has QA"):
        run_any(ExactDedup(against=folder), [[QA.new(question="q", answer="a")]], QA)
    with pytest.raises(InputError, match=r"no index\.json there; make an index with `mashbill dedup index`"):
        MinhashDedup(against=str(tmp_path / "none"))
    (Path(folder) / FILE).write_text(json.dumps({"format": 9}))
    with pytest.raises(InputError, match="is not an index this version can read"):
        ExactDedup(against=folder)
    mixed = [
        MemoryParts([to_table([doc("a")], Document)]),
        MemoryParts([to_table([QA.new(question="q", answer="")], QA)]),
    ]
    with pytest.raises(BillError, match="one record type; found Document, QA"):
        write_index(mixed, tmp_path / "m", MinhashDedup())
    assert not (tmp_path / "m" / FILE).exists()


def test_an_empty_index_removes_nothing(tmp_path: Path) -> None:
    assert write_index([MemoryParts([])], tmp_path / "i", MinhashDedup()) == 0
    rows = [doc("a b c d e f")]
    for step in (MinhashDedup(against=str(tmp_path / "i")), ExactDedup(against=str(tmp_path / "i"))):
        assert run(step, [rows]) == ([rows], [])
    assert Earlier.open(tmp_path / "i").settings.rows == 0


def test_signatures_are_read_by_datasketch_and_read_back(tmp_path: Path) -> None:
    rows = [
        doc("the salt guild of Veylund held nineteen pans"),
        doc("the salt guild of Veylund held twenty pans"),
        doc(""),
    ]
    step = MinhashDedup(num_perm=64, seed=7, shingle_words=2)
    parts = MemoryParts([to_table(rows[:2], Document), to_table(rows[2:], Document)])
    assert write_signatures(parts, tmp_path / "s", step) == 3
    table = pq.read_table(tmp_path / "s")
    assert table.column("id").to_pylist() == [row.id for row in rows]
    values = table.column("lean_minhash").to_pylist()
    theirs = [datasketch.LeanMinHash.deserialize(value) for value in values]
    assert (theirs[0].seed, theirs[0].scheme, len(theirs[0])) == (7, "affine32", 64)
    made, seed = read_lean(values)
    assert seed == 7
    assert [one.hashvalues.tolist() for one in theirs] == made.tolist()
    buffer = bytearray(theirs[0].bytesize())
    theirs[0].serialize(buffer)
    assert bytes(buffer) == values[0] == lean_bytes(made, 7)[0].as_py()
    index = datasketch.MinHashLSH(threshold=0.2, num_perm=64)
    index.insert("old", theirs[0])
    assert index.query(theirs[1]) == ["old"]


def test_bytes_that_are_no_such_signature_are_refused() -> None:
    legacy = datasketch.LeanMinHash(seed=1, hashvalues=[1, 2], scheme="legacy")
    buffer = bytearray(legacy.bytesize())
    legacy.serialize(buffer)
    assert (read_lean([])[0].shape, read_lean([])[1], len(lean_bytes(read_lean([])[0]))) == ((0, 0), 1, 0)
    with pytest.raises(ValueError, match="value 0 is no LeanMinHash of the scheme affine32"):
        read_lean([bytes(buffer)])
    with pytest.raises(ValueError, match="value 0 is no LeanMinHash"):
        read_lean([b"x"])
    one, two = (lean_bytes(np.ones((1, 2), np.uint32), seed)[0].as_py() for seed in (1, 2))
    with pytest.raises(ValueError, match=r"seeds \[1, 2\]"):
        read_lean([one, two])


def test_several_indexes_are_held_against_as_one_of_all_their_rows(tmp_path: Path) -> None:
    for seed in range(4):
        old, new = families(seed), families(seed + 1)
        third = len(old) // 3
        some = [old[:third], old[third : 2 * third], old[third // 2 :]]  # the last holds rows of the others again
        whole = list({row.id: row for rows in reversed(some) for row in reversed(rows)}.values())
        one = indexed(tmp_path / f"{seed}-all", whole)
        several = tuple(indexed(tmp_path / f"{seed}-{at}", rows) for at, rows in enumerate(some))
        for step in (MinhashDedup, ExactDedup):
            made: list[Any] = [run(step(against=against), [[*new, *old[:3]]]) for against in (one, several)]
            assert made[0] == made[1]
            assert any(str(row["reason"]).endswith("_of_earlier") for row in made[0][1])


def test_one_index_in_a_list_is_that_index(tmp_path: Path) -> None:
    folder = indexed(tmp_path / "i", [doc("a b c")])
    other = indexed(tmp_path / "j", [doc("d e f")])
    alone, listed, both = (MinhashDedup(against=one).against_digest for one in (folder, (folder,), (folder, other)))
    assert alone == listed
    assert both == alone + ExactDedup(against=other).against_digest
    assert (MinhashDedup(against=()).against_digest, Indexes.open("").sharing(Spool(1, np.uint64, 8))) == ("", None)
    with pytest.raises(InputError, match=r"k: no index\.json"):
        ExactDedup(against=(folder, str(tmp_path / "k")))
