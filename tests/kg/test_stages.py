"""Stages of a curriculum cost the same, whatever their items weigh."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.stages import equal_stages


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=6), st.floats(0.1, 100))
def test_every_stage_is_trained_on_equally_many_tokens(tokens: list[int], epochs: float) -> None:
    stages = equal_stages(tokens, epochs)
    assert all(stage.trained_tokens == pytest.approx(tokens[0] * epochs) for stage in stages)
    assert [stage.tokens for stage in stages] == [sum(tokens[: at + 1]) for at in range(len(tokens))]


@pytest.mark.parametrize(("tokens", "epochs"), [([], 1.0), ([5, 0], 1.0), ([5], 0.0)])
def test_a_stage_of_nothing_is_refused(tokens: list[int], epochs: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        equal_stages(tokens, epochs)
