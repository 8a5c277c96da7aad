"""Plans of supervised tuning: nothing cut, nothing lost, both views together, and every rejected row listed."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill.errors import BillError, StoreError
from mashbill.records import QA, Instruction, Rationale
from tests.train.supervised_plans import plan, questions, supervision, tables, worked
from train.batches import PlanReader
from train.pack_whole import LOOKAHEAD, Unit, batches
from train.plan import PLAN, PlanSpec
from train.plan_manifest import PlanManifest
from train.supervised_plan import REJECTED, build_supervised_plan
from train.tokenizer import StudentTokenizer


def units(lengths: list[tuple[int, ...]]) -> Iterator[Unit]:
    return (Unit("s", number, 0, each) for number, each in enumerate(lengths))


VIEWS = st.integers(1, 2).flatmap(
    lambda views: st.lists(st.tuples(*[st.integers(1, 12)] * views), min_size=1, max_size=60)
)


@given(VIEWS, st.integers(2, 5))
def test_every_example_is_placed_once_whole_with_its_views_in_one_step(
    lengths: list[tuple[int, ...]], rows: int
) -> None:
    made = list(batches(units(lengths), rows=rows, row_length=12, steps=10**6))
    placed: Counter[tuple[int, int]] = Counter()
    steps: dict[int, set[int]] = defaultdict(set)
    for step, batch in enumerate(made):
        assert len(batch) == rows
        for row in batch:
            assert sum(one.length for one in row) <= 12
            for one in row:
                placed[one.unit.record, one.view] += 1
                steps[one.unit.record].add(step)
    assert placed == Counter((number, view) for number, each in enumerate(lengths) for view in range(len(each)))
    assert all(len(where) == 1 for where in steps.values())


@given(st.lists(st.integers(1, 30), min_size=1, max_size=200), st.integers(1, 4))
def test_the_first_that_waits_is_always_next(lengths: list[int], rows: int) -> None:
    left = set(range(len(lengths)))
    for batch in batches(units([(length,) for length in lengths]), rows=rows, row_length=30, steps=10**6):
        mine = {one.unit.record for row in batch for one in row}
        assert min(left) in mine
        left -= mine
        # None is taken from further ahead than the window: what fills the batch, and `LOOKAHEAD` more.
        assert not left or max(mine) <= min(left) + rows * 30 + LOOKAHEAD
    assert not left


def test_gaps_are_filled_from_a_little_later() -> None:
    (first, second) = batches(units([(6,), (9,), (4,), (1,), (8,)]), rows=2, row_length=10, steps=9)
    assert [sorted(one.length for one in row) for row in first] == [[4, 6], [1, 9]]
    assert [[one.length for one in row] for row in second] == [[8], []]


def test_an_example_that_does_not_fit_whole_leaves_its_room_to_others() -> None:
    first = next(batches(units([(9,), (5, 6), (10,)]), rows=2, row_length=10, steps=9))
    assert [[one.length for one in row] for row in first] == [[9], [10]]


def segments(out: Path) -> list[list[dict[str, Any]]]:
    listed: list[list[dict[str, Any]]] = pq.read_table(out / PLAN).column("segments").to_pylist()
    return listed


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.dictionaries(st.sampled_from("abc"), st.integers(1, 20), min_size=1),
    weights=st.lists(st.integers(1, 9), min_size=3, max_size=3),
    tokens=st.integers(1, 4000),
    target=st.sampled_from(["answer_only", "multitask", "full_cot"]),
    batch=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_a_supervised_plan_keeps_its_promises(
    tokenizer: StudentTokenizer, sizes: dict[str, int], weights: list[int], tokens: int, target: Any, batch: int,
    seed: int,
) -> None:  # fmt: skip
    streams: dict[str, list[Any]] = {
        name: worked(size, seed=number) for number, (name, size) in enumerate(sorted(sizes.items()))
    }
    shares = {name: float(weight) for name, weight in zip(sorted(sizes), weights, strict=False)}
    spec = PlanSpec(tokens=tokens, sequence_length=240, batch=batch, shares=shares, seed=seed)
    learn = supervision(target)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        made = tables(streams, tokenizer, learn, sequence=240, batch=batch)
        first = build_supervised_plan(made, spec=spec, supervision=learn, out=Path(one))
        # Again: streams named in another order, rows in another order and in other parts.
        parts = {name: _turned(made[name], len(learn.views)) for name in reversed(sorted(made))}
        other = PlanSpec(**{**vars(spec), "shares": dict(reversed(shares.items()))})
        again = build_supervised_plan(parts, spec=other, supervision=learn, out=Path(two))
        rows = segments(Path(one))
        assert rows == segments(Path(two))
        assert first == again
    assert len(rows) == first.rows == first.steps * batch
    assert tokens <= first.rows * 240 < tokens + batch * 240
    used = [sum(segment["length"] for segment in row) for row in rows]
    assert max(used) <= 240
    assert first.padding == sum(240 - length for length in used)
    assert all(segment["start"] == 0 for row in rows for segment in row)
    longest = max(
        sum(len(ids) for ids in table.column("tokens").to_pylist()) for parts in made.values() for table in parts
    )
    for name, stream in first.streams.items():
        # A stream is at most an example ahead or behind when drawn; what waits at the end is within the window.
        assert abs(stream.planned_tokens - stream.share_asked * first.tokens) <= batch * 240 + longest, name


def _turned(parts: list[pa.Table], views: int) -> list[pa.Table]:
    whole = pa.concat_tables(parts)
    half = whole.num_rows // 2 // views * views
    return [whole.slice(half), whole.slice(0, half)] if half else [whole]


def test_one_pass_shows_every_example_once_whatever_the_streams(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    streams: dict[str, list[Any]] = {"a": worked(23), "b": worked(9, seed=1), "c": questions(31)}
    manifest = plan(
        {"a": streams["a"], "b": streams["b"]}, tokenizer, supervision("multitask"), tmp_path / "two",
        tokens=10**7, max_repetitions=1, when_exhausted="stop",
    )  # fmt: skip
    seen = Counter((one["stream"], one["record_id"], one["view"]) for row in segments(tmp_path / "two") for one in row)
    assert set(seen.values()) == {1}
    assert len(seen) == 2 * (23 + 9)
    assert manifest.supervised is not None
    assert manifest.supervised.examples == 32
    reader = PlanReader(tmp_path / "two")
    assert sum(len(reader.rows_of(step)) for step in range(reader.steps)) == manifest.rows
    (tmp_path / "three").mkdir()
    three = plan(streams, tokenizer, supervision(), tmp_path / "three", tokens=10**7, max_repetitions=3,
                 when_exhausted="stop")  # fmt: skip
    assert {one.exposures.min for one in three.streams.values()} == {3.0}
    assert {one.exposures.max for one in three.streams.values()} == {3.0}


def test_both_views_of_an_example_are_in_one_step(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    plan({"w": worked(50)}, tokenizer, supervision("multitask"), tmp_path)
    table = pq.read_table(tmp_path / PLAN)
    views: dict[tuple[int, str, int], set[str]] = defaultdict(set)
    for step, row in zip(table.column("step").to_pylist(), table.column("segments").to_pylist(), strict=True):
        for one in row:
            views[step, one["record_id"], one["epoch"]].add(one["view"])
    assert len(views) > 50
    assert set(map(frozenset, views.values())) == {frozenset({"predict", "explain"})}


def test_rows_that_cannot_be_learned_are_counted_and_listed(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    rows = [
        Rationale.new(question="Who?", rationale="She led it.", answer="Ora"),
        Rationale.new(question="Who else?", rationale="x" * 400, answer="Venn"),
        Rationale.new(question="And?", rationale=" ", answer="Venn"),
        Rationale.new(question="But?", rationale="Because.", answer=""),
        Rationale.new(question="", rationale="Because.", answer="salt"),
        Rationale.new(question="Which?", options=tuple(map(str, range(27))), rationale="So.", answer="3"),
    ]
    manifest = plan({"w": rows}, tokenizer, supervision("full_cot"), tmp_path)
    reasons = {"no_answer": 1, "no_question": 1, "no_rationale": 1, "too_long": 1, "too_many_options": 1}
    assert manifest.supervised is not None
    assert manifest.supervised.rejected == {"w": reasons}
    listed = {row["reason"]: row for row in pq.read_table(tmp_path / REJECTED).to_pylist()}
    assert listed["too_long"]["record_id"] == rows[1].id
    assert listed["too_long"]["detail"].endswith("tokens; the longest that is taken has 160")
    assert manifest.streams["w"].records == 1
    # An answer alone needs no rationale and is short.
    alone = plan({"w": rows}, tokenizer, supervision(), tmp_path / "alone").supervised
    assert alone is not None
    assert alone.rejected == {"w": {"no_answer": 1, "no_question": 1, "too_many_options": 1}}


def test_a_limit_below_the_sequence_is_kept(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    manifest = plan({"w": worked(30)}, tokenizer, supervision("full_cot", max_length=60), tmp_path)
    assert manifest.supervised is not None
    assert manifest.supervised.longest <= 60
    assert manifest.supervised.rejected["w"]["too_long"] == 30 - manifest.streams["w"].records > 0


def test_two_views_longer_than_a_batch_of_one_row_are_rejected(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    rows = [Rationale.new(question="Who?", rationale="y" * length, answer="Ora") for length in (10, 100)]
    manifest = plan({"w": rows}, tokenizer, supervision("multitask"), tmp_path, batch=1)
    assert manifest.supervised is not None
    assert manifest.supervised.rejected == {"w": {"too_long": 1}}
    assert (plan({"w": rows}, tokenizer, supervision("multitask"), tmp_path / "two", batch=2).streams["w"].records) == 2


def test_a_stream_of_which_nothing_is_left_is_refused_with_the_reasons(
    tokenizer: StudentTokenizer, tmp_path: Path
) -> None:
    with pytest.raises(BillError, match=r"stream 'q': no row of it can be learned \(no_rationale 3\)"):
        plan({"q": questions(3)}, tokenizer, supervision("full_cot"), tmp_path)
    with pytest.raises(BillError, match=r"too_long 3.*raise sequence_length"):
        plan({"q": questions(3)}, tokenizer, supervision(), tmp_path, sequence_length=16)
    assert not (tmp_path / "manifest.json").exists()


def test_too_much_repetition_is_refused_with_numbers(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    with pytest.raises(BillError, match=r"'q' holds .* times; max_repetitions is 2"):
        plan({"q": questions(3)}, tokenizer, supervision(), tmp_path, max_repetitions=2)


def test_a_record_twice_is_refused(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="deduplicate"):
        plan({"q": questions(3) * 2}, tokenizer, supervision(), tmp_path)


def test_what_decides_the_order_and_the_mask_decides_the_hash(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    rows = worked(10, each=2)
    specs = [
        supervision("full_cot"),
        supervision("full_cot", per_question="natural"),
        supervision("full_cot", answer_lead="\nSo: "),
        supervision("multitask"),
        supervision("multitask", alpha=0.7),
        supervision("answer_only"),
    ]
    hashes = [plan({"w": rows}, tokenizer, spec, tmp_path / str(at)).hash for at, spec in enumerate(specs)]
    hashes.append(plan({"w": rows}, tokenizer, specs[0], tmp_path / "seed", seed=1).hash)
    assert len(set(hashes)) == len(hashes)
    again = plan({"w": rows}, tokenizer, specs[0], tmp_path / "0")
    assert again == PlanManifest.read(tmp_path / "0")
    with pytest.raises(StoreError, match="give another directory"):
        plan({"w": rows}, tokenizer, specs[1], tmp_path / "0")


def test_questions_instructions_and_rationales_stand_in_one_plan(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    told = [Instruction.new(text=f"Say {word}.", context="Be brief.", response=word) for word in ("salt", "rye", "oak")]
    streams: dict[str, list[Any]] = {"told": told, "qa": questions(5), "worked": worked(5)}
    manifest = plan(streams, tokenizer, supervision(), tmp_path, shares={"told": 1, "qa": 1, "worked": 2})
    assert all(abs(one.share - one.share_asked) < 0.02 for one in manifest.streams.values())
    assert [one.share_asked for one in manifest.streams.values()] == [0.25, 0.25, 0.5]
    reader = PlanReader(tmp_path)
    texts = {tokenizer.decode(reader.store.tokens(number).tolist()) for number in range(len(reader.store))}
    assert "Be brief.\n\nQuestion: Say salt.\nAnswer: salt" in texts


def test_options_stand_in_the_prompt_and_may_be_answered_by_letter(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    options = ("salt", "Oak")
    rows = [
        QA.new(question="Which?", options=options, answer="oak"),
        QA.new(question="Which now?", options=options, answer="A"),
        QA.new(question="Which then?", options=options, answer="rye"),
    ]
    manifest = plan({"q": rows}, tokenizer, supervision(choices="letter"), tmp_path)
    reader = PlanReader(tmp_path)
    texts = sorted(tokenizer.decode(reader.store.tokens(number).tolist()) for number in range(len(reader.store)))
    assert texts == [
        "Question: Which now?\n\nA) salt\nB) Oak\nAnswer: A",
        "Question: Which?\n\nA) salt\nB) Oak\nAnswer: B",
    ]
    assert manifest.supervised is not None
    assert manifest.supervised.rejected == {"q": {"answer_not_an_option": 1}}


def test_packing_leaves_little_padding() -> None:
    lengths: list[tuple[int, ...]] = [(3 + (7919 * number) % 97,) for number in range(4000)]
    made = list(batches(units(lengths), rows=8, row_length=512, steps=40))
    used = sum(one.length for batch in made for row in batch for one in row)
    assert used / (40 * 8 * 512) > 0.99
