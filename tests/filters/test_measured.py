from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from filters.gopher_repetition import GopherRepetition, measurement
from filters.measured import REMEMBERED, Remembered, measured, texts_of


def lengths(texts: pa.LargeStringArray) -> Mapping[str, np.ndarray]:
    return {"length": np.array([len(text) for text in texts.to_pylist()], dtype=np.float64)}


def test_a_stack_measures_each_batch_once() -> None:
    step = GopherRepetition()
    remembered = measurement((2, 3, 4), (5, 6, 7, 8, 9, 10))
    before = remembered.texts_measured
    frame = pl.DataFrame({"text": [f"only in this test {number}" for number in range(100)]})
    frame.lazy().with_columns(**step.reasons()).with_columns(**step.scores()).collect()
    assert remembered.texts_measured == before + 100


def test_the_streaming_engine_gives_the_same() -> None:
    step = GopherRepetition()
    frame = pl.DataFrame({"text": [f"a b c {number % 7} a b c\nx\nx" for number in range(5000)]})
    query = frame.lazy().select(**step.scores())
    assert query.collect(engine="streaming").equals(query.collect())


def test_another_batch_is_measured_anew_and_old_ones_are_forgotten() -> None:
    remembered = Remembered(lengths)
    for number in range(2 * REMEMBERED):
        batch = pa.array(["x" * number], pa.large_string())
        assert remembered(batch)["length"].tolist() == [number]
        assert remembered(batch)["length"].tolist() == [number]
    assert remembered.texts_measured == 2 * REMEMBERED
    assert remembered(pa.array([""], pa.large_string()))["length"].tolist() == [0]
    assert remembered.texts_measured == 2 * REMEMBERED + 1


def test_threads_share_one_measurement() -> None:
    remembered = Remembered(lengths)
    batch = pa.array(["salt", "guild"] * 1000, pa.large_string())
    threads = [threading.Thread(target=remembered, args=(batch,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert remembered.texts_measured == 2000


def test_nulls_and_chunks_become_one_array_of_texts() -> None:
    series = pl.concat([pl.Series(["a", None]), pl.Series(["b"])], rechunk=False)
    assert texts_of(series).to_pylist() == ["a", "", "b"]
    frame = pl.DataFrame({"text": series})
    assert frame.select(**measured(Remembered(lengths), "text", ["length"]))["length"].to_list() == [1, 0, 1]


def test_a_measurement_that_fails_fails_each_time() -> None:
    def broken(texts: pa.LargeStringArray) -> Mapping[str, np.ndarray]:
        raise ZeroDivisionError

    remembered = Remembered(broken)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            remembered(pa.array(["x"], pa.large_string()))
