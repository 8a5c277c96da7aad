from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from filters import chunk
from filters.c4 import C4
from filters.fineweb import Fineweb
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from filters.length import Length
from filters.measured import REMEMBERED, Remembered, measured, texts_of
from filters.reading import Reading, read_in_chunks
from mashbill.records import Record
from mashbill.step import Filter


def lengths(texts: pa.LargeStringArray) -> Mapping[str, np.ndarray]:
    return {"length": np.array([len(text) for text in texts.to_pylist()], dtype=np.float64)}


def test_rules_of_a_stack_read_each_batch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counting(texts: pa.LargeStringArray) -> Iterator[Reading]:
        read.append(len(texts))
        return read_in_chunks(texts)

    monkeypatch.setattr("filters.chunk.read_in_chunks", counting)
    steps: list[Filter[Record]] = [GopherQuality(), GopherRepetition(), Fineweb(), C4()]
    frame = pl.DataFrame({"text": [f"only in this test {number}" for number in range(100)]})
    hits = [one.alias(f"reason {name}") for step in steps for name, one in step.reasons().items()]
    frame.lazy().with_columns(
        *hits, *[one.alias(name) for step in steps for name, one in step.scores().items()]
    ).collect()
    assert sum(read) == 100


def test_the_streaming_engine_gives_the_same() -> None:
    step = GopherRepetition()
    frame = pl.DataFrame({"text": [f"a b c {number % 7} a b c\nx\nx" for number in range(5000)]})
    query = frame.lazy().select(**step.scores())
    assert query.collect(engine="streaming").equals(query.collect())


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    some = ["a b a b " * 3, "", "x\n\nx", "日本 日本 " * 1000, "a b\na b"] * 3
    frame = pl.DataFrame({"text": some, "tokens": [text.split() for text in some]})
    for step in (GopherRepetition(), GopherRepetition(definitions="datatrove", words="tokens")):
        whole = frame.select(**step.scores())
        monkeypatch.setattr("filters.chunk.CHUNK_BYTES", 10)
        monkeypatch.setattr("filters.chunk.read_in_chunks", lambda texts: read_in_chunks(texts, 10))
        # Other bytes, so that no answer is remembered.
        again = pl.DataFrame({"text": [*some, "z"], "tokens": [*(text.split() for text in some), ["z"]]})
        assert again.select(**step.scores()).head(len(some)).equals(whole)
        monkeypatch.undo()


def test_a_batch_that_was_forgotten_is_read_again_with_the_same_answers() -> None:
    step = Length(min_words=1)
    frames = [pl.DataFrame({"text": ["salt " * number]}) for number in range(3 * chunk.REMEMBERED)]
    for _ in range(2):
        assert [frame.select(**step.scores())["words"][0] for frame in frames] == list(range(len(frames)))


def test_an_empty_table_has_no_numbers() -> None:
    frame = pl.DataFrame(schema={"text": pl.String, "tokens": pl.List(pl.String)})
    for step in (C4(), GopherRepetition(words="tokens")):
        assert frame.select(**step.scores()).height == 0


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
