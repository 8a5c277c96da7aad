"""Rows of several stored inputs read together: none lost, none twice, and the same bytes again."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill.errors import StoreError
from mashbill.execute import execute
from mashbill.filter_stack import FilterStack
from mashbill.join import join
from mashbill.records import QA, Triple
from mashbill.release import way_of
from mashbill.runtime import Runtime
from mashbill.store import Stored
from tests.support.kernel import NoDigit, bytes_of, document, documents, rejects_in, rows_of, store


async def test_rows_of_several_inputs_are_read_in_their_order(tmp_path: Path) -> None:
    one, two = store(tmp_path, documents(5), step="one"), store(tmp_path, [document(9), document(7)], step="two")
    made = join([one, two], Runtime(root=tmp_path))
    assert [row.source for row in rows_of(made)] == ["000.txt", "001.txt", "002.txt", "003.txt", "004.txt", "009.txt",
                                                     "007.txt"]  # fmt: skip
    assert (made.manifest.counts.read, made.manifest.counts.kept) == (7, 7)
    assert [place.split("/")[0] for place in made.manifest.inputs] == ["one", "two"]


async def test_a_row_of_two_inputs_is_taken_once_and_said_to_be(tmp_path: Path) -> None:
    one, two = store(tmp_path, documents(3), step="one"), store(tmp_path, documents(4), step="two")
    made = join([one, two], Runtime(root=tmp_path))
    assert len(rows_of(made)) == 4
    assert made.manifest.counts.rejected == {"same_row": 3}
    assert {reject.kept_id for reject in rejects_in(made)} == {row.id for row in documents(3)}


@settings(deadline=None, max_examples=15)
@given(sizes=st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=6, unique=True), min_size=1, max_size=4))
def test_what_is_read_is_kept_or_rejected(tmp_path_factory: pytest.TempPathFactory, sizes: list[list[int]]) -> None:
    root = tmp_path_factory.mktemp("join")
    inputs = [store(root, [document(n) for n in numbers], step=f"in{at}") for at, numbers in enumerate(sizes)]
    counts = join(inputs, Runtime(root=root)).manifest.counts
    assert counts.read == counts.kept + counts.rejects == sum(len(numbers) for numbers in sizes)
    assert counts.kept == len({number for numbers in sizes for number in numbers})


async def test_joining_again_opens_what_is_there_and_another_order_is_another_input(tmp_path: Path) -> None:
    one, two = store(tmp_path, documents(3), step="one"), store(tmp_path, [document(9)], step="two")
    made = join([one, two], Runtime(root=tmp_path))
    before = bytes_of(made.path)
    assert join([one, two], Runtime(root=tmp_path)).path == made.path
    assert bytes_of(made.path) == before
    assert join([two, one], Runtime(root=tmp_path)).path != made.path


async def test_rows_of_two_types_are_not_read_together(tmp_path: Path) -> None:
    one = store(tmp_path, documents(1), step="one")
    two = store(tmp_path, [Triple.new(head="a", relation="b", tail="c")], step="two")
    with pytest.raises(StoreError, match="rows of Document, Triple cannot be read together"):
        join([one, two], Runtime(root=tmp_path))


async def test_rows_stored_with_fewer_columns_get_the_others(tmp_path: Path) -> None:
    one = store(tmp_path, [QA.new(question="Who?", answer="Ora")], step="one")
    path = one.part_paths()[0]
    pq.write_table(pq.read_table(path).drop_columns(["is_stem"]), path)
    made = join(
        [Stored.open(one.path), store(tmp_path, [QA.new(question="When?", answer="412")])], Runtime(root=tmp_path)
    )
    assert [row.is_stem for row in rows_of(made)] == [None, None]


def _stack(digit: str) -> FilterStack:
    return FilterStack(filters=(NoDigit(digit=digit),))


async def test_the_way_of_a_step_names_all_it_was_made_from_once(tmp_path: Path) -> None:
    one, two = store(tmp_path, documents(2), step="one"), store(tmp_path, documents(5), step="two")
    runtime = Runtime(root=tmp_path)
    left, right = await execute(_stack("7"), one, runtime), await execute(_stack("3"), one, runtime)
    made = await execute(_stack("4"), join([left, right, two], runtime), runtime)
    way = [stored.manifest.step for stored in way_of(made, tmp_path)]
    assert way.count("one") == 1
    assert way[-2:] == ["join", "no_digit"]
    assert len(way) == 6
