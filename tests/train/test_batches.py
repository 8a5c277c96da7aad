from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from mashbill.errors import StoreError
from train.batches import IGNORED, PlanReader
from train.plan import PlanSpec, build_plan


def test_a_row_restarts_positions_and_masks_heads(make_tokens: Callable[..., pa.Table], tmp_path: Path) -> None:
    spec = PlanSpec(tokens=100, sequence_length=8, batch=1, max_repetitions=1, when_exhausted="stop")
    build_plan({"a": [make_tokens([4, 2])]}, spec=spec, out=tmp_path)
    reader = PlanReader(tmp_path)
    batch = reader.batch([0])
    assert batch.input_ids.tolist() == [[0, 1, 2, 3, 0, 1, 0, 0]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 0, 1, 0, 1]]
    assert batch.labels.tolist() == [[IGNORED, 1, 2, 3, IGNORED, 1, IGNORED, IGNORED]]
    assert reader.valid_tokens(0) == 4
    assert reader.tokens_until(1) == 6


def test_a_split_record_goes_on_where_it_was_cut(make_tokens: Callable[..., pa.Table], tmp_path: Path) -> None:
    build_plan({"a": [make_tokens([10])]}, spec=PlanSpec(tokens=10, sequence_length=5, batch=2), out=tmp_path)
    batch = PlanReader(tmp_path).batch([0, 1])
    assert sorted(batch.input_ids.tolist()) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_valid_tokens_are_the_labels_that_count(plan_dir: Path) -> None:
    reader = PlanReader(plan_dir)
    for step in range(reader.steps):
        labels = reader.batch(list(reader.rows_of(step))).labels
        assert reader.valid_tokens(step) == int((labels != IGNORED).sum())


def test_a_row_of_padding_weighs_nothing(plan_dir: Path) -> None:
    batch = PlanReader(plan_dir).batch([None, 3])
    assert torch.all(batch.labels[0] == IGNORED)
    assert torch.any(batch.labels[1] != IGNORED)


def test_streams_and_domains_are_told_apart(plan_dir: Path) -> None:
    reader = PlanReader(plan_dir)
    assert reader.streams == ["made", "web"]
    assert reader.domains == ["made", "more", "web"]
    batch = reader.batch(list(range(24)))
    assert {(a, b) for a, b in zip(batch.stream.flatten().tolist(), batch.domain.flatten().tolist(), strict=True)} == {
        (0, 0),
        (0, 1),
        (1, 2),
    }
    assert np.mean(batch.stream.numpy() == 1) == 0.25


def test_a_plan_that_lost_rows_is_refused(plan_dir: Path, tmp_path: Path) -> None:
    for file in plan_dir.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"rows": 72', '"rows": 73'))
    with pytest.raises(StoreError, match="72 rows and its manifest says 73"):
        PlanReader(tmp_path)
    (tmp_path / "tokens.arrow").write_bytes(b"")
    with pytest.raises(StoreError, match=r"tokens\.arrow: cannot be read"):
        PlanReader(tmp_path)
