from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mashbill.errors import BillError, InputError
from mashbill.exemplars import Exemplar, bank_digest, counted, grown, read_bank, rejects_showing, write_bank
from mashbill.fingerprint import fingerprint, step_identity
from mashbill.records import QA
from mashbill.section import Section
from synth.exemplars import FewShot, Written
from synth.generators.teacher_rationale import TeacherRationale
from synth.rationale_bank import exemplars_of
from tests.synth.rationale_helpers import SALT, in_turn, rejects_in, rows_of, run

LAMP = Written(question="Two lamps cost 5 marks each. How many marks?", worked="2 * 5 = 10\n#### 10")


def example(question: str, **fields: object) -> Exemplar:
    return Exemplar.new(keys=(question,), text=f"{question}\n\nIt is so.\n#### 1", **fields)


BANK = [
    example("How many marks do 4 bags of salt cost at 2 marks each?"),
    example("Which guild sold lamps in Oskelby?"),
    example("How many marks does a bag of salt cost?", n_retrieved=40, n_success=0),
    example("How long is the road to Vintrack?", human=True),
]


def bank(root: Path, examples: list[Exemplar] = BANK) -> str:
    write_bank(root / "bank.parquet", examples)
    return str(root / "bank.parquet")


def test_a_bank_is_stored_whole_and_in_one_order(tmp_path: Path) -> None:
    write_bank(tmp_path / "a.parquet", BANK)
    write_bank(tmp_path / "b.parquet", [*BANK[::-1], BANK[0]])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert {one.id for one in read_bank(tmp_path / "a.parquet")} == {one.id for one in BANK}
    assert read_bank(tmp_path / "a.parquet") == sorted(BANK, key=lambda one: one.id)


def test_a_file_that_is_no_bank_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("salt")
    with pytest.raises(InputError, match=r"x\.parquet: is no bank of exemplars"):
        read_bank(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="no such bank"):
        FewShot(shots=1, bank=str(tmp_path / "none.parquet"))


def test_the_nearest_and_most_useful_are_shown_with_a_floor_of_peoples(tmp_path: Path) -> None:
    few = FewShot(shots=2, bank=bank(tmp_path))
    shown = few.choose([SALT.question], SALT)
    assert [one.human for one in shown.exemplars] == [True, False], "people's first, then the nearest"
    assert shown.exemplars[1].id == BANK[0].id, "one that never helped is passed over for one that was not tried"
    assert few.choose([SALT.question], SALT) == shown
    assert shown.block.count("Example ") == 2
    free = dataclasses.replace(few, people=0, usefulness=0.0)
    assert {one.id for one in free.choose([SALT.question], SALT).exemplars} == {BANK[0].id, BANK[2].id}
    people = FewShot(shots=1, bank=few.bank, written=(LAMP,), people=1)
    assert [one.human for one in people.choose([SALT.question]).exemplars] == [True]


def test_the_question_itself_is_never_its_own_example(tmp_path: Path) -> None:
    own = [example(SALT.question.upper() + "!"), example("A retelling", parents=("q", SALT.id)), BANK[1]]
    shown = FewShot(shots=3, people=0, bank=bank(tmp_path, own)).choose([SALT.question], SALT)
    assert shown.ids == (BANK[1].id,)


def test_nothing_is_shown_where_nothing_is_asked_for(tmp_path: Path) -> None:
    assert FewShot().choose(["salt"]).block == ""
    for wrong, message in (
        ({"shots": 1}, "nothing to show"),
        ({"shots": -1}, "shots is -1"),
        ({"people": -1}, "people -1"),
    ):
        with pytest.raises(ValueError, match=message):
            FewShot(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs a question"):
        Written(question=" ", worked="x")


def test_what_a_bank_holds_is_identity_and_where_it_lies_is_not(tmp_path: Path) -> None:
    def print_of(path: str) -> str:
        return fingerprint(step_identity(TeacherRationale(few_shot=FewShot(shots=1, bank=path))))

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    same = print_of(bank(tmp_path / "a")), print_of(bank(tmp_path / "b", BANK[::-1]))
    assert same[0] == same[1]
    used = [dataclasses.replace(BANK[0], n_retrieved=1), *BANK[1:]]
    assert print_of(bank(tmp_path / "a", used)) != same[0]
    assert bank_digest(used) != bank_digest(BANK)


def test_a_bank_is_found_beside_the_bill(tmp_path: Path) -> None:
    bank(tmp_path)
    (tmp_path / "bill.yaml").write_text("few_shot: {shots: 1, bank: bank.parquet}\n")
    step = Section.load(tmp_path / "bill.yaml").build(TeacherRationale)
    assert step.few_shot.bank == str(tmp_path / "bank.parquet")
    (tmp_path / "bill.yaml").write_text("few_shot:\n  shots: 1\n  bank: none.parquet\n")
    with pytest.raises(BillError, match=r"bill\.yaml:\d.*no such bank"):
        Section.load(tmp_path / "bill.yaml").build(TeacherRationale)


async def test_counts_come_from_a_finished_run_and_good_rows_join_the_bank(tmp_path: Path) -> None:
    step = TeacherRationale(task="maths", draws=3, few_shot=FewShot(shots=2, bank=bank(tmp_path)))
    made = await run(tmp_path, step, [SALT], in_turn("3 * 4 = 12\n#### 12", "No.", "4 + 4 + 4 = 12\n#### 12"))
    shown = rows_of(made)[0].exemplars
    after = {one.id: one for one in counted(BANK, made)}
    assert {key: (after[key].n_retrieved, after[key].n_success) for key in shown} == dict.fromkeys(shown, (3, 2))
    others = [one for one in after.values() if one.id not in shown]
    assert {(one.n_retrieved, one.n_success) for one in others} == {(0, 0), (40, 0)}
    assert after[shown[0]].usefulness == 3 / 5
    assert [one.reason for one in rejects_showing(rejects_in(made), shown[0])] == ["no_final_answer"]

    accepted = exemplars_of(rows_of(made))
    assert [one.text for one in accepted] == [
        f"{SALT.question}\n\n3 * 4 = 12\n#### 12",
        f"{SALT.question}\n\n4 + 4 + 4 = 12\n#### 12",
    ]
    assert all(SALT.id in one.parents and not one.human for one in accepted)
    larger = grown(list(after.values()), accepted)
    assert len(larger) == 6
    assert grown(larger, accepted) == larger
    kept = grown(larger, [], most=3)
    assert len(kept) == 3
    assert BANK[3].id in {one.id for one in kept}
    assert BANK[2].id not in {one.id for one in kept}
    assert [one.human for one in grown(larger, [], most=0)] == [True]


async def test_gold_rationales_become_peoples_examples_and_failures_never_enter(tmp_path: Path) -> None:
    question = QA.new(question=SALT.question, answer="12", rationale="3 * 4 = 12")
    made = await run(tmp_path, TeacherRationale(task="maths"), [question], lambda _: "#### 3")
    (own,) = exemplars_of(rows_of(made))
    assert own.human
    hinted = [dataclasses.replace(row, hinted=True) for row in rows_of(made)]
    assert exemplars_of(hinted) == []
