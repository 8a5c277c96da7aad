from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mashbill.engine import Request, Sampling, ScriptedEngine
from mashbill.records import Document
from synth.generators.chain_of_density import ChainOfDensity
from tests.synth.rationale_helpers import asked, count_reasons, rejects_in, rows_of, run

NAMES = ["Ora Venn", "Salt Guild", "Marrow Bay", "Old Perrick", "lampwrights"]
TEXT = Document.new(
    title="The Salt Guild",
    text="Ora Venn founded the Salt Guild in Marrow Bay. Old Perrick sold its salt to the lampwrights. " * 8,
)
STEP = ChainOfDensity(words=20, slack=0.25)


def summary(names: list[str], count: int = 20) -> str:
    text = " and ".join(names)
    return " ".join([*text.split(), *(["so"] * count)][:count])


def round_of(request: Request) -> int:
    """Which round a prompt asks for, from 0."""
    named = re.search(r"It names: (.+)\.\n", asked(request))
    return len(named[1].split("; ")) if named else 0


def reply(names: list[str], missing: list[str], count: int = 20) -> str:
    return json.dumps({"missing": missing, "summary": summary(names, count)})


def good(request: Request) -> str:
    at = round_of(request)
    return reply(NAMES[: at + 1], [NAMES[at]])


def spoilt(at: int, **fields: Any) -> Any:
    """The good teacher, but for one round."""

    def script(request: Request) -> str:
        if round_of(request) != at:
            return good(request)
        return json.dumps({**json.loads(good(request)), **fields}) if "raw" not in fields else fields["raw"]

    return script


async def test_the_last_round_is_the_answer_and_the_others_are_its_lineage(tmp_path: Path) -> None:
    engine = ScriptedEngine(good)
    (row,) = rows_of(await run(tmp_path, STEP, [TEXT], engine))
    assert row.answer == summary(NAMES[:4])
    assert (row.task, row.question) == ("summary", "Summarise the text in about 20 words.")
    assert row.context == TEXT.text
    assert row.rationale.startswith("Round 1 (Ora Venn): ")
    assert row.rationale.count("Round ") == 3
    assert len(row.made.asks) == 4
    assert row.verified
    assert len({request.messages[1].parts[0] for request in engine.seen}) == 1, "the document comes first and is shared"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (spoilt(1, summary=summary(NAMES[:2], 26)), "lost_length"),
        (spoilt(1, summary=summary(NAMES[:2], 14)), "lost_length"),
        (spoilt(1, missing=["King Arthur"]), "entity_not_in_document"),
        (spoilt(1, missing=["Ora Venn"]), "entity_repeated"),
        (spoilt(2, missing=["the Salt Guilds"]), "entity_repeated"),
        (spoilt(2, missing=["salt guild"]), "entity_repeated"),
        (spoilt(0, missing=["Ora Venn founded the Salt Guild"]), "entity_too_long"),
        (spoilt(1, missing=["Marrow Bay"]), "entity_not_in_summary"),
        (spoilt(2, summary=summary(NAMES[1:3])), "entity_lost"),
        (spoilt(1, missing=[]), "unparsable"),
        (spoilt(1, missing=NAMES[1:]), "unparsable"),
        (spoilt(1, raw="The guild sold salt."), "unparsable"),
    ],
)
async def test_a_round_that_breaks_a_rule_gives_the_document_up(tmp_path: Path, script: Any, reason: str) -> None:
    engine = ScriptedEngine(script)
    made = await run(tmp_path, ChainOfDensity(words=20, tries=2), [TEXT], engine)
    assert rows_of(made) == []
    assert count_reasons(made) == {reason: 1}
    (reject,) = rejects_in(made)
    assert re.search(r"round \d of 4, draw 2", reject.detail)
    assert len(reject.made.asks) == 2, "both draws of the round that failed"


async def test_a_round_that_failed_is_drawn_again(tmp_path: Path) -> None:
    seen = list[int]()

    def at_second(request: Request) -> str:
        seen.append(round_of(request))
        return good(request) if seen.count(round_of(request)) > 1 else "No."

    engine = ScriptedEngine(at_second)
    assert len(rows_of(await run(tmp_path, ChainOfDensity(words=20, tries=2), [TEXT], engine))) == 1
    assert len(engine.seen) == 8


async def test_a_document_shorter_than_its_summary_is_not_asked_about(tmp_path: Path) -> None:
    engine = ScriptedEngine(good)
    made = await run(tmp_path, STEP, [Document.new(text="Salt is sold in Marrow Bay.")], engine)
    assert count_reasons(made) == {"short_document": 1}
    assert engine.seen == []


def test_fields_that_make_nothing_are_refused() -> None:
    for wrong, message in (
        ({"rounds": 0}, "rounds is 0"),
        ({"words": 5}, "words is 5"),
        ({"slack": 1.0}, "slack is 1.0"),
        ({"sampling": Sampling(temperature=0)}, "tries is 3 at temperature 0"),
        ({"denser": "{summary}"}, "lacks {entities}"),
    ):
        with pytest.raises(ValueError, match=message):
            ChainOfDensity(**wrong)
