"""Plausibility: what fits the rest of the graph is scored above what was put in, and nothing vouches for itself."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kg.plausibility import Fit, Plausibility
from mashbill.engine import ScriptedEngine
from mashbill.records import Triple
from tests.kg.extract_support import edges, rejects_of, run, triples_of
from tests.support.kernel import store

Rows = list[tuple[str, str, str]]


def fitted(rows: Rows) -> Fit:
    return Fit.of(*(list(column) for column in zip(*rows, strict=True))) if rows else Fit.of([], [], [])


def scores(fit: Fit, rows: Rows) -> list[float]:
    heads, relations, tails = zip(*rows, strict=True)
    return [float(value) for value in fit.score(heads, relations, tails)]


def bakers_and_smiths() -> Rows:
    """Bakers buy flour and sell bread in each town, smiths iron and nails."""
    rows: Rows = []
    for at in range(8):
        rows += [(f"baker {at}", "buys", "flour"), (f"baker {at}", "sells", "bread"), (f"baker {at}", "is", "baker")]
        rows += [(f"smith {at}", "buys", "iron"), (f"smith {at}", "sells", "nails"), (f"smith {at}", "is", "smith")]
    return rows


def test_what_like_things_do_is_plausible_and_what_they_do_not_is_not() -> None:
    rows = [row for row in bakers_and_smiths() if row != ("baker 3", "sells", "bread")]
    good, bad, backwards = scores(
        fitted(rows), [("baker 3", "sells", "bread"), ("baker 3", "sells", "nails"), ("bread", "sells", "baker 3")]
    )
    assert good > 0.6 > 0.4 > max(bad, backwards)


def test_a_triple_does_not_vouch_for_itself() -> None:
    # Whether it stands in the graph or not, it is scored by the others.
    rows, odd = bakers_and_smiths(), ("baker 3", "sells", "nails")
    (outside,), (inside,) = scores(fitted(rows), [odd]), scores(fitted([*rows, odd]), [odd])
    assert inside == pytest.approx(outside, abs=0.02)
    assert inside < min(scores(fitted([*rows, odd]), rows))


def test_names_that_the_graph_does_not_know_are_neither_likely_nor_unlikely() -> None:
    assert scores(fitted(bakers_and_smiths()), [("Ora", "sells", "bread"), ("baker 1", "eats", "bread")]) == [0.5, 0.5]


NAMES = st.sampled_from("abcdefg")
GRAPHS = st.lists(st.tuples(NAMES, st.sampled_from("rst"), NAMES), min_size=1, max_size=30)


@given(GRAPHS, GRAPHS, st.randoms(use_true_random=False))
def test_scores_are_bounded_and_do_not_depend_on_order_or_repetition(
    rows: Rows, asked: Rows, order: np.random.Generator
) -> None:
    found = scores(fitted(rows), asked)
    again = [*rows, *rows]
    order.shuffle(again)
    assert all(0.0 <= value <= 1.0 for value in found)
    assert scores(fitted(again), asked) == found


async def test_scores_are_a_column_and_a_bound_makes_rejects(tmp_path: Path) -> None:
    rows = [*bakers_and_smiths(), ("baker 3", "sells", "nails")]
    triples = [Triple.new(head=h, relation=r, tail=t) for h, r, t in rows]
    kept = await run(Plausibility(), store(tmp_path / "a", triples), ScriptedEngine({}))
    assert edges(triples_of(kept)) == rows
    values = [one.scores[0].value for one in triples_of(kept)]
    assert [one.scores[0].name for one in triples_of(kept)] == ["plausibility"] * len(rows)
    assert values == scores(fitted(rows), rows)
    assert values[-1] < 0.4 < min(values[:-1])
    strict = await run(Plausibility(least=0.4), store(tmp_path / "b", triples), ScriptedEngine({}))
    (reject,) = rejects_of(strict)
    assert (reject.reason, reject.subjects, reject.value) == ("implausible", ("baker 3", "nails"), values[-1])


def test_a_bound_that_no_score_meets_is_refused() -> None:
    with pytest.raises(ValueError, match="least is 1; scores lie from 0 to 1"):
        Plausibility(least=1)


def area(true: NDArray[np.float64], false: NDArray[np.float64]) -> float:
    """How often a true one is above a false one (area under the ROC curve)."""
    return float((true[:, None] > false).mean() + 0.5 * (true[:, None] == false).mean())


def test_held_out_triples_of_a_real_graph_are_told_from_corrupted_ones() -> None:
    if "MASHBILL_DATA" not in os.environ:
        pytest.skip("MASHBILL_DATA, the folder of umls.tsv, is not set")
    lines = (Path(os.environ["MASHBILL_DATA"]) / "umls.tsv").read_text(encoding="utf-8").splitlines()
    rows = [tuple(line.split("\t")) for line in lines]
    names = sorted({row[0] for row in rows} | {row[2] for row in rows})
    draw = np.random.default_rng(0)
    order = draw.permutation(len(rows))
    out, known = [rows[at] for at in order[:600]], set(rows)
    bad = [(head, relation, names[draw.integers(len(names))]) for head, relation, _ in out]
    fit = Fit.of(*(list(column) for column in zip(*(rows[at] for at in order[600:]), strict=True)))
    true = fit.score(*(list(column) for column in zip(*out, strict=True)))
    false = fit.score(*(list(column) for column in zip(*(row for row in bad if row not in known), strict=True)))
    assert area(true, false) > 0.97
