"""A judge distilled: rows are decided as it would have decided them, and it is asked about few of them."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from filters.proxy_judge import ProxyJudge
from mashbill.errors import BillError, ProxyError
from mashbill.proxy_file import load_proxy
from mashbill.records import Document, Made
from tests.filters.judging import Marks, judged, scores_of, scripted
from tests.support.kernel import bytes_of, rejects_in, rows_of, store

SALT = ("brine", "salt", "evaporate", "pan", "crust", "saline")
LAMP = ("wick", "lantern", "oil", "flame", "glow", "lamplight")


def corpus(count: int, mixed: float = 0.0, seed: int = 0) -> list[Document]:
    """Texts on salt or on lamps, three to a source; a share of them on both."""
    draw, rows = random.Random(seed), list[Document]()
    for at in range(count):
        words = SALT + LAMP if draw.random() < mixed else draw.choice((SALT, LAMP))
        text = " ".join(draw.choice(words) for _ in range(12))
        rows.append(Document.new(text=f"{text} {at}", source_id=f"d{at // 3}", title="Salt"))
    return rows


def salty(text: str) -> bool:
    words = re.findall(r"[a-z]+", text)
    return sum(word in SALT for word in words) > sum(word in LAMP for word in words)


def on_salt(material: str) -> Marks:
    return {"label": "yes" if salty(material.split("<text>")[1]) else "no"}


STEP = ProxyJudge(instruction="Is it about salt?", sample=150, most_escalated=0.2)


async def test_rows_are_decided_as_the_judge_would_for_a_part_of_the_asks(tmp_path: Path) -> None:
    rows, engine = corpus(900, mixed=0.1), scripted(on_salt)
    made = await judged(STEP, store(tmp_path, rows, part_rows=200), engine)
    kept = {row.id for row in rows_of(made)}
    wrong = sum((row.id in kept) != salty(row.text) for row in rows)
    notes = made.manifest.notes
    assert len(engine.seen) == notes["judged"] + notes["escalated"] <= 150 + 150
    assert (notes["judged"], notes["judged"] + notes["escalated"] + notes["by_proxy"]) == (150, 900)
    assert wrong <= 27, "3 of 100 at most, and these are texts half on salt"
    assert made.manifest.counts.attempts == 900
    assert notes["dimensions"]["label"]["kappa"] > 0.8
    assert re.search(r" by a proxy that learnt from it; kappa .* label 0\.\d\d\.$|label 1\.00\.$", notes["card"][0])
    assert notes["dimensions"]["label"]["held_out"] + notes["dimensions"]["label"]["fitted"] == 150


async def test_each_row_says_who_decided_and_how(tmp_path: Path) -> None:
    made = await judged(STEP, store(tmp_path, corpus(400), part_rows=150), scripted(on_salt))
    for row in rows_of(made):
        scores = scores_of(row)
        assert scores["judge_label"] == 1.0 if scores["judge_asked"] else 0.5 <= scores["judge_label"] <= 1
    proxied = [one for one in rejects_in(made) if not scores_of(one)["judge_asked"]]
    asked = [one for one in rejects_in(made) if scores_of(one)["judge_asked"]]
    assert proxied
    assert asked
    assert {one.reason for one in proxied} == {"judge_low_label"}
    for one in proxied:
        assert one.value is not None
        assert one.value < 0.5
        assert one.detail.startswith("by the proxy: 0.")
    assert {one.detail for one in asked} == {"no, wanted yes: By the rule."}
    assert {json.loads(one.record)["id"] for one in asked}.isdisjoint(row.id for row in rows_of(made))


async def test_doubtful_rows_go_back_to_the_judge_up_to_a_share(tmp_path: Path) -> None:
    rows = corpus(600, mixed=0.3)
    seen = {}
    for share in (0.0, 0.05, 1.0):
        engine = scripted(on_salt)
        step = ProxyJudge(instruction="Is it about salt?", sample=150, most_escalated=share, sure=0.95)
        made = await judged(step, store(tmp_path / str(share), rows, part_rows=200), engine)
        kept = {row.id for row in rows_of(made)}
        seen[share] = made.manifest.notes["escalated"], sum((row.id in kept) != salty(row.text) for row in rows)
    assert seen[0.0][0] == 0
    assert seen[0.05][0] <= 0.05 * 450 < seen[1.0][0]
    assert seen[1.0][1] < seen[0.0][1], "the judge mends what the proxy was unsure of"


async def test_marks_of_a_rubric_are_expected_marks_and_the_least_decides(tmp_path: Path) -> None:
    def rule(material: str) -> Marks:
        share = sum(material.count(word) for word in SALT) / 12
        return {"substance": 1 + round(4 * min(1.0, share)), "clarity": 5, "soundness": 4 if "9" in material else 5}

    step = ProxyJudge(rubric="document", sample=200, least={"substance": 3}, save=str(tmp_path / "proxies"))
    made = await judged(step, store(tmp_path / "runs", corpus(500, mixed=0.3), part_rows=200), scripted(rule))
    kept = [scores_of(row) for row in rows_of(made)]
    proxied = [one for one in kept if not one["judge_asked"]]
    assert all(2 <= one["judge_substance"] <= 5 for one in proxied)
    assert Counter(one.reason for one in rejects_in(made)) == {"judge_low_substance": 500 - len(kept)}
    # What the judge always says the same of cannot be learnt, and decides nothing here.
    assert all(("judge_clarity" in one) == bool(one["judge_asked"]) for one in kept)
    assert "clarity" not in made.manifest.notes["dimensions"]
    proxy = load_proxy(tmp_path / "proxies" / "substance.json")
    assert proxy.label([" ".join(SALT * 2)]) == ["5"]


async def test_without_a_least_mark_all_rows_stay_and_the_likeliest_mark_says_how_sure_it_is(tmp_path: Path) -> None:
    def rule(material: str) -> Marks:
        salt = salty(material.split("<text>")[1])
        return {"substance": 5 if salt else 2, "clarity": 4 if salt else 5, "soundness": 3}

    step, engine = ProxyJudge(rubric="document", sample=120, sure=0.99, most_escalated=0.1), scripted(rule)
    made = await judged(step, store(tmp_path, corpus(240, mixed=0.2), part_rows=120), engine)
    assert (made.manifest.counts.kept, len(made.manifest.counts.rejected)) == (240, 0)
    assert 0 < made.manifest.notes["escalated"] <= 12
    assert set(made.manifest.notes["dimensions"]) == {"substance", "clarity"}
    for scores in map(scores_of, rows_of(made)):
        assert ("judge_soundness" in scores) == bool(scores["judge_asked"])
        assert 2 <= scores["judge_substance"] <= 5


async def test_all_rows_are_judged_where_there_are_few(tmp_path: Path) -> None:
    engine = scripted(on_salt)
    made = await judged(STEP, store(tmp_path, corpus(60)), engine)
    assert len(engine.seen) == 60
    assert made.manifest.notes == {
        "judge": "scripted/judge",
        "judged": 60,
        "escalated": 0,
        "by_proxy": 0,
        "dimensions": {},
        "card": ["60 rows were marked by scripted/judge."],
    }
    assert all(scores_of(row) == {"judge_label": 1.0, "judge_asked": 1.0} for row in rows_of(made))


async def test_blank_rows_and_missing_marks_are_neither_good_nor_learnt_from(tmp_path: Path) -> None:
    def rule(material: str) -> Marks | str:
        return "no comment" if re.search(r"[05]\b", material) else on_salt(material)

    rows = [*corpus(400), *(Document.new(text=" \n", title=str(at)) for at in range(20))]
    made = await judged(STEP, store(tmp_path, rows, part_rows=150), scripted(rule))
    reasons = made.manifest.counts.rejected
    assert reasons["nothing_to_judge"] == 20
    assert reasons["judge_no_mark"] >= 15
    assert made.manifest.notes["dimensions"]["label"]["kappa"] > 0.8
    for one in rejects_in(made):
        if one.reason == "judge_no_mark":
            assert "judge_label" not in scores_of(one)
        if one.reason == "nothing_to_judge":
            assert not scores_of(one)


async def test_a_proxy_that_does_not_agree_stops_the_run(tmp_path: Path) -> None:
    said = r"the proxy of label does not do what the judge does: on (2\d|30) held-out rows .* least_kappa wants 0.4"
    with pytest.raises(ProxyError, match=said):
        await judged(
            STEP, store(tmp_path / "a", corpus(200), part_rows=200), scripted(lambda text: {"label": _coin(text)})
        )
    with pytest.raises(ProxyError, match="label of the rubric label: 150 judged rows have 1 label"):
        await judged(STEP, store(tmp_path / "b", corpus(200), part_rows=200), scripted(lambda text: {"label": "yes"}))
    marks = {"substance": 5, "clarity": 5, "soundness": 5}
    loose = ProxyJudge(rubric="document", sample=100)
    with pytest.raises(ProxyError, match="no dimension of document can be learnt: the judge marked all 100 rows alike"):
        await judged(loose, store(tmp_path / "c", corpus(200), part_rows=200), scripted(lambda text: marks))


def _coin(material: str) -> str:
    return "yes" if int(re.findall(r"\d+", material)[-1]) * 7919 % 13 < 6 else "no"


ODD = ["ملح البحر", "塩は海から採れる。塩田。", "salt\x00pan brine", "\u202esalt brine", "salt " * 20_000, "🧂" * 50]


async def test_odd_texts_and_ids_that_come_twice_are_decided_like_others(tmp_path: Path) -> None:
    odd = [Document.new(text=text, title="Salt") for text in ODD]
    rows = [*corpus(200), *odd, *odd]
    made = await judged(STEP, store(tmp_path, rows, part_rows=90), scripted(on_salt))
    assert made.manifest.counts.attempts == len(rows)
    decided = [row.id for row in rows_of(made)] + [json.loads(one.record)["id"] for one in rejects_in(made)]
    assert sorted(decided) == sorted(row.id for row in rows)
    kept = Counter(row.id for row in rows_of(made))
    assert {kept[row.id] for row in odd} <= {0, 2}, "two rows of one id share a fate"


async def test_the_same_rows_in_other_parts_are_decided_alike(tmp_path: Path) -> None:
    rows = corpus(300, mixed=0.2)
    one = await judged(STEP, store(tmp_path / "a", rows, part_rows=300), scripted(on_salt))
    other = await judged(STEP, store(tmp_path / "b", rows[::-1], part_rows=70), scripted(on_salt))
    assert {row.id for row in rows_of(one)} == {row.id for row in rows_of(other)}


async def test_a_second_run_pays_nothing_and_writes_the_same_bytes(tmp_path: Path) -> None:
    rows, engine = corpus(300, mixed=0.2), scripted(on_salt)
    first = await judged(STEP, store(tmp_path / "a", rows, part_rows=100), engine, ledger=tmp_path / "ledger.sqlite")
    paid = len(engine.seen)
    again = await judged(STEP, store(tmp_path / "b", rows, part_rows=100), engine, ledger=tmp_path / "ledger.sqlite")
    assert len(engine.seen) == paid
    assert bytes_of(first.path) == bytes_of(again.path)


async def test_a_judge_of_the_family_that_wrote_the_rows_is_refused_before_any_ask(tmp_path: Path) -> None:
    made = Made(step="entigraph", engine="openai/qwen3-8b")
    rows = [Document.new(text=f"salt {at}", made=made if at == 7 else Made()) for at in range(8)]
    engine = scripted(on_salt, name="qwen2.5-72b")
    with pytest.raises(BillError, match="of the family that wrote the row, openai/qwen3-8b"):
        await judged(STEP, store(tmp_path / "a", rows), engine)
    assert not engine.seen
    step = ProxyJudge(instruction="Is it about salt?", same_family_ok=True)
    assert (await judged(step, store(tmp_path / "b", rows), engine)).manifest.counts.kept == 8


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "give either a rubric or an instruction"),
        ({"rubric": "document", "instruction": "Is it?"}, "give either a rubric or an instruction"),
        ({"instruction": "Is it?", "sample": 0}, "sample and characters are 1 or more"),
        ({"instruction": "Is it?", "sure": 1.5}, "sure is 1.5; it lies between 0 and 1"),
        ({"instruction": "Is it?", "most_escalated": -1}, "most_escalated is -1"),
        ({"instruction": "Is it?", "held_out": 1}, "held_out is 1; some rows are held out"),
        ({"rubric": "document", "least": {"style": 2}}, "least names style"),
    ],
)
def test_fields_that_mean_nothing_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ProxyJudge(**fields)
