from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from filters.farthest_rationales import FarthestRationales
from filters.pass_rate_band import PassRateBand
from filters.skeleton_dedup import SkeletonDedup
from mashbill.errors import BillError
from mashbill.records import QA, Document, Rationale, Record, from_table, to_table
from mashbill.step import DatasetStep


class Held:
    """Some rows as parts."""

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        self.tables = tables

    def __len__(self) -> int:
        return len(self.tables)

    def table(self, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        return self.tables[index] if columns is None else self.tables[index].select(list(columns))

    def __iter__(self) -> Any:
        return iter(self.tables)


def judge(
    step: DatasetStep[Any, Any], rows: Sequence[Record], sizes: Sequence[int] = ()
) -> tuple[list[Any], list[Any]]:
    """Kept rows and rejects, of rows in parts of these sizes."""
    kind, tables, at = type(rows[0]), [], 0
    for size in (*sizes, len(rows)):
        tables.append(to_table(rows[at : at + size], kind))
        at = min(len(rows), at + size)
    kept, rejects = [], []
    for index, output in enumerate(step.run(Held(tables))):
        assert output.kept.num_rows + output.rejects.num_rows == tables[index].num_rows
        kept += from_table(output.kept, kind)
        rejects += output.rejects.to_pylist()
    return kept, rejects


def rationale(text: str, question: str = "How many?", **fields: Any) -> Rationale:
    return Rationale.new(question=question, rationale=text, answer="12", gold="12", **fields)


GOLD = rationale("She gets 3*4=12 marks.", skeleton="3*4=12", teacher="gold")
SAME = rationale("So 3 * 4 = 12 marks.", skeleton="3*4=12")
NEAR = rationale("4 + 4 = 8, 8 + 4 = 12", skeleton="4+4=8;8+4=12")
FAR = rationale("First take two of the bags: 4 + 4 = 8. With the third one 8 + 4 = 12.", skeleton="4+4=8;8+4=12")


def test_one_of_each_skeleton_stays_the_one_most_unlike_the_rest_and_the_gold_one_always() -> None:
    kept, rejects = judge(SkeletonDedup(), [SAME, NEAR, FAR, GOLD])
    assert kept == [FAR, GOLD]
    assert {(one["reason"], one["kept_id"]) for one in rejects} == {
        ("same_skeleton", GOLD.id),
        ("same_skeleton", FAR.id),
    }
    assert {one["value"] for one in rejects if one["kept_id"] == FAR.id} == {
        float(Levenshtein.distance(f"{NEAR.rationale}\n12", f"{GOLD.rationale}\n12"))
    }


def test_texts_without_equations_are_not_all_one_and_bare_labels_are_never_copies() -> None:
    steps = [rationale(f"Way {at}", skeleton=f"way {at}") for at in range(3)]
    labels = [rationale("", context=f"Text {at % 2}", teacher=f"t{at}") for at in range(4)]
    kept, rejects = judge(SkeletonDedup(), [*steps, *labels])
    assert len(kept) == 7
    assert rejects == []


def test_equal_skeletons_of_different_questions_both_stay() -> None:
    rows = [SAME, rationale("3 * 4 = 12", question="And how many lamps?", skeleton="3*4=12")]
    assert judge(SkeletonDedup(), rows)[0] == rows


def test_the_most_different_are_kept_gold_first() -> None:
    texts = ["aaaa", "aaab", "bbbb", "cccc cccc"]
    rows = [rationale(text, skeleton=text) for text in texts]
    kept, rejects = judge(FarthestRationales(most=3), [*rows, GOLD])
    assert GOLD in kept
    assert len(kept) == 3
    assert {one["reason"] for one in rejects} == {"too_alike"}
    one = judge(FarthestRationales(most=1), [*rows, GOLD])[0]
    assert one == [GOLD]
    by_hand = [GOLD]
    left = list(rows)
    while len(by_hand) < 3:
        sums = {
            row.id: sum(
                Levenshtein.distance(f"{row.rationale}\n12", f"{kept_one.rationale}\n12") for kept_one in by_hand
            )
            for row in left
        }
        best = min(left, key=lambda row: (-sums[row.id], row.id))
        by_hand.append(best)
        left.remove(best)
    assert {row.id for row in kept} == {row.id for row in by_hand}


rows_of_questions = st.lists(
    st.builds(
        rationale,
        st.text(alphabet="ab 1", min_size=1, max_size=12),
        question=st.sampled_from(["q", "r", "s"]),
        skeleton=st.sampled_from(["", "1", "2", "3"]),
        teacher=st.sampled_from(["main", "big", "gold"]),
    ),
    min_size=1,
    max_size=14,
    unique_by=lambda row: row.id,
)


@given(
    rows=rows_of_questions, seed=st.integers(0, 99), step=st.sampled_from([SkeletonDedup(), FarthestRationales(most=2)])
)
@settings(max_examples=120, deadline=None)
def test_what_is_kept_does_not_depend_on_order_or_parts_and_choosing_twice_changes_nothing(
    rows: list[Rationale], seed: int, step: DatasetStep[Any, Any]
) -> None:
    kept, _ = judge(step, rows)
    random.Random(seed).shuffle(rows)
    sizes = [random.Random(seed + at).randrange(0, 4) for at in range(3)]
    again, _ = judge(step, rows, sizes)
    assert {row.id for row in kept} == {row.id for row in again}
    assert {row.id for row in rows if row.teacher == "gold"} <= {row.id for row in kept}
    if kept:
        assert {row.id for row in judge(step, kept)[0]} == {row.id for row in kept}


def question(at: int, rate: float | None) -> QA:
    return QA.new(question=f"Question {at}?", answer="12", pass_rate=rate)


def test_never_solved_questions_go_and_easy_ones_are_capped() -> None:
    rows = [question(at, rate) for at, rate in enumerate([0.0, 0.25, 0.5, 0.75, 0.9, None, *[1.0] * 10])]
    kept, rejects = judge(PassRateBand(max_easy=0.5), rows, [3, 5, 1])
    rates = [row.pass_rate for row in kept]
    assert rates.count(1.0) == 5 == len([rate for rate in rates if rate != 1.0])
    assert {one["reason"] for one in rejects} == {"never_solved", "too_easy"}
    assert {one["value"] for one in rejects if one["reason"] == "never_solved"} == {0.0}


@given(
    rates=st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0, None]), min_size=1, max_size=30),
    share=st.sampled_from([0.0, 0.2, 1 / 3, 0.5, 1.0]),
    seed=st.integers(0, 20),
)
@settings(max_examples=100, deadline=None)
def test_the_share_of_easy_questions_holds_whatever_the_order(
    rates: list[float | None], share: float, seed: int
) -> None:
    rows = [question(at, rate) for at, rate in enumerate(rates)]
    kept, _ = judge(PassRateBand(max_easy=share), rows)
    easy = sum(row.pass_rate == 1.0 for row in kept)
    assert easy <= share * len(kept) + 1e-9
    random.Random(seed).shuffle(rows)
    assert {row.id for row in judge(PassRateBand(max_easy=share), rows, [2, 3])[0]} == {row.id for row in kept}


