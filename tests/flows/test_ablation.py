"""Source ablation: what is forked, what stays the same, and what a source is said to have given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flows.ablation import forks_of
from flows.ablation_section import Ablation
from flows.training_section import Training, read_training
from mashbill.errors import BillError
from mashbill.read_bill import read_bill
from tests.flows.fake_kitchen import BILL, project
from train.plan import PlanSpec
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.render import RenderSpec
from train.schedule import learning_rate
from train.source_gain import over_both

TRAIN: dict[str, Any] = {
    **BILL["train"],
    "tokens": 640,
    "sequence_length": 32,
    "batch": 2,
    "schedule": "wsd",
    "decay_share": 0.3,
    "ablation": {"arm": "both", "seeds": 2},
    "arms": {"both": {"raw": 3, "long": 1}},
}
SECTIONS: dict[str, Any] = {
    "engine": None,
    "steps": None,
    "streams": {"raw": {"from": "almanac"}, "long": {"from": "almanac", "curate": [{"length": {"min_words": 15}}]}},
    "curate": None,
    "release": {"streams": {"raw": 1}},
    "train": TRAIN,
    "evaluate": {"questions": "questions.jsonl"},
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def training(**changed: Any) -> Training:
    plan = PlanSpec(tokens=1000, sequence_length=10, batch=1, shares={"made": 2.0, "web": 1.0}, seed=4)
    recipe = TrainRecipe(schedule="wsd", decay_share=0.2, warmup_share=0.1, learning_rate=1.0)
    return Training(
        student=StudentSpec(scratch=Scratch()), recipe=recipe, render=RenderSpec(), replay=None, plans={"all": plan}
    )


def test_trunk_and_fork_together_take_the_steps_and_the_rates_of_the_whole() -> None:
    whole = training()
    forks = forks_of(whole, Ablation(arm="all", seeds=2))
    assert sorted(forks.forks) == [
        f"all.{which}-{number}" for which in ("whole", "without-made", "without-web") for number in (0, 1)
    ]
    trunk, fork = forks.trunk, forks.forks["all.whole-0"]
    steps = [trunk.plans["all.trunk"].tokens // 10, fork.plans["all.whole-0"].tokens // 10]
    assert steps == [80, 20]
    rates = [learning_rate(step, 80, trunk.recipe) for step in range(80)]
    rates += [learning_rate(step, 20, fork.recipe) for step in range(20)]
    assert rates == pytest.approx([learning_rate(step, 100, whole.recipe) for step in range(100)])


def test_forks_of_one_seed_have_one_order_and_equal_tokens() -> None:
    forks = forks_of(training(), Ablation(arm="all", seeds=2)).forks
    plans = {name: one.plans[name] for name, one in forks.items()}
    assert len({plan.tokens for plan in plans.values()}) == 1
    assert plans["all.whole-1"].seed == plans["all.without-web-1"].seed != plans["all.whole-0"].seed
    assert plans["all.without-made-0"].shares == {"web": 1.0}


def test_an_interval_over_seeds_is_wider_than_one_over_questions() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, (1, 200))
    same = over_both(np.repeat(0.2 + noise, 3, axis=0), seed=1)
    seeds = over_both(np.array([[-0.4], [0.2], [0.8]]) + noise, seed=1)
    assert same.value == pytest.approx(seeds.value)
    assert same.low > 0.15
    assert seeds.low < 0 < seeds.high


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schedule": "cosine"}, r"say `schedule: wsd` \(it is cosine\)"),
        ({"ablation": {"arm": "bothe"}}, r"no arm is called 'bothe' \(did you mean both\?\)"),
        ({"ablation": {"arm": "both", "seeds": 0}}, "at least 1 is wanted"),
        ({"arms": {"both": {"raw": 1}}}, "has one stream"),
        ({"tokens": 64}, "has no flat part to fork from: 1 steps"),
        ({"curriculum": {"by": "hops"}}, "curriculum"),
    ],
)
def test_an_ablation_that_cannot_be_is_refused_with_its_line(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    run = project(tmp_path, **{**SECTIONS, "train": {**TRAIN, **changed}})
    with pytest.raises(BillError, match=message) as refused:
        read_training(read_bill(run.bill))
    assert refused.value.line is not None


def test_without_questions_nothing_is_measured(tmp_path: Path) -> None:
    run = project(tmp_path, **{**SECTIONS, "evaluate": None})
    with pytest.raises(BillError, match="is judged by questions; add `evaluate`"):
        read_training(read_bill(run.bill))


@pytest.mark.slow
def test_a_bill_says_what_each_source_gave(tmp_path: Path) -> None:
    run = project(tmp_path, **SECTIONS)
    ended = run.run()
    assert ended.code == 0, ended.err
    report = json.loads(run.one("reports/*/*/report.json").read_bytes())
    assert [(one["source"], one["measure"]) for one in report["gains"]] == [
        (source, measure)
        for source in ("raw", "long")
        for measure in ("choice_accuracy", "short_exact", "gold_logprob")
    ]
    for one in report["gains"]:
        assert len(one["by_seed"]) == one["seeds"] == 2
        assert one["gain"]["value"] == pytest.approx(one["with_it"] - one["without_it"])
        assert one["asked_tokens"] == 0
    card = (run.one("releases/*/*") / "README.md").read_text(encoding="utf-8")
    assert "| long | gold_logprob (3 questions) |" in card
    assert "nothing was asked" in card
    # One trunk, whose steps are taken once: six forks go on from it.
    students = sorted(path.name for path in (run.root / "students").iterdir())
    assert len(students) == 1 + 1 + 6
    again = run.run()
    assert again.code == 0, again.err
    assert again.out == ended.out
