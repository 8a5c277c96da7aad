"""A proxy learns what a judge says, is measured on documents it was not fitted on, and is the same in any order."""

from __future__ import annotations

import dataclasses
import doctest
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill import agreement, logistic, proxy, proxy_report
from mashbill.agreement import weighted_kappa
from mashbill.errors import InputError, ProxyError
from mashbill.proxy import Judged, Proxy, fit_proxy
from mashbill.proxy_file import load_proxy, save_proxy

SALT = ("brine", "salt", "evaporate", "pan", "crust", "saline")
LAMP = ("wick", "lantern", "oil", "flame", "glow", "lamplight")
FISH = ("herring", "net", "trawl", "shoal", "smokehouse", "gill")
TOPICS = {"salt": SALT, "lamp": LAMP, "fish": FISH}


def text(draw: random.Random, words: Sequence[str], length: int = 8) -> str:
    fillers = ("the", "old", "they", "said", "town", "keeper", "morning", "brought")
    return " ".join(draw.choice(words) if draw.random() < 0.5 else draw.choice(fillers) for _ in range(length))


def judged_topics(count: int = 240, wrong: float = 0.0, per_source: int = 3, seed: int = 0) -> list[Judged]:
    """Texts on three topics, with their topic, or with another one as often as the judge is wrong."""
    draw, rows, names = random.Random(seed), list[Judged](), sorted(TOPICS)
    for at in range(count):
        topic = draw.choice(names)
        said = draw.choice([one for one in names if one != topic]) if draw.random() < wrong else topic
        rows.append(Judged(text=text(draw, TOPICS[topic]), label=said, source_id=f"d{at // per_source}"))
    return rows


def judged_marks(count: int = 300, seed: int = 0) -> list[Judged]:
    """Texts with more or less salt in them, marked 1 to 5 by how much."""
    draw, rows = random.Random(seed), list[Judged]()
    for at in range(count):
        share = draw.random()
        words = [draw.choice(SALT if draw.random() < share else LAMP) for _ in range(20)]
        mark = min(5, 1 + int(share * 5))
        rows.append(Judged(text=" ".join(words), label=str(mark), source_id=f"d{at}"))
    return rows


def test_a_proxy_says_what_the_judge_says_of_texts_it_never_saw() -> None:
    fitted = fit_proxy(judged_topics())
    draw = random.Random(99)
    new = [(topic, text(draw, words)) for topic, words in TOPICS.items() for _ in range(40)]
    said = fitted.label([one for _, one in new])
    assert sum(topic == own for (topic, _), own in zip(new, said, strict=True)) >= 115
    assert fitted.report.kappa is not None
    assert fitted.report.kappa > 0.8
    assert fitted.report.held_out + fitted.report.fitted == 240
    assert 40 <= fitted.report.held_out <= 48


def test_marks_in_an_order_are_learnt_as_such() -> None:
    fitted = fit_proxy(judged_marks(), levels=("1", "2", "3", "4", "5"))
    assert fitted.labels == ("1", "2", "3", "4", "5")
    assert fitted.report.weighted_kappa is not None
    assert fitted.report.weighted_kappa > 0.8
    salty, mixed, oily = fitted.probabilities([" ".join(SALT * 3), " ".join(SALT + LAMP), " ".join(LAMP * 3)])
    good = fitted.at_least(np.array([salty, mixed, oily]), "4")
    assert good[0] > 0.8 > good[1] > good[2]
    assert fitted.at_least(np.array([salty]), "1")[0] == pytest.approx(1.0)


def test_a_level_is_asked_for_by_name_and_only_where_there_is_an_order() -> None:
    ordered = fit_proxy(judged_marks(100), levels=("1", "2", "3", "4", "5"))
    with pytest.raises(ValueError, match="'6' is no level"):
        ordered.at_least(ordered.probabilities(["salt"]), "6")
    free = fit_proxy(judged_topics(60))
    with pytest.raises(ValueError, match="labels are fish, lamp, salt"):
        free.at_least(free.probabilities(["salt"]), "salt")