def test_rows_of_one_question_stay_or_go_together_and_hinted_ones_stay() -> None:
    rows = [rationale(f"way {at}", question=f"q{at // 2}", pass_rate=1.0) for at in range(8)]
    rows += [rationale("told", question="hard", pass_rate=0.0, hinted=True)]
    rows += [rationale("gold", question="impossible", pass_rate=0.0, teacher="gold")]
    kept, rejects = judge(PassRateBand(max_easy=0.5, keep_gold=False), rows)
    assert sorted(row.question for row in kept)[0] == "hard"
    assert len(kept) == 3
    assert len({row.question for row in kept}) == 2
    assert [one["text"] for one in rejects if one["reason"] == "never_solved"] == [""]


def test_what_a_question_came_with_stays_whatever_teachers_made_of_it() -> None:
    rows = [rationale("gold", question=f"q{at}", pass_rate=rate, teacher="gold") for at, rate in enumerate([0, 1, 0.5])]
    rows += [rationale("a way", question="q1", pass_rate=1.0), rationale("a way", question="q2", pass_rate=0.5)]
    kept, rejects = judge(PassRateBand(max_easy=0.0), rows)
    assert [(row.question, row.teacher) for row in kept] == [("q0", "gold"), ("q1", "gold"), ("q2", "gold"), ("q2", "")]
    assert [one["reason"] for one in rejects] == ["too_easy"]
    # Gold rows make no room for easy questions: of the two that teachers answered one may be easy, not two of four.
    more = [*rows, *(rationale("gold", question=f"x{at}", pass_rate=0.0, teacher="gold") for at in range(9))]
    more += [rationale("a way", question="q3", pass_rate=1.0)]
    assert sum(row.teacher == "" and row.pass_rate == 1 for row in judge(PassRateBand(max_easy=0.5), more)[0]) == 1


def test_unmeasured_rows_may_go_too() -> None:
    rows = [question(0, None), question(1, 0.5)]
    assert judge(PassRateBand(unmeasured=False), rows)[1][0]["reason"] == "unmeasured"


def test_limits_that_mean_nothing_and_rows_without_a_rate_are_refused() -> None:
    with pytest.raises(ValueError, match=r"above is 1\.0"):
        PassRateBand(above=1.0)
    with pytest.raises(ValueError, match=r"max_easy is 1\.5"):
        PassRateBand(max_easy=1.5)
    with pytest.raises(ValueError, match="most is 0"):
        FarthestRationales(most=0)
    with pytest.raises(BillError, match="the rows it read have none"):
        judge(PassRateBand(), [Document.new(text="Salt.")])
