"""Steps over a graph whose budget is spent: items are kept, names that nobody could ask about stay apart."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from kg.resolve_entities import ResolveEntities
from mashbill.engine import ScriptedEngine
from mashbill.store import Stored
from tests.kg.extract_support import run
from tests.kg.path_helpers import grid
from tests.kg.test_path_curriculum import curriculum, dull
from tests.kg.test_resolve_entities import judge, triple
from tests.support.kernel import rejects_in, rows_of, store
from tests.support.tight import partial_then_whole


async def test_a_curriculum_ends_with_the_items_there_was_money_for(tmp_path: Path) -> None:
    async def make(root: Path) -> Stored:
        return await curriculum(root, grid(6, 6), ScriptedEngine(dull), count=30, batch=5)

    some, whole = await partial_then_whole(tmp_path, make, 800)
    assert 0 < len(rows_of(some)) < len(rows_of(whole)) == 30
    assert {row.id for row in rows_of(some)} <= {row.id for row in rows_of(whole)}


async def test_names_that_nobody_could_ask_about_stay_apart_and_are_named(tmp_path: Path) -> None:
    names = [f"{first} of {place}" for place in ("Marrow Bay", "Oskelby", "Vintrack") for first in ("Guild", "Gilde")]
    triples = [triple(name, "sells", f"salt {number}") for number, name in enumerate(names)]

    pairs = [set(names[at : at + 2]) for at in (0, 2, 4)]

    async def make(root: Path) -> Stored:
        return await run(ResolveEntities(), store(root, triples), judge(*pairs))

    some, whole = await partial_then_whole(tmp_path, make, 700)
    reasons = Counter(one.reason for one in rejects_in(some))
    assert reasons["over_budget"] > 0
    assert len(rows_of(some)) == len(rows_of(whole)) == 6
    assert len({row.head for row in rows_of(some)}) > len({row.head for row in rows_of(whole)})
