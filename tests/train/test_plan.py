from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill.errors import BillError, StoreError
from train.plan import PLAN, PlanSpec, build_plan
from train.plan_manifest import PlanManifest

MakeTokens = Callable[..., pa.Table]
LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=12)


def rows_of(out: Path) -> list[list[dict[str, object]]]:
    rows: list[list[dict[str, object]]] = pq.read_table(out / PLAN).column("segments").to_pylist()
    return rows


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.dictionaries(st.sampled_from("abc"), LENGTHS, min_size=1),
    weights=st.lists(st.integers(1, 9), min_size=3, max_size=3),
    tokens=st.integers(1, 600),
    row=st.integers(2, 16),
    batch=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_a_plan_keeps_its_promises(
    make_tokens: MakeTokens,
    lengths: dict[str, list[int]],
    weights: list[int],
    tokens: int,
    row: int,
    batch: int,
    seed: int,
) -> None:
    shares = {name: float(weight) for name, weight in zip(sorted(lengths), weights, strict=False)}
    spec = PlanSpec(tokens=tokens, sequence_length=row, batch=batch, shares=shares, seed=seed)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        first = build_plan({name: [make_tokens(of)] for name, of in lengths.items()}, spec=spec, out=Path(one))
        # Again: streams named in another order, records in another order and in other parts.
        turned = {name: make_tokens(lengths[name]) for name in reversed(list(lengths))}
        parts = {
            name: [table.slice(len(table) // 2), table.slice(0, len(table) // 2)] for name, table in turned.items()
        }
        again = build_plan(
            parts, spec=PlanSpec(**{**vars(spec), "shares": dict(reversed(shares.items()))}), out=Path(two)
        )
        rows = rows_of(Path(one))
        assert rows == rows_of(Path(two))
        assert first == again
    assert all(sum(int(str(segment["length"])) for segment in packed) == row for packed in rows)
    assert first.tokens == first.rows * row == first.steps * batch * row
    assert tokens <= first.tokens < tokens + batch * row
    assert first.padding == 0
    for stream in first.streams.values():
        assert abs(stream.planned_tokens - stream.share_asked * first.tokens) < row


def test_another_seed_is_another_plan(make_tokens: MakeTokens, tmp_path: Path) -> None:
    plans = [
        build_plan(
            {"a": [make_tokens([9] * 20)]},
            spec=PlanSpec(tokens=100, sequence_length=10, batch=1, seed=seed),
            out=tmp_path / str(seed),
        )
        for seed in (0, 1)
    ]
    assert plans[0].hash != plans[1].hash
    assert rows_of(tmp_path / "0") != rows_of(tmp_path / "1")


def test_other_tokens_are_another_plan(make_tokens: MakeTokens, tmp_path: Path) -> None:
    spec = PlanSpec(tokens=100, sequence_length=10, batch=1)
    hashes = {
        build_plan({"a": [make_tokens(lengths)]}, spec=spec, out=tmp_path / str(number)).hash
        for number, lengths in enumerate([[5, 6], [6, 5], [5, 6, 7]])
    }
    assert len(hashes) == 3


def test_one_pass_then_stop_shows_every_token_once(make_tokens: MakeTokens, tmp_path: Path) -> None:
    spec = PlanSpec(tokens=10**6, sequence_length=16, batch=4, max_repetitions=1, when_exhausted="stop")
    manifest = build_plan({"a": [make_tokens([5, 40, 3, 17])]}, spec=spec, out=tmp_path)
    seen = Counter(
        (segment["record_id"], position)
        for row in rows_of(tmp_path)
        for segment in row
        for position in range(int(str(segment["start"])), int(str(segment["start"])) + int(str(segment["length"])))
    )
    assert len(seen) == 65
    assert set(seen.values()) == {1}
    assert (manifest.rows, manifest.padding) == (5, 15)
    assert manifest.streams["a"].exposures.min == manifest.streams["a"].exposures.max == 1.0


def test_stopping_keeps_the_shares(make_tokens: MakeTokens, tmp_path: Path) -> None:
    spec = PlanSpec(
        tokens=10**6, sequence_length=10, batch=1, shares={"a": 1, "b": 3}, max_repetitions=2, when_exhausted="stop"
    )
    manifest = build_plan({"a": [make_tokens([10] * 9)], "b": [make_tokens([10] * 15)]}, spec=spec, out=tmp_path)
    assert (manifest.streams["a"].rows, manifest.streams["b"].rows) == (10, 30)


def test_too_much_repetition_is_refused_with_numbers(make_tokens: MakeTokens, tmp_path: Path) -> None:
    spec = PlanSpec(tokens=1000, sequence_length=10, batch=1, max_repetitions=4)
    with pytest.raises(BillError, match=r"'a' holds 100 tokens .* 1,000 of it, 10\.00 times"):
        build_plan({"a": [make_tokens([10] * 10)]}, spec=spec, out=tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_a_finished_plan_is_kept_and_another_refused(make_tokens: MakeTokens, tmp_path: Path) -> None:
    spec = PlanSpec(tokens=100, sequence_length=10, batch=1)
    first = build_plan({"a": [make_tokens([9] * 9)]}, spec=spec, out=tmp_path)
    stamp = (tmp_path / PLAN).stat().st_mtime_ns
    assert build_plan({"a": [make_tokens([9] * 9)]}, spec=spec, out=tmp_path) == first
    assert (tmp_path / PLAN).stat().st_mtime_ns == stamp
    with pytest.raises(StoreError, match="give another directory"):
        build_plan({"a": [make_tokens([9] * 8)]}, spec=spec, out=tmp_path)
    assert PlanManifest.read(tmp_path) == first


@pytest.mark.parametrize(
    ("lengths", "message"), [([[3], [4]], "r0 2 times"), ([[]], "has no records"), ([[0]], "has no tokens")]
)
def test_a_broken_stream_is_refused(
    make_tokens: MakeTokens, tmp_path: Path, lengths: list[list[int]], message: str
) -> None:
    with pytest.raises(StoreError, match=message):
        build_plan({"a": [make_tokens(of) for of in lengths]}, spec=PlanSpec(tokens=10), out=tmp_path)


def test_an_unfinished_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not finished"):
        PlanManifest.read(tmp_path)


@pytest.mark.parametrize("wrong", [{"tokens": 0}, {"sequence_length": 1}, {"batch": 0}, {"max_repetitions": 0}])
def test_a_wrong_budget_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(BillError, match=next(iter(wrong))):
        PlanSpec(**{"tokens": 1, **wrong})  # type: ignore[arg-type]


def test_planning_needs_no_torch() -> None:
    code = "import sys, train.plan, train.render, train.run, train.recipe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
