from __future__ import annotations

import doctest
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from mashbill.embedding import load_embedder, unit_rows
from mashbill.records import Instruction, Score, Verdict
from synth import hop_measures
from synth.hop_measures import centres_of, diversity, drawn, measure
from tests.support.kernel import store
from tests.synth.hop_rows import task
from tests.synth.tcia_teacher import TONE, searched

EMBEDDER = load_embedder("hashed_ngrams")
VECTORS = arrays.arrays(np.float32, st.tuples(st.integers(2, 12), st.just(6)), elements=st.floats(-1, 1, width=32))


@given(VECTORS)
def test_diversity_is_one_less_the_mean_cosine_of_all_pairs(given_rows: NDArray[np.float32]) -> None:
    rows = unit_rows(given_rows)
    pairs = [float(rows[one] @ rows[other]) for one in range(len(rows)) for other in range(one)]
    assert diversity(rows) == pytest.approx(1 - sum(pairs) / len(pairs), abs=1e-5)
    assert diversity(rows[::-1]) == pytest.approx(diversity(rows), abs=1e-9)
    assert diversity(rows[:1]) is None


def written(arm: str, hop: int, count: int, text: str = "", outcome: str = "pass") -> list[Instruction]:
    return [
        searched(
            TONE,
            hop=hop,
            number=number,
            text=text or f"Write the minutes of meeting {arm} {hop} {number}.",
            verdicts=(Verdict(name="on_task", outcome=outcome if number else "pass"),),
            scores=(Score(name="rounds", value=1.0 + number % 2),),
        )
        for number in range(count)
    ]


def test_arms_are_compared_at_equal_count_hop_by_hop() -> None:
    arms = {
        "tcia": written("t", 1, 9) + written("t", 2, 7),
        "evolved": written("e", 1, 4, outcome="fail"),
        "fixed": written("f", 0, 6, "Same."),
    }
    found = {(one.arm, one.hop): one for one in measure(arms, EMBEDDER, None, 5)}
    assert {key: one.rows for key, one in found.items()} == {
        ("tcia", 1): 4, ("tcia", 2): 5, ("evolved", 1): 4, ("fixed", 0): 5,
    }  # fmt: skip
    assert found["fixed", 0].diversity == pytest.approx(0, abs=1e-6)
    assert found["fixed", 0].texts == 1
    assert (found["tcia", 1].diversity or 0) > 0
    assert found["tcia", 1].on_task_judge == 1.0
    assert (found["evolved", 1].on_task_judge or 0) < 0.5
    assert found["tcia", 2].rounds is not None
    assert found["tcia", 1].on_task_centroid is None


def test_what_is_drawn_does_not_depend_on_the_order() -> None:
    rows = written("t", 1, 9)
    assert drawn(rows, 4) == drawn(rows[::-1], 4)


def test_a_row_the_judge_did_not_answer_on_is_neither() -> None:
    rows = [*written("t", 1, 2), searched(TONE, text="Alone.", verdicts=(Verdict(name="on_task", outcome="error"),))]
    (one,) = measure({"t": rows}, EMBEDDER, None, 50)
    assert (one.rows, one.judged, one.on_task_judge) == (3, 2, 1.0)
    (alone,) = measure({"t": written("t", 1, 1)}, EMBEDDER, None, 50)
    assert (alone.rows, alone.diversity) == (1, None)


def test_the_nearest_centre_of_the_database_says_what_is_on_task(tmp_path: Path) -> None:
    queries: dict[str, Sequence[str]] = {
        "minutes": ["Write the minutes of the meeting.", "Turn the meeting notes into minutes."],
        "poems": ["Compose a sonnet about rain.", "Compose a poem on the sea."],
    }
    database = store(tmp_path, [task(name, query) for name, own in queries.items() for query in own], part_rows=3)
    centres = centres_of(database)
    assert (centres.names, centres.embedder) == (("minutes", "poems"), "hashed_ngrams")
    rows = [
        searched(TONE, text=text) for text in ("Write the meeting minutes kindly.", "Compose a sonnet about the sea.")
    ]
    (one,) = measure({"t": rows}, EMBEDDER, centres, 50)
    assert one.on_task_centroid == 0.5


def test_the_examples_of_the_module_hold() -> None:
    assert doctest.testmod(hop_measures).failed == 0
