"""What a judge is worth: judges of known worth and known leanings are found out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filters.gold_set import GoldItem, pairs_of, read_gold
from filters.judge_check import check_judge
from filters.rubric_file import read_rubric
from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.engine import Request, ScriptedEngine
from mashbill.errors import InputError
from mashbill.ledger import Ledger

RUBRIC = read_rubric("knowledge")
GOLD = read_gold(RUBRIC)
BY_TEXT = {item.shown["text"]: item for item in GOLD}


def between(text: str, tag: str) -> str:
    return text.split(f"<{tag}>\n")[1].split(f"\n</{tag}>")[0]


def truth(text: str) -> dict[str, Any]:
    marks = {name: int(mark) for name, mark in BY_TEXT[text].marks.items()}
    return {"reason": "", **{name: marks.get(name) for name in RUBRIC.dimensions}}


def knows(one: str, other: str) -> str:
    return "A" if sum(map(int, BY_TEXT[one].marks.values())) > sum(map(int, BY_TEXT[other].marks.values())) else "B"


async def checked(
    folder: Path,
    marks: Callable[[str], Any],
    choice: Callable[[str, str], str],
    items: list[GoldItem] | None = None,
    *,
    pairs: bool = True,
) -> dict[str, Any]:
    def answer(request: Request) -> str:
        shown = request.messages[1].content
        if "<text_a>" in shown:
            better = choice(between(shown, "text_a"), between(shown, "text_b"))
            return json.dumps({"reason": "", "better": better})
        return json.dumps(marks(between(shown, "text")))

    ledger = Ledger(folder / "ledger.sqlite")
    async with Asker(ScriptedEngine(answer), ledger) as asker:
        found = await check_judge(RUBRIC, items or GOLD, Ask(asker, "gold", "judge_check"), "main", pairs=pairs)
    await ledger.close()
    return found


def test_the_gold_set_that_comes_with_mashbill_is_whole() -> None:
    assert len(GOLD) == 56
    kinds = {item.kind for item in GOLD}
    assert kinds == {"good", "wrong", "detail", "aside", "elsewhere", "padded", "wordy"}
    assert len(BY_TEXT) == 56, "no text stands there twice"
    pairs = pairs_of(RUBRIC, GOLD)
    assert {pair.better.kind for pair in pairs} == {"good"}
    assert len(pairs) == 48
    longer = [pair for pair in pairs if pair.better.length > pair.worse.length]
    assert 12 <= len(longer) <= 36, "the better text is as often the longer one as not, or length could not be seen"


async def test_a_judge_that_knows_the_marks_agrees_with_all_of_them(tmp_path: Path) -> None:
    found = await checked(tmp_path, truth, knows)
    for name, one in found["dimensions"].items():
        assert (one["exact"], one["kappa"], one["weighted_kappa"], one["pass_kappa"]) == (1, 1, 1, 1), name
    assert found["dimensions"]["factuality"]["items"] == 48, "nothing can be said of what speaks of something else"
    assert found["pairs"]["right"] == found["pairs"]["consistent"] == 1.0
    assert found["pairs"]["first"] == 0.5
    assert found["padding"] == {"relevance": 0.0, "factuality": 0.0}


async def test_a_judge_that_always_says_five_agrees_no_more_than_chance(tmp_path: Path) -> None:
    found = await checked(tmp_path, lambda text: {"reason": "", **dict.fromkeys(RUBRIC.dimensions, 5)}, knows)
    one = found["dimensions"]["factuality"]
    assert one["exact"] == pytest.approx(32 / 48, abs=1e-3)
    assert (one["kappa"], one["weighted_kappa"], one["pass_kappa"]) == (0.0, 0.0, 0.0)


async def test_a_judge_that_takes_the_first_is_found_out(tmp_path: Path) -> None:
    pairs = (await checked(tmp_path, truth, lambda one, other: "A"))["pairs"]
    assert (pairs["first"], pairs["consistent"], pairs["right"]) == (1.0, 0.0, 0.0)


async def test_a_judge_that_takes_the_longer_one_is_found_out(tmp_path: Path) -> None:
    def padded_is_true(text: str) -> dict[str, Any]:
        return truth(text) | ({"factuality": 3} if BY_TEXT[text].kind != "padded" else {"factuality": 5})

    found = await checked(tmp_path, padded_is_true, lambda one, other: "A" if len(one) > len(other) else "B")
    pairs = found["pairs"]
    assert (pairs["right_shorter"], pairs["right_longer"]) == (0.0, 1.0)
    assert pairs["first"] == pytest.approx(0.5, abs=0.1)  # a few pairs are equally long
    assert found["padding"] == {"relevance": 0.0, "factuality": 2.0}


async def test_what_is_not_answered_is_missing_and_not_wrong(tmp_path: Path) -> None:
    found = await checked(
        tmp_path, lambda text: "no" if BY_TEXT[text].kind == "wrong" else truth(text), lambda a, b: "C"
    )
    one = found["dimensions"]["factuality"]
    assert (one["items"], one["missing"], one["exact"]) == (48, 8, 1.0)
    assert found["pairs"] == {"pairs": 48, "missing": 48}
    silent = await checked(tmp_path / "b", lambda text: "no", knows, pairs=False)
    assert silent["dimensions"]["brevity"] == {"items": 56, "missing": 56}
    assert silent["padding"] == {}
    assert "pairs" not in silent


async def test_texts_without_a_group_make_no_pairs(tmp_path: Path) -> None:
    items = [GoldItem({"query": "", "evidence": "", "text": next(iter(BY_TEXT))}, {"brevity": "5"})]
    assert "pairs" not in await checked(tmp_path, truth, knows, items)


LINE = '{"text": "t", "marks": {"brevity": 3}}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n", "holds no item"),
        ("{", r"gold.jsonl:1: is no gold item"),
        (LINE + '\n{"text": "t"}', r"gold.jsonl:2: is no gold item: marks: Field required"),
        (
            LINE.replace("3", "9"),
            "brevity is 9; the rubric knowledge has marks of relevance, brevity, factuality, each",
        ),
        (LINE.replace("brevity", "style"), "style is 3"),
        (LINE.replace('"brevity": 3', ""), "it has no mark"),
        (LINE.replace('"text": "t", ', ""), "lacks text, which the rubric knowledge shows a judge"),
    ],
)
def test_a_gold_set_that_is_none_says_what_is_wrong_and_where(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "gold.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_gold(RUBRIC, tmp_path / "gold.jsonl")


def test_a_rubric_without_a_gold_set_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no gold set comes with the rubric qa; write one and give it with --gold"):
        read_gold(read_rubric("qa"))
    with pytest.raises(InputError, match="cannot read the gold set"):
        read_gold(RUBRIC, tmp_path / "none.jsonl")
