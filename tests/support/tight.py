"""Any recipe under a budget: what it makes of a part of the money, and that the whole follows with the same bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from mashbill.asker import Asker
from mashbill.budget import Budget
from mashbill.limits import Limits
from mashbill.partial import lacking_of
from mashbill.spending import Account
from mashbill.store import Stored
from tests.support.kernel import bytes_of


@contextlib.contextmanager
def tight(tokens: int) -> Iterator[Budget]:
    """All askers built inside the block share a budget of so many tokens."""
    budget = Budget(Limits(tokens=tokens), Account("tight", {}, 0.0))
    plain = Asker.__post_init__

    def with_budget(asker: Asker) -> None:
        asker.budget = budget
        plain(asker)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Asker, "__post_init__", with_budget)
        yield budget


async def partial_then_whole(
    root: Path, make: Callable[[Path], Awaitable[Stored]], tokens: int
) -> tuple[Stored, Stored]:
    """What a recipe makes for so many tokens, checked against what it makes without a budget."""
    with tight(tokens) as budget:
        some = await make(root / "some")
    assert budget.tokens()[0] <= tokens
    assert lacking_of(some.manifest.identity)["over_budget"] > 0
    assert some.manifest.notes["card"][0].startswith("stopped by its budget: ")
    with tight(1):  # the replies that are there make the same again
        again = await make(root / "some")
    assert again.path == some.path
    whole, never = await make(root / "some"), await make(root / "never")
    assert not lacking_of(whole.manifest.identity)
    assert whole.path.name == never.path.name
    assert bytes_of(whole.path) == bytes_of(never.path)
    return some, whole