def test_what_a_judge_with_known_errors_says_is_not_learnt_with_its_errors() -> None:
    # Errors that depend on nothing cannot be learnt: the proxy says the truth, and agrees with the judge at its rate.
    fitted = fit_proxy(judged_topics(900, wrong=0.2))
    draw = random.Random(5)
    new = [(topic, text(draw, words)) for topic, words in TOPICS.items() for _ in range(60)]
    right = sum(topic == own for (topic, _), own in zip(new, fitted.label([one for _, one in new]), strict=True))
    assert right / len(new) > 0.93
    assert 0.7 < fitted.report.accuracy < 0.9


def test_probabilities_are_as_often_right_as_they_say() -> None:
    fitted = fit_proxy(judged_topics(900, wrong=0.2))
    new = judged_topics(2000, wrong=0.2, seed=7)
    found = fitted.probabilities([row.text for row in new])
    right = [fitted.labels[at] == row.label for at, row in zip(found.argmax(axis=1), new, strict=True)]
    assert found.max(axis=1).mean() == pytest.approx(np.mean(right), abs=0.04)
    assert fitted.report.calibration_error < 0.15  # 180 rows in ten bins: chance alone gives 0.07


def test_no_document_is_on_both_sides() -> None:
    rows = judged_topics(120, per_source=10)
    out = proxy._held_out(rows, 0.2, 0)
    away = {row.source_id for row, gone in zip(rows, out, strict=True) if gone}
    kept = {row.source_id for row, gone in zip(rows, out, strict=True) if not gone}
    assert away
    assert not away & kept


@given(st.integers(0, 1000), st.integers(2, 30), st.floats(0.05, 0.6))
def test_some_rows_are_held_out_and_no_more_than_asked_unless_documents_are_large(
    seed: int, sources: int, share: float
) -> None:
    draw = random.Random(seed)
    rows = [Judged(text="x", label="y", source_id=f"d{at}") for at in range(sources) for _ in range(draw.randint(1, 9))]
    out = proxy._held_out(rows, share, seed)
    sizes = [sum(row.source_id == one for row in rows) for one in {row.source_id for row in rows}]
    assert 0 < out.sum() < len(rows)
    assert out.sum() <= max(share * len(rows), min(sizes))


@settings(max_examples=5)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(order: random.Random) -> None:
    rows = judged_topics(80)
    mixed = order.sample(rows, len(rows))
    one, two = fit_proxy(rows), fit_proxy(mixed, vectors=proxy.vectors_of([row.text for row in mixed], "hashed_ngrams"))
    assert one.identity == two.identity
    assert np.array_equal(one.model.weights, two.model.weights)
    assert one.report == two.report


def test_another_judgement_is_another_proxy() -> None:
    rows = judged_topics(60)
    changed = [dataclasses.replace(rows[0], label="lamp" if rows[0].label != "lamp" else "salt"), *rows[1:]]
    assert fit_proxy(rows).identity != fit_proxy(changed).identity != fit_proxy(changed, seed=1).identity


def test_the_band_holds_what_the_proxy_is_not_sure_of() -> None:
    fitted = fit_proxy(judged_topics(900, wrong=0.1))
    found = fitted.probabilities(["brine salt pan", "wick lantern oil", "salt lamp herring", ""])
    doubtful = fitted.doubtful(found, 0.8)
    assert doubtful.tolist()[2:] == [True, True]
    assert not doubtful[:2].any()
    shares = [band.escalated for band in fitted.report.bands]
    assert shares == sorted(shares)


