"""Selections: nearest to any shot, spread over a proxy's probabilities, the top and then a draw; all without loss."""

from __future__ import annotations

import dataclasses
import doctest
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import k_centre, row_text
from filters.k_centre import KCentre
from filters.k_shot import KShot, read_shots
from filters.row_text import named_score
from filters.top_then_sample import TopThenSample, draw_keys
from mashbill.embedding import load_embedder
from mashbill.engine import ScriptedEngine
from mashbill.errors import BillError, InputError
from mashbill.proxy import Judged, fit_proxy
from mashbill.proxy_file import save_proxy
from mashbill.records import QA, Document, Record, from_table, to_table
from mashbill.step import DatasetStep
from tests.filters.judging import judged
from tests.filters.support import MemoryParts, scored
from tests.support.kernel import store

SALT = ("brine", "salt", "evaporate", "pan", "crust", "saline")
LAMP = ("wick", "lantern", "oil", "flame", "glow", "lamplight")
FISH = ("herring", "net", "trawl", "shoal", "smokehouse", "gill")


def texts(words: Sequence[str], count: int, seed: int = 0) -> list[str]:
    draw = random.Random(f"{seed}{words}")
    return [" ".join(draw.choice(words) for _ in range(6)) + f" {at}" for at in range(count)]


def ran(step: DatasetStep[Any, Any], parts: Sequence[Sequence[Record]]) -> tuple[list[Any], list[dict[str, Any]]]:
    """Kept rows and reject rows; checks that none is lost and that parts stay parts."""
    kind = type(next(row for part in parts for row in part))
    outputs = list(step.run(MemoryParts([to_table(part, kind) for part in parts])))
    assert [out.kept.num_rows + out.rejects.num_rows for out in outputs] == [len(part) for part in parts]
    kept = [row for out in outputs for row in from_table(out.kept, kind)]
    return kept, [row for out in outputs for row in out.rejects.to_pylist()]


def shots_file(folder: Path, rows: Sequence[Any]) -> str:
    path = folder / "shots.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


def test_rows_near_any_shot_stay_and_not_those_near_their_mean(tmp_path: Path) -> None:
    shots = [{"text": " ".join(SALT)}, {"text": " ".join(LAMP)}]
    # What is half salt and half lamp is nearest to the mean of the shots, and far from each.
    between = [f"{' '.join(SALT[:3])} {' '.join(LAMP[:3])} {at}" for at in range(20)]
    rows = [Document.new(text=one) for one in [*texts(SALT, 20), *between, *texts(LAMP, 20), *texts(FISH, 20)]]
    step = KShot(shots=shots_file(tmp_path, shots), keep=40)
    kept, gone = ran(step, [rows[:50], rows[50:]])
    near = [row for row in kept if "lantern" not in row.text or "brine" not in row.text]
    assert len(kept) == 40
    assert len(near) >= 36
    vectors = load_embedder("hashed_ngrams").embed([row.text for row in rows])
    mean = load_embedder("hashed_ngrams").embed([one["text"] for one in shots]).mean(axis=0)
    by_mean = {rows[at].id for at in np.argsort(-(vectors @ mean))[:20]}
    assert len(by_mean & {row.id for row in rows[20:40]}) >= 15, "the mean takes what lies between"
    assert {row["reason"] for row in gone} == {"far_from_shots"}
    assert min(row.scores[-1].value for row in kept) >= max(row["value"] for row in gone)


def test_what_each_shot_drew_is_counted(tmp_path: Path) -> None:
    rows = [Document.new(text=one) for one in [*texts(SALT, 8), *texts(LAMP, 4)]]
    step = KShot(
        shots=shots_file(tmp_path, [{"text": "salt brine"}, {"text": "lantern oil"}, {"text": "xyz"}]), keep=12
    )
    (output,) = step.run(MemoryParts([to_table(rows, Document)]))
    assert output.noted == {"shot 000": 8, "shot 001": 4}


