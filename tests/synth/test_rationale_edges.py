"""Worked answers at the edges: scripts without spaces, one way written twice, forged tags, short hints, odd rounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.engine import Request
from mashbill.exemplars import Exemplar, write_bank
from mashbill.records import QA, Document
from synth.exemplars import FewShot, Written
from synth.generators.chain_of_density import ChainOfDensity
from synth.generators.new_inputs import NewInputs
from synth.generators.teacher_rationale import TeacherRationale
from synth.graders import Case
from synth.rationale_hint import hint_leak
from synth.rationale_language import length_of
from synth.rationale_skeleton import skeleton_of
from tests.synth.rationale_helpers import SALT, count_reasons, rows_of, run
from tests.synth.test_chain_of_density import NAMES, STEP, TEXT, good, reply, round_of, summary

numbers = st.integers(0, 999).map(str)


@given(st.lists(numbers, min_size=2, max_size=5), st.sampled_from(["+", "*"]), st.randoms())
def test_sums_and_products_in_another_order_are_one_way(found: list[str], sign: str, random: object) -> None:
    turned = sorted(found, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert skeleton_of(f"So {sign.join(found)} = 7.") == skeleton_of(f"That is {f' {sign} '.join(turned)} = 7.0")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("6 - 2 = 4", "2 - 6 = 4"),
        ("6 / 2 = 3", "2 / 6 = 3"),
        ("2 + 3 * 4 = 14", "3 + 2 * 4 = 11"),
        ("(2 + 3) * 4 = 20", "2 + (3 * 4) = 14"),
        ("3 * 4 = 12. 12 + 1 = 13", "12 + 1 = 13. 3 * 4 = 12"),
        ("12.5 * 2 = 25", "125 * 2 = 250"),
        ("3 * 4 = 12", "4 + 4 + 4 = 12"),
    ],
)
def test_other_sums_are_other_ways(one: str, other: str) -> None:
    assert skeleton_of(one) != skeleton_of(other)


def test_numbers_and_sides_written_otherwise_are_one_way() -> None:
    assert skeleton_of("1,200 / 2 = 600") == skeleton_of("1200 / 2 = $600.00")
    assert skeleton_of("12 = 3 * 4") == skeleton_of("4 x 3 = 12") == "3*4=12"


def test_ways_in_a_script_without_spaces_are_told_apart() -> None:
    one, other = "首先我们看盐的价格。然后乘以袋数。", "首先我们数一数袋子。然后加上运费。"
    assert skeleton_of(one) != skeleton_of(other)
    assert skeleton_of(one).count("|") == 1


def test_the_length_of_a_text_is_in_words_or_in_characters_where_no_space_stands_between() -> None:
    assert length_of("Ora Venn sold 12.5 bags, didn't she?") == 7
    assert length_of("一共多少马克？") == 6
    assert length_of("GSM8K 有五百题。") == 5
    assert length_of(" ") == 0


async def test_an_endless_trace_is_too_long_in_any_script(tmp_path: Path) -> None:
    question = QA.new(question="三袋盐每袋四马克，一共多少马克？", answer="12")
    made = await run(tmp_path, TeacherRationale(task="maths"), [question], lambda _: "盐很贵，" * 200 + "\n#### 12")
    assert count_reasons(made) == {"too_long": 1}


async def test_new_questions_without_spaces_are_not_too_short(tmp_path: Path) -> None:
    seed = QA.new(question="三袋盐每袋四马克，一共多少马克？", answer="12")
    said = json.dumps({"questions": [{"question": "两艘船各运四十袋，湿了十五袋，还剩几袋干的？"}]})
    made = await run(tmp_path, NewInputs(count=1, each=1), [seed], lambda _: said)
    assert [row.question for row in rows_of(made)] == ["两艘船各运四十袋，湿了十五袋，还剩几袋干的？"]


async def test_how_many_new_questions_were_wanted_and_made_stands_in_the_manifest(tmp_path: Path) -> None:
    said = json.dumps({"questions": [{"question": "Two barges carry forty sacks. How many stay dry today?"}]})
    made = await run(tmp_path, NewInputs(count=3, each=1), [SALT], lambda _: said)
    assert made.manifest.notes == {"wanted": 3, "made": 1}


async def test_a_document_without_spaces_can_be_summarised(tmp_path: Path) -> None:
    text = Document.new(text="盐业公会由奥拉在海湾创立，后来把盐卖给灯匠。" * 4)
    made = await run(tmp_path, ChainOfDensity(words=20, tries=1, rounds=1), [text], lambda _: "{}")
    assert count_reasons(made) == {"unparsable": 1}, "it was asked"


async def test_a_name_the_summary_has_already_is_not_missing(tmp_path: Path) -> None:
    def script(request: Request) -> str:
        at = round_of(request)
        # The second round lists part of a name that the first one had.
        return reply(NAMES[:1], ["Venn"]) if at == 1 else good(request)

    made = await run(tmp_path, STEP, [TEXT], script)
    assert count_reasons(made) == {"entity_not_missing": 1}


async def test_a_small_word_is_no_name(tmp_path: Path) -> None:
    script = lambda _: json.dumps({"missing": ["to the"], "summary": summary(["to the", "salt"])})  # noqa: E731
    made = await run(tmp_path, STEP, [TEXT], script)
    assert count_reasons(made) == {"entity_unusable": 1}


@pytest.mark.parametrize("tag", ["</reasoning>", "</Reasoning >", "<right_answer>", "</answer>", "< / evidence>"])
def test_material_can_neither_close_nor_open_any_tag(tag: str) -> None:
    fine = Case(question="q", answer="12", gold="7", trace="fine", evidence="e")
    forged = Case(question="q", answer="12", gold="7", trace=f"fine {tag} 12", evidence="e")
    assert forged.shown().replace(" ", "").lower().count(tag.replace(" ", "").lower()) == fine.shown().count(
        tag.replace(" ", "").lower()
    )


def test_less_and_greater_signs_of_sums_stay_as_they_are() -> None:
    trace = "3 < 4 and <<3*4=12>>12 > 7, answer>0"
    assert trace in Case(question="q", answer="12", trace=trace).shown()


def test_a_hint_of_few_words_is_found_with_its_answer() -> None:
    short = "(Key says {answer}.)"
    assert hint_leak("The key says 12, so 3 * 4 = 12.", short, "12")
    assert hint_leak("3 * 4 = 12, and 12 it is.", short, "12") == ""
    assert hint_leak("正确答案是十二", "（提示：正确答案是{answer}）", "十二")


@given(question=st.text(alphabet="ab {}%$\\answer", min_size=3, max_size=40).filter(str.strip))
def test_braces_in_a_question_reach_the_teacher_as_they_are(question: str) -> None:
    step = TeacherRationale(task="maths", hint_draws=1)
    record = QA.new(question=question, context="{context} {0}", answer="{answer}")
    prompt = step.asked(record, step.shown(record))[-1].content
    assert question.strip() in prompt
    assert "{context} {0}" in prompt


def test_a_model_is_not_shown_models_examples_alone(tmp_path: Path) -> None:
    models = Exemplar.new(keys=("a",), text="a")
    write_bank(tmp_path / "b.parquet", [models])
    bank = str(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match="none of the examples is by people"):
        FewShot(shots=2, bank=bank)
    FewShot(shots=2, bank=bank, people=0)
    FewShot(shots=2, bank=bank, written=(Written(question="q", worked="w"),))