def test_a_long_text_costs_no_more_than_a_judge_would_read(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = fit_proxy(judged_topics(60))
    start = "brine salt pan " * 2000
    assert fitted.probabilities([start]).tolist() == fitted.probabilities([start + "lamp " * 100_000]).tolist()
    assert fitted.label([]) == []


@pytest.mark.parametrize("rows", [judged_topics(120), judged_marks(120)], ids=["labels", "levels"])
def test_a_saved_proxy_says_the_same(rows: list[Judged], tmp_path: Path) -> None:
    levels = ("1", "2", "3", "4", "5") if rows[0].label.isdigit() else ()
    fitted = fit_proxy(rows, levels=levels)
    save_proxy(fitted, tmp_path / "proxy.json")
    again = load_proxy(tmp_path / "proxy.json")
    texts = [row.text for row in rows]
    assert np.array_equal(again.probabilities(texts), fitted.probabilities(texts))
    assert (again.identity, again.report, again.labels) == (fitted.identity, fitted.report, fitted.labels)
    assert np.array_equal(again.judged, fitted.judged)
    save_proxy(again, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "proxy.json").read_bytes()


def changed(path: Path, change: Callable[[dict[str, object]], object]) -> Path:
    whole = json.loads(path.read_text(encoding="utf-8"))
    change(whole)
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def test_a_file_that_is_no_proxy_of_this_version_is_refused_with_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "proxy.json"
    with pytest.raises(InputError, match="cannot read the proxy: No such file"):
        load_proxy(path)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"proxy.json: is no proxy that this version reads: format: Field required"):
        load_proxy(path)
    path.write_text("not json", encoding="utf-8")
    with pytest.raises(InputError, match="the file: Invalid JSON"):
        load_proxy(path)
    save_proxy(fit_proxy(judged_topics(60)), path)
    with pytest.raises(InputError, match="was fitted on vectors of minilm/1, and hashed_ngrams is hashed_ngrams/256"):
        load_proxy(changed(path, lambda whole: whole.update(embedder_identity="minilm/1")))
    with pytest.raises(InputError, match="for 1 labels; version 1 wants 1 column"):
        load_proxy(changed(path, lambda whole: whole.update(labels=["salt"])))


@pytest.mark.parametrize(
    ("rows", "levels", "said"),
    [
        ([], (), r"0 judged rows have 0 labels \(none\), and two are wanted"),
        (judged_marks(1), (), r"1 judged rows have 1 label "),
        ([dataclasses.replace(row, source_id="d") for row in judged_topics(20)], (), "go back to one source document"),
        (judged_marks(30), ("1", "2"), "none of the levels 1, 2"),
    ],
)
def test_rows_that_teach_nothing_are_refused(rows: list[Judged], levels: tuple[str, ...], said: str) -> None:
    with pytest.raises(ProxyError, match=said):
        fit_proxy(rows, levels=levels)


def test_a_label_that_only_held_out_rows_have_cannot_be_learnt() -> None:
    rows = [Judged(text=f"salt {at}", label="yes", source_id=f"d{at}") for at in range(9)]
    alone = next(
        name
        for name in (f"e{at}" for at in range(100))
        if proxy._held_out([*rows, Judged(text="lamp", label="no", source_id=name)], 0.2, 0)[-1]
    )
    with pytest.raises(ProxyError, match="held-out rows all 8 judgements say 'yes'"):
        fit_proxy([*rows, Judged(text="lamp", label="no", source_id=alone)])
    with pytest.raises(ProxyError, match="held_out is 1"):
        fit_proxy(judged_topics(20), held_out=1)
    # With a third label it is learnt without that one, and the held-out row counts as wrong.
    three = [*rows, *(Judged(text=f"oil {at}", label="maybe", source_id=f"d{at}") for at in range(9))]
    found = fit_proxy([*three, Judged(text="lamp", label="no", source_id="e0")], held_out=0.06)
    assert isinstance(found, Proxy)


def test_two_documents_are_enough_for_a_proxy_but_not_for_folds() -> None:
    rows = [dataclasses.replace(row, source_id=f"d{at % 2}") for at, row in enumerate(judged_topics(40))]
    found = fit_proxy(rows)
    assert (found.report.held_out, found.report.fitted, found.report.strength) == (20, 20, proxy.STRENGTHS[0])


def test_weighted_kappa_forgives_a_near_miss_and_not_a_far_one() -> None:
    truth = [0, 1, 2, 3, 4] * 10
    near = [min(4, one + 1) if at % 5 == 0 else one for at, one in enumerate(truth)]
    far = [4 - one if at % 5 == 0 else one for at, one in enumerate(truth)]
    found = [weighted_kappa(one, truth, 5) for one in (truth, near, far)]
    assert found[0] == 1.0
    assert found[1] is not None
    assert found[2] is not None
    assert 1 > found[1] > 0.9 > found[2]
    assert weighted_kappa([2, 2], [2, 2], 5) is None
    with pytest.raises(ValueError, match="outside 0 to 4"):
        weighted_kappa([5], [0], 5)


@pytest.mark.parametrize("module", [agreement, logistic, proxy, proxy_report])
def test_the_examples_of_the_docstrings_are_true(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
