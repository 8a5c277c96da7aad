"""The small language of the benchmark of task-centric instructions."""

from __future__ import annotations

import itertools

import pytest

from benchmarks.tcia_benefit import table, verdict
from benchmarks.tcia_run import ARMS, ArmResult
from benchmarks.tcia_task import (
    BASE,
    ITEMS,
    OTHER_TASKS,
    Rules,
    answer,
    asked,
    instruction_of,
    notes,
    task_tokenizer,
)
from mashbill.constraints import checker_of


@pytest.mark.parametrize("unseen", [False, True])
def test_the_teachers_answer_keeps_every_constraint_by_code(unseen: bool) -> None:
    for constraints, text in asked(0, 150, unseen):
        said = answer(instruction_of(constraints), text)
        for one in constraints:
            checker = checker_of(one)
            assert checker is not None
            assert checker.check(said).passed, (constraints, text, said)


def test_what_is_kept_back_stands_in_no_constraint_that_is_trained_on() -> None:
    rules = Rules.of(3)
    seen, back = set(rules.seen_texts), {text for texts in rules.unseen.values() for text in texts}
    assert not seen & back
    assert {"count", "first", "last", "without"} == set(rules.unseen)
    for constraints, _ in asked(3, 100, unseen=True):
        assert len(set(constraints) & back) == 1
    for constraints, _ in asked(3, 100, unseen=False):
        assert set(constraints) <= seen


def test_another_task_has_another_answer_and_care_changes_none() -> None:
    text = "salt low \n pans leak \n oil sold \n lamps lit \n nets torn"
    assert answer(OTHER_TASKS[0], text) == "salt low"
    assert answer(f"{BASE} with care .", text) == answer(BASE, text) == text
    assert answer('write the minutes . Use exactly 1 bullet points . End with " ora " .', text) == "- salt low \n ora"


def test_text_goes_through_the_tokenizer_unchanged() -> None:
    tokenizer = task_tokenizer()
    for text in itertools.islice(notes(0, "test"), 20):
        said = answer(instruction_of(("Use a numbered list", 'Start with " ora "')), text)
        ids = tokenizer(f"Question: {text}\nAnswer: {said}")["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(tokenizer(said)["input_ids"]) == said
    assert len(text.split(" \n ")) == ITEMS


def results(kept: dict[str, list[float]]) -> list[ArmResult]:
    return [
        ArmResult(
            name=name,
            seed=seed,
            rows=1,
            texts=1,
            on_task=1.0,
            tokens=1,
            kept={"seen": 0.9, "unseen": share},
            done={"unseen": share, "general": 1.0},
            by_sort={"count": share},
            final_loss=0.1,
            seconds=1.0,
        )
        for name in ARMS
        for seed, share in enumerate(kept[name])
    ]


def test_the_verdict_wants_interval_above_interval() -> None:
    clear = results({"fixed": [0.0, 0.01, 0.0], "evolved": [0.1, 0.12, 0.11], "tcia": [0.5, 0.52, 0.51]})
    assert verdict(clear)[0]
    assert not verdict(results({"fixed": [0.0] * 3, "evolved": [0.1, 0.6, 0.3], "tcia": [0.5, 0.52, 0.51]}))[0]
    assert not verdict(results({"fixed": [0.0], "evolved": [0.1], "tcia": [0.5]}))[0]
    assert "| tcia | 1 | 1 | 1 | 1.00 |" in table(clear)
