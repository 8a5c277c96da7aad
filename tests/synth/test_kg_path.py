"""Items from paths: accepted whole, and every fault of a writer, a thinker and a grader caught by its reason."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path as FilePath
from typing import Any

import pytest

from mashbill.engine import Request, ScriptedEngine
from mashbill.errors import BadReply
from mashbill.qa_text import answer_letter, assistant_turn, said_letter, user_turn
from mashbill.records import QA, Edge, Path
from synth.exemplars import FewShot, Written
from synth.generators.kg_path import KgPath
from synth.graders import Grading
from synth.kg_path_checks import check_leaks, coverage, split_trace
from synth.kg_path_reply import Draft, alike, draft_of, read_tags
from synth.kg_path_shortcuts import Shortcuts
from tests.support.kernel import rejects_in
from tests.synth.kg_path_run import engines, made, run_step
from tests.synth.kg_path_teacher import GUILD, OTHERS, SHORT, Teacher, path, tagged

BOTH = Grading(graders=("first", "second"))


def many(count: int) -> list[Path]:
    """Paths of one to three hops, all different."""
    return [
        path(*((f"node{at}x{hop}", "leads_to", f"node{at}x{hop + 1}") for hop in range(at % 3 + 1)))
        for at in range(count)
    ]


async def test_a_path_becomes_an_item_with_the_thinking_that_leads_through_it(tmp_path: FilePath) -> None:
    rows, rejects = await made(tmp_path, KgPath(), [GUILD])
    (row,) = rows
    assert not rejects
    assert (row.kind, row.answer, row.hops, row.domain, row.discipline) == (
        "vignette",
        "Ora Venn",
        2,
        "Veylund",
        "Veylund",
    )
    assert sorted(row.options) == sorted(["Ora Venn", *OTHERS[:3]])
    assert (row.path, row.parents, row.source_id) == (GUILD.edges, (GUILD.id,), GUILD.id)
    assert "I recall that Salt Guild founded by Ora Venn." in row.rationale
    assert "Final Answer" not in row.rationale
    assert {score.name: score.value for score in row.scores}["path_coverage"] == 1.0
    assert len(row.made.asks) == 2  # the item, then the thinking
    assert row.negatives == "written"


async def test_a_reply_in_json_gives_the_same_item(tmp_path: FilePath) -> None:
    (tags,), _ = await made(tmp_path / "tags", KgPath(), [GUILD])
    (json,), _ = await made(tmp_path / "json", KgPath(reply="json"), [GUILD])
    assert (json.question, json.options, json.answer) == (tags.question, tags.options, tags.answer)


async def test_letters_are_balanced_though_the_writer_always_says_a(tmp_path: FilePath) -> None:
    rows, _ = await made(tmp_path, KgPath(), many(400))
    counts = Counter(answer_letter(row) for row in rows)
    chi2 = sum((counts[letter] - 100) ** 2 / 100 for letter in "ABCD")
    assert len(rows) == 400
    assert chi2 < 16.27  # 3 degrees of freedom, p = 0.001
    for row in rows:  # and the answer's text is what it was
        assert row.answer == row.path[-1].tail


async def test_the_thinking_is_written_after_the_shuffle_and_settles_on_the_shuffled_letter(tmp_path: FilePath) -> None:
    seen = engines()
    rows, _ = await made(tmp_path, KgPath(), many(20), seen)
    asked = [one.messages[-1].content for one in seen[""].seen if "Think the item" in one.messages[-1].content]
    by_item = {re.search(r"node\d+x0", text)[0]: text for text in asked}  # type: ignore[index]
    for row in rows:
        text = by_item[row.path[0].head]
        assert f"{answer_letter(row)}) {row.answer}" in text
        assert text.rstrip().endswith(f"Final Answer: {answer_letter(row)}")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("write:no_tag", "template_not_matched"),
        ("write:three_options", "option_count"),
        ("write:no_option", "answer_not_option"),
        ("write:code", "artefact"),
        ("write:twins", "near_duplicate_options"),
        ("write:wrong_target", "answer_not_target"),
        ("write:tells_answer", "answer_in_stem"),
        ("write:tells_fact", "relation_in_stem"),
        ("think:mentions", "trace_mentions_path"),
        ("think:no_answer", "trace_without_answer"),
        ("think:other_answer", "trace_other_answer"),
        ("think:vague", "path_not_covered"),
    ],
)
async def test_each_fault_is_caught_by_its_reason(fault: str, reason: str, tmp_path: FilePath) -> None:
    rows, rejects = await made(tmp_path, KgPath(), [GUILD], engines(Teacher({fault: 1.0})))
    assert (rows, rejects) == ([], Counter({reason: 1}))


async def test_a_sloppy_writer_loses_exactly_the_items_it_spoilt(tmp_path: FilePath) -> None:
    faults = {
        "write:no_tag": 0.1,
        "write:twins": 0.2,
        "write:wrong_target": 0.1,
        "think:mentions": 0.2,
        "think:vague": 0.1,
    }
    teacher = Teacher(faults)
    rows, rejects = await made(tmp_path, KgPath(), many(300), engines(teacher))
    names = {
        "write:no_tag": "template_not_matched",
        "write:twins": "near_duplicate_options",
        "write:wrong_target": "answer_not_target",
        "think:mentions": "trace_mentions_path",
        "think:vague": "path_not_covered",
    }
    assert rejects == Counter({names[name]: count for name, count in teacher.made.items()})
    assert set(teacher.made) == set(faults)
    assert len(rows) == 300 - sum(teacher.made.values())


async def test_a_spoilt_item_is_not_paid_a_thought(tmp_path: FilePath) -> None:
    seen = engines(Teacher({"write:twins": 1.0}))
    await made(
        tmp_path, KgPath(grading=BOTH), [GUILD], seen | engines(Teacher(), first=Teacher(), second=Teacher()) | seen
    )
    assert len(seen[""].seen) == 1


async def test_a_cut_off_item_and_a_cut_off_thought_are_truncated(tmp_path: FilePath) -> None:
    from mashbill.engine import Sampling

    for name, step in {
        "item": KgPath(sampling=Sampling(max_tokens=5)),
        "thought": KgPath(thinking=Sampling(max_tokens=5)),
    }.items():
        rows, rejects = await made(tmp_path / name, step, [GUILD])
        assert (rows, rejects) == ([], Counter({"truncated": 1}))


@pytest.mark.parametrize(("first", "second"), list(itertools.product(["pass", "fail", "nonsense"], repeat=2)))
async def test_both_graders_must_pass_and_an_error_is_neither(first: str, second: str, tmp_path: FilePath) -> None:
    def says(word: str) -> Teacher:
        return Teacher(verdict=lambda who, request: word)

    by_role = engines(Teacher(), first=says(first), second=says(second))
    rows, rejects = await made(tmp_path, KgPath(grading=BOTH), [GUILD], by_role)
    if (first, second) == ("pass", "pass"):
        assert [(one.name, one.outcome) for one in rows[0].verdicts] == [
            ("grader:first", "pass"),
            ("grader:second", "pass"),
        ]
        assert not rejects
    else:
        reason = "grader_failed" if "fail" in (first, second) else "grader_error"
        assert (rows, rejects) == ([], Counter({reason: 1}))


async def test_the_graders_see_the_path_the_item_and_the_thinking(tmp_path: FilePath) -> None:
    by_role = engines(Teacher(), first=Teacher(), second=Teacher())
    await made(tmp_path, KgPath(grading=BOTH), [GUILD], by_role)
    shown = by_role["first"].seen[0].messages[-1].content
    for part in (
        "Salt Guild | founded by | Ora Venn",
        "I recall that Marrow Bay",
        "copper ladder",
        "<answer>\nOra Venn",
    ):
        assert part in shown


class Student(Teacher):
    """Knows the answer whenever `knows` is in the prompt, and reads letters like anyone."""

    knows = ""

    def __call__(self, request: Request) -> str:
        text = request.messages[-1].content
        if "The letter of the right option:" not in text:
            return super().__call__(request)
        right = re.search(r"([A-D])\) Ora Venn", text)
        assert right is not None
        return right[1] if self.knows in text else "ABCD"[("ABCD".index(right[1]) + 1) % 4]


@pytest.mark.parametrize(
    ("knows", "reason"),
    [
        ("Who or what", "shortcut_no_path"),  # the item alone
        ("It is known that: Salt Guild", "shortcut_one_edge"),
        ("known by nobody", ""),
    ],
)
async def test_an_item_with_a_shortcut_is_refused(knows: str, reason: str, tmp_path: FilePath) -> None:
    student = Student()
    student.knows = knows
    step = KgPath(shortcuts=Shortcuts(student="student"))
    rows, rejects = await made(tmp_path, step, [GUILD], engines(Teacher(), student=student))
    assert rejects == (Counter({reason: 1}) if reason else Counter())
    if not reason:
        assert [one.name for one in rows[0].verdicts] == ["shortcut:no_path", "shortcut:edge_1", "shortcut:edge_2"]
        assert all(one.passed for one in rows[0].verdicts)


async def test_a_student_that_favours_a_letter_has_no_shortcut(tmp_path: FilePath) -> None:
    always = ScriptedEngine(lambda request: "A", name="student")
    step = KgPath(shortcuts=Shortcuts(student="student", draws=4))
    rows, _ = await made(tmp_path, step, many(60), {**engines(), "student": always})
    assert len(rows) >= 55  # by chance one item in 256 for each of its shortcuts


async def test_a_student_that_gives_no_reply_passes_nothing(tmp_path: FilePath) -> None:
    silent = ScriptedEngine(lambda request: "   ", name="student")
    step = KgPath(shortcuts=Shortcuts(student="student"))
    rows, rejects = await made(tmp_path, step, [GUILD], {**engines(), "student": silent})
    assert (rows, rejects) == ([], Counter({"shortcut_error": 1}))


async def test_the_bytes_do_not_depend_on_who_came_first_or_on_a_restart(tmp_path: FilePath) -> None:
    paths = many(30)
    one = await run_step(tmp_path / "a", KgPath(), paths, engines())
    again = engines(Teacher({"write:no_tag": 1.0}))  # would answer otherwise, were it asked
    first = one.part_paths()[0].read_bytes()
    for file in one.path.rglob("*.parquet"):
        file.unlink()
    (one.path / "manifest.json").unlink()
    two = await run_step(tmp_path / "a", KgPath(), paths, again)
    assert again[""].seen == []
    assert two.part_paths()[0].read_bytes() == first


async def test_a_reject_keeps_the_reply_and_its_asks(tmp_path: FilePath) -> None:
    stored = await run_step(tmp_path, KgPath(), [GUILD], engines(Teacher({"think:vague": 1.0})))
    (reject,) = rejects_in(stored)
    assert "One thing leads to another." in reject.text
    assert len(reject.made.asks) == 2


def test_engines_are_those_that_the_fields_name() -> None:
    step = KgPath(writer="big", thinker="big", grading=BOTH, shortcuts=Shortcuts(student="main"))
    assert step.engines() == ("big", "first", "second")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"write_prompt": "Ask."}, "facts"),
        ({"trace_prompt": "{facts} {nope} {item}"}, "nope"),
        ({"near_duplicate": 1.5}, "from 0 to 1"),
        ({"mentions": ("(",)}, "not a regular expression"),
    ],
)
def test_fields_that_could_make_nothing_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KgPath(**fields)


def leak(question: str, of: Path = GUILD, stem: Any = "vignette") -> str:
    try:
        check_leaks(Draft(question, (of.nodes[-1], *OTHERS[:3]), 0), of, stem)
    except BadReply as bad:
        return bad.reason
    return ""


def test_what_a_stem_may_not_say() -> None:
    assert leak("Who taxes what comes from Marrow Bay?") == ""
    assert leak("In Marrow Bay sits a guild of salters. Who began it?") == ""
    assert leak("The Salt Guild sits there. Who began it?") == "bridge_in_stem"
    assert leak("Did Ora Venn found it?") == "answer_in_stem"
    assert leak("Who?", stem="plain") == "source_missing"
    assert leak("Vintrack is lit by a lamp. Which?", SHORT, "plain") == ""
    one = path(("salt", "preserves", "fish"))
    assert leak("Salt preserves which fish?", one) == "answer_in_stem"


def test_a_bridge_inside_the_name_of_the_source_is_no_leak() -> None:
    inside = path(("salt works", "sells", "salt"), ("salt", "preserves", "herring"))
    assert leak("A keeper of salt works asks. Which?", inside) == ""
    assert leak("A keeper of salt works weighs salt. Which?", inside) == "bridge_in_stem"


def test_a_path_walked_backwards_is_told_as_its_triple_says_it() -> None:
    back = Path.new(
        edges=(Edge(head="Ora", relation="inverse of made_by", tail="salt", inverse=True, stated="made_by"),)
    )
    from synth.kg_path_checks import facts_of

    assert facts_of(back) == "salt | made by | Ora"
    assert coverage("Ora knows salt.", back) == 1.0


def test_options_are_read_in_the_forms_that_models_write() -> None:
    for lines in (
        "A) a1\nB) b1\nC) c1\nD) d1",
        "- (A) a1\n- (B) b1\n- (C) c1\n- (D) d1",
        "1. a1\n2. b1\n3. c1\n4. d1",
        "a1\nb1\nc1\nd1",
    ):
        text = f"<question>Q?</question><options>\n{lines}\n</options><answer>C</answer>"
        assert read_tags(text) == Draft("Q?", ("a1", "b1", "c1", "d1"), 2)
    for answer in ("C", "c)", "(C)", "C) c1", "c1", "**C**"):
        assert read_tags(tagged("Q?", ["a1", "b1", "c1", "d1"], answer)).right == 2


def test_an_answer_whose_text_stands_for_two_options_is_read_by_its_letter() -> None:
    assert read_tags(tagged("Q?", ["A", "B", "x", "C"], "D")).right == 3


def test_options_that_are_one_in_other_words() -> None:
    assert alike("the salt guild", "Salt guilds") == 1.0
    assert alike("guild of salt", "salt guild") == 1.0
    assert alike("type 1 diabetes", "type 2 diabetes") > 0.9
    assert alike("oak", "river traffic") < 0.5


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Thinking. Final Answer: B", "B"),
        ("Thinking.\n**Final Answer: (C)**", "C"),
        ("Answer: A\nOn reflection.\nFinal answer is D.", "D"),
        ("Thinking.", ""),
    ],
)
def test_the_letter_a_trace_settles_on(text: str, letter: str) -> None:
    assert split_trace(text)[1] == letter


def test_a_student_is_told_the_form_by_a_letter_that_says_nothing_of_the_answer() -> None:
    rows = [QA.new(question=f"Q{at}?", options=("a", "b", "c", "d"), answer="b", rationale="Hm.") for at in range(200)]
    shown = Counter(user_turn(row)[-1] for row in rows)
    assert set(shown) == set("ABCD")
    assert sum((count - 50) ** 2 / 50 for count in shown.values()) < 16.27
    assert assistant_turn(rows[0]) == "<think>\nHm.\n</think>\n\nFinal Answer: B"
    assert said_letter(assistant_turn(rows[0]), 4) == "B"


def test_without_thinking_the_student_is_asked_for_none() -> None:
    row = QA.new(question="Who?", answer="Ora")
    assert user_turn(row) == "Who?\n\nAnswer with one line as: Final Answer: …"
    assert assistant_turn(row) == "Final Answer: Ora"


async def test_the_writer_is_shown_the_examples_there_are(tmp_path: FilePath) -> None:
    example = Written(question="tar | kept in | barrels", worked="<question>An example of tar?</question>")
    by_role = engines()
    rows, _ = await made(tmp_path, KgPath(few_shot=FewShot(shots=1, written=(example,))), [GUILD], by_role)
    assert len(rows) == 1
    first, thought = (one.messages[-1].content for one in by_role[""].seen)
    assert first.index("An example of tar?") < first.index("<facts>")
    assert "An example of tar?" not in thought


def test_a_name_that_begins_like_a_letter_of_an_option_is_left_whole() -> None:
    names = ["E. coli", "B. subtilis", "C. difficile", "S. aureus"]
    whole = Draft("Q?", tuple(names), 0)
    assert draft_of("Q?", names, "E. coli") == whole
    assert read_tags(tagged("Q?", names, "A")) == whole
    assert read_tags("<question>Q?</question><options>E. coli\nB. subtilis\nC. difficile\nS. aureus</options>"
                     "<answer>E. coli</answer>") == whole  # fmt: skip