def test_blank_rows_are_near_nothing_and_a_least_similarity_holds(tmp_path: Path) -> None:
    rows = [Document.new(text=one) for one in ("salt brine", " \n", "lantern oil")]
    kept, gone = ran(KShot(shots=shots_file(tmp_path, [{"text": "salt brine"}]), keep=3, least=0.9), [rows, rows[:0]])
    assert [row.text for row in kept] == ["salt brine"]
    assert [(row["reason"], row["value"] is None) for row in gone] == [
        ("nothing_to_compare", True),
        ("far_from_shots", False),
    ]


@settings(max_examples=20)
@given(st.integers(1, 12), st.randoms(use_true_random=False), st.integers(1, 5))
def test_which_rows_are_nearest_does_not_depend_on_their_order(
    tmp_path_factory: pytest.TempPathFactory, keep: int, order: random.Random, size: int
) -> None:
    path = shots_file(tmp_path_factory.mktemp("shots"), [{"text": "salt brine"}])
    rows = [Document.new(text=one, title=str(at)) for at, one in enumerate([*texts(SALT, 4), "same", "same", "same"])]
    mixed = order.sample(rows, len(rows))
    step = KShot(shots=path, keep=keep)
    one, _ = ran(step, [rows])
    other, _ = ran(step, [mixed[at : at + size] for at in range(0, len(mixed), size)])
    assert {row.id for row in one} == {row.id for row in other}
    assert len(one) == min(keep, len(rows))


ODD = ["ملح البحر", "塩は海から採れる。", "salt\x00pan", "\u202esalt", "salt " * 20_000, "🧂", "…"]


def test_odd_texts_and_ids_that_come_twice_are_chosen_among_like_others(tmp_path: Path, proxy_path: str) -> None:
    rows = [Document.new(text=text, source_id="s") for text in ODD] * 2
    shots = shots_file(tmp_path, [{"text": "salt"}])
    for step in (KShot(shots=shots, keep=6), KCentre(proxy=proxy_path, choose=6)):
        kept, gone = ran(step, [rows[:5], rows[5:]])
        assert (len(kept), len(gone)) == (6, 8)
    cards = [scored(row, judge_relevance=1, judge_brevity=1, judge_factuality=1) for row in rows]
    assert len(ran(TopThenSample(take=3, most_relevant=10), [cards[:4], cards[4:]])[0]) == 3


