from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mashbill.engine import Reply, Request, ScriptedEngine
from mashbill.records import Document
from synth.generators.rephrase import Rephrase
from tests.synth.generator_helpers import (
    BRACES,
    FILLER,
    GUILD,
    PLAIN,
    ShuffledEngine,
    cut,
    digest_of,
    forget,
    good_text,
    instead,
    question_of,
    rejects_of,
    rows_of,
    run,
    store,
    teacher,
)

STEP = Rephrase(copies=2)


async def test_each_style_is_written_as_often_as_asked(tmp_path: Path) -> None:
    engine = ScriptedEngine(teacher)
    made = await run(STEP, store(tmp_path, [GUILD, PLAIN]), engine)
    rows = rows_of(made)
    assert [row.subjects for row in rows[:6]] == [("easy",), ("medium",), ("hard",)] * 2
    assert {row.kind for row in rows} == {"rephrase"}
    assert {row.title for row in rows} == {GUILD.title, PLAIN.title}
    assert len({row.id for row in rows}) == len({row.text for row in rows}) == 12
    assert [row.made.seed for row in rows] == [request.seed for request in engine.seen]
    assert len({request.messages[1].parts[0] for request in engine.seen}) == 2


async def test_more_copies_keep_the_first_ones(tmp_path: Path) -> None:
    source, engine = store(tmp_path, [GUILD]), ScriptedEngine(teacher)
    one = rows_of(await run(replace(STEP, copies=1, styles=("hard", "easy")), source, engine))
    more = rows_of(await run(replace(STEP, copies=3, styles=("hard", "easy")), source, engine))
    assert [row.id for row in more[:2]] == [row.id for row in one]
    assert len(engine.seen) == 6


REPLIES: dict[str, str | Reply] = {
    "truncated": cut(f"The Salt Guild {FILLER} {FILLER} and the"),
    "too_short": "The Salt Guild grew.",
    "title_missing": f"A union. {FILLER} {FILLER}",
    "copies_document": f"{GUILD.title}: {' '.join([GUILD.text] * 4)}",
    "refusal": f"I am unable to rewrite The Salt Guild. {FILLER} {FILLER}",
    "empty": "\n",
}


@pytest.mark.parametrize("reason", sorted(REPLIES))
async def test_a_bad_reply_is_a_reject_that_can_be_read(reason: str, tmp_path: Path) -> None:
    def write(request: Request) -> str | Reply | None:
        return REPLIES[reason] if "scholar" in question_of(request) else None

    made = await run(Rephrase(), store(tmp_path, [GUILD]), ScriptedEngine(instead(write)))
    assert made.manifest.counts.rejected == {reason: 1}
    (reject,) = rejects_of(made)
    reply = REPLIES[reason]
    assert reject.text.strip() == (reply if isinstance(reply, str) else reply.text).strip()
    assert reject.subjects == ("hard",)
    assert reject.made.asks


async def test_the_same_text_twice_is_one_row(tmp_path: Path) -> None:
    text = f"The Salt Guild. {FILLER} {FILLER}"
    made = await run(STEP, store(tmp_path, [GUILD]), ScriptedEngine(instead(lambda _: text)))
    assert made.manifest.counts.kept == 3
    assert made.manifest.counts.rejected == {"repeats_another": 3}
    assert all(reject.made.asks for reject in rejects_of(made))


async def test_braces_and_an_empty_document(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda request: f"{BRACES.title} {request.seed} {FILLER} {FILLER}")
    made = await run(STEP, store(tmp_path, [BRACES, Document.new(text="")]), engine)
    assert made.manifest.counts.rejected == {"empty_document": 1}
    assert all(BRACES.text in request.messages[1].content for request in engine.seen)
    assert all(f'"{BRACES.title}"' in question_of(request) for request in engine.seen)


async def test_running_again_and_order_never_change_the_bytes(tmp_path: Path) -> None:
    digests = set()
    for batch in (1, 7, 64):
        root = tmp_path / str(batch)
        source, engine = store(root, [GUILD, PLAIN], parts=2), ShuffledEngine(teacher, batch=batch, order=batch)
        made = await run(STEP, source, engine)
        digests.add(digest_of(made))
        paid = len(engine.seen)
        forget(made)
        digests.add(digest_of(await run(STEP, source, engine)))
        assert len(engine.seen) == paid
        shutil.rmtree(root)
    assert len(digests) == 1


async def test_trimmed_texts_are_judged_by_what_is_left(tmp_path: Path) -> None:
    step = Rephrase(truncated="trim", styles=("easy",))
    source = store(tmp_path, [GUILD, PLAIN])
    script = instead(
        lambda request: cut(f"{good_text(request)} And" if GUILD.text in str(request) else "Lamps. And so")
    )
    made = await run(step, source, ScriptedEngine(script))
    assert [row.title for row in rows_of(made)] == [GUILD.title]
    assert made.manifest.counts.rejected == {"too_short": 1}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"styles": ("easy", "easy")}, "take one or more of easy, medium, hard, each once"),
        ({"styles": ()}, "take one or more"),
        ({"styles": ("odd",)}, "styles is ['odd']"),
        ({"copies": 0}, "copies is 0"),
        ({"hard": "Rewrite {it}."}, "hard: the template has no place {it}"),
    ],
)
def test_fields_that_cannot_work_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Rephrase(**fields)  # type: ignore[arg-type]
