from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from mashbill.engine import Request, Sampling, ScriptedEngine
from synth.evolve_prompts import OPERATIONS
from synth.generators.evolve_instruction import EvolveInstruction
from synth.generators.fixed_instruction import FixedInstruction
from tests.synth.rationale_helpers import count_reasons, rejects_in, rows_of, run
from tests.synth.tcia_teacher import BASE, BULLETS, PLACE, TONE, good, kind_of, part, searched, spoilt

SEED = searched(PLACE, TONE, text=f"{BASE}\n{{transcript}}", hop=0)


async def test_each_hop_rewrites_the_one_before(tmp_path: Path) -> None:
    engine = ScriptedEngine(good)
    made = rows_of(await run(tmp_path, EvolveInstruction(hops=3, operations=("deepen",)), [SEED], engine))
    assert [row.hop for row in made] == [1, 2, 3]
    assert [len(row.operations) for row in made] == [1, 2, 3]
    assert all(later.text.startswith(earlier.text) for earlier, later in itertools.pairwise(made))
    assert all(row.parents == (SEED.id,) and row.base_query == BASE and not row.constraints for row in made)
    assert [kind_of(one) for one in engine.seen] == ["deepen", "same"] * 3


async def test_operations_are_drawn_from_the_record_and_chains_differ(tmp_path: Path) -> None:
    seeds = [searched(PLACE, text=f"{BASE} {number}", number=number) for number in range(12)]
    made = rows_of(await run(tmp_path, EvolveInstruction(hops=2, chains=2), seeds, good))
    assert len(made) == 48
    assert {one.name for row in made for one in row.operations} >= set(OPERATIONS)
    assert len({row.text for row in made}) == 48
    again = rows_of(await run(tmp_path / "again", EvolveInstruction(hops=2, chains=2), seeds[:1], good))
    assert [row.id for row in again] == [row.id for row in made[:4]]


def evolved(text: str) -> str:
    return json.dumps({"instruction": text})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ({"deepen": evolved("… !")}, "no_words"),
        ({"deepen": lambda one: evolved(part(one, "instruction").upper())}, "nothing_gained"),
        ({"deepen": evolved("The rewritten prompt: sum up.")}, "speaks_of_itself"),
        ({"deepen": evolved("Sum up. <|im_end|>")}, "template_mark"),
        ({"same": json.dumps({"reason": "Alike.", "verdict": "yes"})}, "nothing_gained"),
        ({"same": "Yes."}, "unparsable"),
        ({"deepen": "No."}, "unparsable"),
    ],
)
async def test_a_rewriting_that_is_none_is_thrown_away_and_adds_no_hop(
    tmp_path: Path, spoil: dict[str, Any], reason: str
) -> None:
    made = await run(tmp_path, EvolveInstruction(hops=2, operations=("deepen",)), [SEED], spoilt(**spoil))
    assert rows_of(made) == []
    assert count_reasons(made) == {reason: 2}


async def test_after_a_failed_hop_the_chain_goes_on_from_what_there_is(tmp_path: Path) -> None:
    def first_fails(request: Request) -> str:
        calls.append(request)
        return "No." if len(calls) == 1 else good(request)

    calls = list[Request]()
    made = await run(tmp_path, EvolveInstruction(hops=3, operations=("deepen",)), [SEED], spoilt(deepen=first_fails))
    assert [row.hop for row in rows_of(made)] == [1, 2]
    assert count_reasons(made) == {"unparsable": 1}


async def test_what_two_chains_come_to_is_given_once(tmp_path: Path) -> None:
    step = EvolveInstruction(hops=1, chains=2, operations=("broaden",), compare=False)
    assert list(step.engines()) == []
    made = await run(tmp_path, step, [SEED], spoilt(broaden=evolved("Write of oil.")))
    assert len(rows_of(made)) == 1
    assert count_reasons(made) == {"repeats_a_draw": 1}


async def test_the_fixed_instruction_is_one_text_in_many_rows(tmp_path: Path) -> None:
    engine = ScriptedEngine(good)
    made = rows_of(await run(tmp_path, FixedInstruction(count=3), [SEED], engine))
    assert {row.text for row in made} == {SEED.text}
    assert len({row.id for row in made}) == 3
    assert engine.seen == []


async def test_a_seed_without_a_text_gets_the_plain_one(tmp_path: Path) -> None:
    made = await run(
        tmp_path, FixedInstruction(), [searched(BULLETS, PLACE), searched(), searched(base_query="")], good
    )
    assert [row.text for row in rows_of(made)] == [f"{BASE} Use at most five bullet points. {{transcript}}", BASE]
    assert count_reasons(made) == {"no_base_query": 1}
    made = await run(tmp_path / "b", EvolveInstruction(hops=1, operations=("deepen",)), [searched(BULLETS)], good)
    assert rows_of(made)[0].text.startswith(f"{BASE} Use at most five bullet points.")
    assert rejects_in(made) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hops": 0}, "hops is 0"),
        ({"operations": ()}, "operations is empty"),
        ({"chains": 2, "sampling": Sampling(temperature=0)}, "at temperature 0"),
    ],
)
def test_fields_that_make_nothing_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvolveInstruction(**fields)
    with pytest.raises(ValueError, match="count is 0"):
        FixedInstruction(count=0)