def test_several_columns_are_compared_together(tmp_path: Path) -> None:
    rows = [QA.new(question="What is brine?", answer=answer) for answer in ("salt water", "lantern oil")]
    shots = shots_file(tmp_path, [{"question": "What is brine?", "answer": "salt water"}])
    kept, _ = ran(KShot(shots=shots, keep=1, columns=("question", "answer")), [rows])
    assert [row.answer for row in kept] == ["salt water"]
    with pytest.raises(BillError, match=r"k_shot: Document has no text column 'question'; it has .*text"):
        ran(KShot(shots=shots, keep=1, columns=("question",)), [[Document.new(text="x")]])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "holds no example"),
        (["", "{"], r"shots.jsonl:2: is not JSON"),
        (["[1]"], r"shots.jsonl:1: an example is an object with text under text"),
        ([{"text": 3}], "an example is an object with text"),
        ([{"text": "a"}, {"txt": "b"}], r"shots.jsonl:2: an example has nothing under text"),
    ],
)
def test_shots_that_are_none_are_refused_with_their_line(lines: list[Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        KShot(shots=shots_file(tmp_path, lines), keep=1)
    with pytest.raises(InputError, match="cannot read the shots"):
        read_shots(tmp_path / "nowhere", ["text"])


def test_what_the_shots_say_is_identity(tmp_path: Path) -> None:
    one = KShot(shots=shots_file(tmp_path, [{"text": "a"}]), keep=1)
    other = KShot(shots=shots_file(tmp_path, [{"text": "b"}]), keep=1)
    assert one.shots_digest != other.shots_digest
    with pytest.raises(ValueError, match="keep is 0"):
        dataclasses.replace(other, keep=0)


@pytest.fixture(scope="module")
def proxy_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Fitted on salt and lamps: what is on fish is new to it."""
    rows = [
        Judged(text=text, label=label, source_id=f"{label}{at // 2}")
        for label, words in (("salt", SALT), ("lamp", LAMP), ("fish", FISH))
        for at, text in enumerate(texts(words, 20))
    ]
    path = tmp_path_factory.mktemp("proxy") / "topic.json"
    save_proxy(fit_proxy(rows), path)
    return str(path)


def test_rows_unlike_the_labelled_ones_are_chosen_first(proxy_path: str) -> None:
    known = [Document.new(text=one) for one in [*texts(SALT, 20, 1), *texts(LAMP, 20, 1), *texts(FISH, 20, 1)]]
    odd = [Document.new(text="brine wick salt lantern"), Document.new(text="oil herring flame trawl")]
    kept, gone = ran(KCentre(proxy=proxy_path, choose=2), [known[:30], [*known[30:], *odd]])
    assert {row.id for row in kept} == {row.id for row in odd}
    assert {row["reason"] for row in gone} == {"covered"}
    assert all(row.scores[-1].name == "k_centre" for row in kept)
    assert min(row.scores[-1].value for row in kept) > max(row["value"] for row in gone)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.randoms(use_true_random=False), st.integers(1, 9))
def test_each_choice_is_the_farthest_from_all_before_it(
    proxy_path: str, choose: int, order: random.Random, size: int
) -> None:
    rows = [Document.new(text=one) for one in [*texts(SALT + LAMP, 6), *texts(LAMP + FISH, 6), *texts(SALT, 4)]]
    mixed = order.sample(rows, len(rows))
    step = KCentre(proxy=proxy_path, choose=choose)
    kept, _ = ran(step, [mixed[at : at + size] for at in range(0, len(mixed), size)])
    from mashbill.proxy_file import load_proxy

    proxy = load_proxy(Path(proxy_path))
    points = {row.id: point for row, point in zip(rows, proxy.probabilities([row.text for row in rows]), strict=True)}
    centres, left = list(proxy.judged), dict(points)
    for row in sorted(kept, key=lambda one: -one.scores[-1].value):
        far = {key: min(float(np.linalg.norm(point - one)) for one in centres) for key, point in left.items()}
        assert row.scores[-1].value == pytest.approx(max(far.values()), abs=1e-5)
        assert far[row.id] == pytest.approx(max(far.values()), abs=1e-5)
        centres.append(left.pop(row.id))
    assert len(kept) == choose


def test_there_may_be_fewer_rows_than_are_to_be_chosen_and_blank_ones_are_none(proxy_path: str) -> None:
    rows = [Document.new(text=one, title=str(at)) for at, one in enumerate(["salt", "salt", " "])]
    kept, gone = ran(KCentre(proxy=proxy_path, choose=10), [rows, []])
    assert [row.text for row in kept] == ["salt", "salt"]
    assert [row["reason"] for row in gone] == ["nothing_to_compare"]


async def test_the_manifest_says_how_well_rows_are_covered(proxy_path: str, tmp_path: Path) -> None:
    source = store(tmp_path, [Document.new(text=one) for one in [*texts(SALT, 4), *texts(SALT + FISH, 4)]])
    made = await judged(KCentre(proxy=proxy_path, choose=3), source, ScriptedEngine({}))
    assert made.manifest.counts.kept == 3
    assert made.manifest.notes["radius_before"] > made.manifest.notes["radius_after"] >= 0
    shots = shots_file(tmp_path, [{"text": "salt brine"}, {"text": "lantern oil"}])
    near = await judged(KShot(shots=shots, keep=5), source, ScriptedEngine({}))
    assert near.manifest.notes == {"kept_by_nearest_shot": {"0: salt brine": 5, "1: lantern oil": 0}}


def test_a_proxy_that_is_not_there_is_refused(tmp_path: Path, proxy_path: str) -> None:
    with pytest.raises(InputError, match="cannot read the proxy"):
        KCentre(proxy=str(tmp_path / "none.json"), choose=1)
    with pytest.raises(ValueError, match="choose is 0"):
        KCentre(proxy=proxy_path, choose=0)


def card(at: int, source: str = "s", **scores: float) -> Document:
    named = {f"judge_{name}": value for name, value in scores.items()}
    return scored(Document.new(text=f"passage {at}", source_id=source), **named)


def test_the_relevant_the_brief_the_true_and_then_a_draw() -> None:
    rows = [
        *[card(at, relevance=1, brevity=5, factuality=5) for at in range(5)],
        *[card(at, relevance=5, brevity=1, factuality=5) for at in range(5, 8)],
        *[card(at, relevance=5, brevity=5, factuality=1) for at in range(8, 16)],
        *[card(at, relevance=5, brevity=5, factuality=5) for at in range(16, 20)],
        card(20, relevance=5, brevity=5),
    ]
    kept, gone = ran(TopThenSample(take=2, most_relevant=15, least_brevity=3), [rows[:9], rows[9:]])
    assert len(kept) == 2
    assert all(int(row.text.split()[1]) >= 16 for row in kept)
    assert Counter(row["reason"] for row in gone) == {
        "less_relevant": 5,
        "too_long": 3,
        "less_factual": 8,
        "not_drawn": 2,
        "no_score": 1,
    }


def test_each_source_has_a_draw_of_its_own_and_no_row_comes_twice() -> None:
    rows = [card(at, f"s{at % 3}", relevance=5, brevity=5, factuality=4) for at in range(30)]
    kept, _ = ran(TopThenSample(take=4), [rows[:11], rows[11:]])
    assert Counter(row.source_id for row in kept) == {"s0": 4, "s1": 4, "s2": 4}
    assert len({row.id for row in kept}) == 12
    again, _ = ran(TopThenSample(take=4), [rows[::-1]])
    assert {row.id for row in again} == {row.id for row in kept}
    other, _ = ran(TopThenSample(take=4, seed=1), [rows])
    assert {row.id for row in other} != {row.id for row in kept}
    whole, _ = ran(TopThenSample(take=4, per="all"), [rows])
    assert len(whole) == 4


def test_only_what_has_a_name_is_looked_at_and_a_question_is_a_group() -> None:
    rows = [
        dataclasses.replace(QA.new(question=f"q{at % 2}", answer=str(at)), scores=card(0, factuality=at).scores)
        for at in range(8)
    ]
    kept, gone = ran(TopThenSample(take=1, per="question", relevance="", brevity=""), [rows])
    assert Counter(row.question for row in kept) == {"q0": 1, "q1": 1}
    assert {int(row.answer) for row in kept} <= {4, 5, 6, 7}
    assert {row["reason"] for row in gone} == {"less_factual", "not_drawn"}
    with pytest.raises(BillError, match="groups by question, and the rows it read have none"):
        ran(TopThenSample(per="question"), [[card(0)]])
    with pytest.raises(ValueError, match="take is 5 of the 3 most relevant"):
        TopThenSample(take=5, most_relevant=3)


def test_a_draw_is_in_proportion_to_the_weights() -> None:
    draw = np.random.default_rng(0)
    weights = np.array([1.0, 2.0, 4.0, 0.0])
    first = Counter[int]()
    for _ in range(4000):
        keys = draw_keys(draw.integers(0, 2**64, 4, dtype=np.uint64), weights)
        first[int(keys.argmax())] += 1
    assert first[3] == 0
    assert first[2] / 4000 == pytest.approx(4 / 7, abs=0.03)
    assert first[1] / 4000 == pytest.approx(2 / 7, abs=0.03)


def test_a_score_that_is_not_there_is_no_number() -> None:
    rows = [scored(Document.new(text="a"), salt=2.0), Document.new(text="b")]
    table = to_table([dataclasses.replace(rows[0], scores=rows[0].scores * 2), rows[1]], Document)
    found = named_score(table, "salt")
    assert found[0] == 2.0
    assert np.isnan(found[1])


@pytest.mark.parametrize("module", [k_centre, row_text])
def test_the_examples_of_the_docstrings_are_true(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
