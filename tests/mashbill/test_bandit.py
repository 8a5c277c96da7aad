"""The bandit: it finds the best arm, keeps its floor, forgets what is old, and gives the same for the same."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.bandit import Belief, learned, shares

BELIEFS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.builds(Belief, st.floats(0, 50), st.floats(0, 50)),
    min_size=1,
    max_size=6,
)


@given(BELIEFS, st.integers(0, 2**40), st.floats(0, 1))
def test_shares_add_up_and_nobody_falls_below_the_floor(
    beliefs: dict[str, Belief], seed: int, exploration: float
) -> None:
    found = shares(beliefs, seed=seed, exploration=exploration, draws=20)
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) >= exploration / len(beliefs)
    turned = dict(reversed(list(beliefs.items())))
    assert shares(turned, seed=seed, exploration=exploration, draws=20) == found


@given(BELIEFS, st.data())
def test_a_belief_stays_one(beliefs: dict[str, Belief], data: st.DataObject) -> None:
    rewards = {arm: data.draw(st.floats(0, 1)) for arm in beliefs if data.draw(st.booleans())}
    after = learned(beliefs, rewards, discount=data.draw(st.floats(0.1, 1)))
    assert list(after) == list(beliefs)
    for arm, belief in after.items():
        assert belief.good >= 0
        assert belief.bad >= -1e-9
        assert 0 < belief.mean < 1
        assert belief.seen <= beliefs[arm].seen + (arm in rewards) + 1e-9


def played(worth: Sequence[float], rounds: int, seed: int) -> list[float]:
    """The regret of each round of plain Thompson sampling over arms that pay 1 with these probabilities."""
    beliefs, rng = {str(at): Belief() for at in range(len(worth))}, random.Random(seed)
    regret = []
    for number in range(rounds):
        split = shares(beliefs, seed=seed * 10_000 + number, exploration=0, draws=1)
        arm = max(split, key=lambda one: split[one])
        beliefs = learned(beliefs, {arm: float(rng.random() < worth[int(arm)])})
        regret.append(max(worth) - worth[int(arm)])
    return regret


def test_regret_on_bernoulli_arms_grows_more_slowly_than_the_rounds() -> None:
    runs = [played((0.3, 0.5, 0.7), 1200, seed) for seed in range(12)]
    early = statistics.fmean(sum(run[:200]) for run in runs) / 200
    late = statistics.fmean(sum(run[-200:]) for run in runs) / 200
    assert late < early / 4
    # Drawing arms by chance would cost 0.2 a round.
    assert statistics.fmean(sum(run) for run in runs) < 0.2 * 1200 / 5


def test_split_budgets_find_the_best_arm_and_follow_it_when_it_changes() -> None:
    beliefs, split = {name: Belief() for name in ("slow", "fast")}, dict[str, float]()
    for number in range(12):
        split = shares(beliefs, seed=number, exploration=0.2)
        beliefs = learned(beliefs, {"slow": 0.3, "fast": 0.8}, discount=0.7)
    assert split["fast"] > 0.7
    for number in range(12):
        split = shares(beliefs, seed=number, exploration=0.2)
        beliefs = learned(beliefs, {"slow": 0.8, "fast": 0.3}, discount=0.7)
    assert split["slow"] > 0.7
    assert split["fast"] >= 0.1


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(ValueError, match="there are 0 arms"):
        shares({}, seed=1)
    with pytest.raises(ValueError, match=r"exploration is 1\.5; it is a share"):
        shares({"a": Belief()}, seed=1, exploration=1.5)
    with pytest.raises(ValueError, match="the reward of 'a' is 2; it must lie from 0 to 1"):
        learned({"a": Belief()}, {"a": 2})
    with pytest.raises(ValueError, match="a reward is for 'b', and the arms are a"):
        learned({"a": Belief()}, {"b": 1})
    with pytest.raises(ValueError, match="the discount is 0"):
        learned({"a": Belief()}, {}, discount=0)
