from __future__ import annotations

import doctest
import importlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.constraints import Checker, available, checker_of, checkers_in, expressed
from mashbill.constraints.all_of import AllOf
from mashbill.constraints.bound import Bound
from mashbill.constraints.casing import Casing
from mashbill.constraints.counting import COUNTS, sentences
from mashbill.constraints.edges import Edges
from mashbill.constraints.form import Form
from mashbill.constraints.item_count import ItemCount
from mashbill.constraints.keywords import Keywords
from mashbill.constraints.language import LANGUAGES, Language
from mashbill.constraints.length import Length
from mashbill.constraints.punctuation import Punctuation

READ = [
    ("Use at most five bullet points.", "at most 5 bullet points"),
    ("Do not use more than five bullet points", "at most 5 bullet points"),
    ("Bullet points: no more than 5 bullets", None),
    ("Write no more than 50 words.", "at most 50 words"),
    ("Your answer must not exceed 1,000 characters", "at most 1000 characters"),
    ("fewer than ten words", "at most 9 words"),
    ("more than two sentences", "at least 3 sentences"),
    ("don't write less than 50 words", "at least 50 words"),
    ("limit it to 300 words or less", "at most 300 words"),
    ("50 words at most", "at most 50 words"),
    ("Write 20 words or more", "at least 20 words"),
    ("The response should be between 100 and 200 words long.", "between 100 and 200 words"),
    ("5-7 sentences", "between 5 and 7 sentences"),
    ("about 100 words", "between 90 and 110 words"),
    ("Write it in 300 words", "between 270 and 330 words"),
    ("Answer in 3 sentences", "exactly 3 sentences"),
    ("in a single paragraph", "exactly 1 paragraph"),
    ("Write 4 paragraphs", "exactly 4 paragraphs"),
    ("Use no more than 3 sentences for each paragraph", "each paragraph has at most 3 sentences"),
    ("Each bullet point must be under 20 words.", "each bullet point has at most 19 words"),
    ("Use at least two headings", "at least 2 headings"),
    ("Respond in French.", "in French"),
    ("Translate it to German", "in German"),
    ("Do not answer in French", None),
    ("Write of salt in French history", None),
    ("Format the output as JSON", "JSON"),
    ("Use a numbered list", "a numbered list"),
    ("Give your answer as a bulleted list of 4 items", "a bulleted list and exactly 4 list items"),
    ("Present it in a markdown table with 3 columns", "as a markdown table and exactly 3 table columns"),
    ("Do not include any bullet points", "no bullet points"),
    ("Include a title", "with a title"),
    ("in lowercase letters only", "lowercase letters"),
    ("No capital letters are allowed.", "lowercase letters"),
    ("Start with a capital letter", None),
    ("Do not answer in all caps", None),
    ('Include the words "salt" and "oil".', 'include "oil" and "salt"'),
    ("Do not mention 'cheese'", 'do not use "cheese"'),
    ('The word "cheese" must not appear', 'do not use "cheese"'),
    ('Use the word "guild" at least twice', 'use "guild" at least 2 times'),
    ("the word 'ora' should appear exactly 3 times", 'use "ora" exactly 3 times'),
    ("Mention salt", None),
    ('Start your response with "Dear members,"', 'start with "Dear members,"'),
    ("End with a question mark", "end with a question mark"),
    ("avoid using commas", "no commas"),
    ("Wrap your entire response with double quotation marks.", "wrapped in quotation marks"),
    ("Write in a friendly tone", None),
    ("The introduction must have exactly 3 paragraphs.", None),
    ("Use at most five bullet points and keep a friendly tone", None),
    ("You can use bullet points", None),
    ("Use bullet points or a table", None),
    ("between 9 and 3 words", None),
    ("at least 0 words", None),
    ("", None),
    ("word " * 200, None),
]


@pytest.mark.parametrize(("constraint", "said"), READ)
def test_a_constraint_is_read_whole_or_not_at_all(constraint: str, said: str | None) -> None:
    found = checker_of(constraint)
    assert (None if found is None else found.said()) == said


KEPT = [
    ("at most 3 words", "Salt is sold.", "Salt is sold by the guild."),
    ("exactly 2 sentences", "Dr. Venn sells salt at 3.5 marks. Who buys?", "Salt. Oil. Lamps."),
    ("at most 10 characters", "  salt pans ", "salt pans and lamps"),
    ("exactly 2 paragraphs", "One.\n \n\nTwo.", "One.\nTwo."),
    ("at least 2 lines", "One\n\nTwo", "One"),
    ("each bullet point has at most 2 words", "- salt pans\n- oil", "- salt pans\n- oil of the lamps"),
    ("each bullet point has at most 2 words", "* salt", "salt"),
    ("each sentence has at most 3 words", "Salt is sold. Oil too.", "Salt is sold here. Oil too."),
    ("at most 2 bullet points", "- a\n- b", "- a\n- b\n- c"),
    ("at most 2 bullet points", "• a", "a"),
    ("exactly 2 numbered items", "1. a\n2) b", "1. a\n2. b\n3. c"),
    ("exactly 2 headings", "# A\ntext\n**B**\ntext", "# A\ntext"),
    ("exactly 1 questions", "Who? Ora.", "Who? Why?"),
    ("exactly 2 table rows", "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |", "| a | b |\n| 1 | 2 |"),
    ("exactly 2 table columns", "a | b\n--|--\n1 | 2", "a | b | c\n--|--|--\n1 | 2 | 3"),
    ("JSON", '```json\n{"a": [1]}\n```', 'Here it is: {"a": 1}'),
    ("JSON", "[]", "12"),
    ("JSON", "{}", "[" * 20_000),
    ("as a markdown table", "a | b\n--|--\n1 | 2", "a, b"),
    ("a numbered list", "1. a", "- a"),
    ("a bulleted list", "- a", "1. a"),
    ("with headings", "## A\nb", "A\nb"),
    ("with a title", "The Salt Guild\n\nIt sold salt.", "It sold salt to all of the lampwrights."),
    ("with a title", "<<Salt>>\nIt sold salt.", "It sold salt.\nIt sold oil."),
    ("no bullet points", "Salt and oil.", "- salt"),
    ("no markdown", "Salt 2 * 3.", "**Salt**"),
    ("in a code block", "```\na\n```", "a"),
    ("in French", "Le sel est vendu aux allumeurs de lampes de la baie.", "The salt is sold to the lampwrights today."),
    ("lowercase letters", "salt at 3 marks", "Salt at 3 marks"),
    ("uppercase letters", "SALT, 3", "SALT, marks"),
    ("title case", "The Guild of Salt", "The guild of salt"),
    ('include "salt pan" and "oil"', "Oil for a Salt pan.", "Oil for a saltpan."),
    ('do not use "salt"', "Saltworks.", "No salt."),
    ('use "salt" exactly 2 times', "salt, salt", "salt, salt, salt"),
    ('use "salt" at most twice', "salt, salt", "salt, salt, salt"),
    ('start with "Dear members,"', "**Dear  Members,** hello", "Hello, dear members,"),
    ('end with "Over."', "That is all. over", "Over. That is all."),
    ("no commas", "Salt and oil.", "Salt, oil."),
    ("no full stops", "Salt at 3.5 marks", "Salt."),
    ("end with a question mark", 'Who asked "Why?"', "Who? He."),
    ("end with an exclamation mark", "Salt!", "Salt."),
    ("wrapped in quotation marks", '"Salt."', 'Salt "is" sold.'),
    ("at most 3 words and no commas", "Salt is sold", "Salt, oil"),
]


@pytest.mark.parametrize(("constraint", "kept", "broken"), KEPT)
def test_an_answer_keeps_or_breaks_a_constraint(constraint: str, kept: str, broken: str) -> None:
    checker = checker_of(constraint)
    assert checker is not None
    assert checker.check(kept).outcome == "pass", checker.check(kept).detail
    assert checker.check(broken).outcome == "fail"
    assert checker.check(broken).detail


def test_what_cannot_be_told_is_neither_a_yes_nor_a_no() -> None:
    french, lower = checker_of("in French"), checker_of("lowercase letters")
    assert french is not None
    assert lower is not None
    assert french.check("Sel.").outcome == "error"
    assert french.check("qzx kkv wpt jjr bnv mmq zzt qqp").outcome == "error"
    assert lower.check("12 + 3").outcome == "error"
    both = AllOf(parts=(french, lower))
    assert both.check("Sel.").outcome == "fail", "a fail tells more than an error"
    assert both.check("sel.").outcome == "error"


BOUNDS = st.one_of(
    st.integers(1, 3000).map(lambda least: Bound(least=least)),
    st.integers(0, 3000).map(lambda most: Bound(most=most)),
    st.tuples(st.integers(1, 3000), st.integers(0, 50)).map(lambda two: Bound(least=two[0], most=sum(two))),
)
WORD = st.text("abcdefgh", min_size=1, max_size=8)
LENGTHS = st.builds(
    Length,
    unit=st.sampled_from(["words", "sentences", "characters", "paragraphs", "lines"]),
    bound=BOUNDS,
    of=st.sampled_from(["answer", "bullet point", "item", "sentence", "paragraph", "line"]),
)
SINGLE: st.SearchStrategy[Checker] = st.one_of(
    LENGTHS,
    st.builds(
        ItemCount,
        items=st.sampled_from(["bullet points", "numbered items", "headings", "questions", "table rows"]),
        bound=BOUNDS,
    ),
    st.builds(
        Form,
        form=st.sampled_from(
            ["json", "table", "numbered list", "bulleted list", "headings", "title", "prose", "plain text", "code"]
        ),
    ),
    st.builds(Language, code=st.sampled_from(list(LANGUAGES.values()))),
    st.builds(Casing, case=st.sampled_from(["lowercase", "uppercase", "title case"])),
    st.builds(Keywords, words=st.lists(WORD, min_size=1, max_size=1).map(tuple), bound=BOUNDS),
    st.builds(
        Keywords,
        words=st.sets(WORD, min_size=1, max_size=4).map(lambda found: tuple(sorted(found))),
        bound=st.sampled_from([Bound(least=1), Bound(most=0)]),
    ),
    st.builds(Edges, text=WORD, at=st.sampled_from(["start", "end"])),
    st.builds(Punctuation, mark=st.sampled_from(["commas", "digits", "semicolons", "emojis"])),
    st.builds(Punctuation, mark=st.sampled_from(["full stops", "question marks"]), where=st.just("end")),
)


@given(SINGLE)
def test_what_a_checker_says_is_read_as_the_same_checker(checker: Checker) -> None:
    assert checker_of(checker.said()) == checker
    assert checker_of(f"Please write your answer so: {checker.said()}.") == checker


@given(SINGLE, SINGLE)
def test_an_instruction_that_says_a_constraint_passes_and_one_of_the_same_slot_does_not(
    one: Checker, other: Checker
) -> None:
    assert expressed(one.said(), f"Sum up what was said. It must be kept to: {one.said()}.").outcome == "pass"
    verdict = expressed(one.said(), f"Sum up what was said. It must be kept to: {other.said()}.")
    assert verdict.outcome == "pass" if one == other else verdict.outcome != "pass" or one.slot != other.slot


@given(SINGLE, st.text(max_size=200))
def test_any_answer_gets_a_verdict_and_an_empty_one_never_passes(checker: Checker, answer: str) -> None:
    verdict = checker.check(answer)
    assert verdict.outcome in ("pass", "fail", "error")
    assert verdict.passed or verdict.detail
    assert checker.check("  \n ").outcome == "fail"


@given(LENGTHS, st.lists(WORD, min_size=1, max_size=30))
def test_a_length_passes_exactly_where_the_count_lies_within_its_bound(length: Length, said: list[str]) -> None:
    if length.unit != "words" or length.of != "answer":
        length = Length(unit="words", bound=length.bound)
    most = length.bound.most
    within = length.bound.least <= len(said) and (most is None or len(said) <= most)
    assert length.check(" ".join(said)).passed == within


@given(st.text(max_size=300), st.text(max_size=300))
def test_counts_are_never_negative_and_blank_lines_add_nothing(one: str, other: str) -> None:
    for name, count in COUNTS.items():
        assert count(one) >= 0
        if name in ("lines", "bullet points", "numbered items", "list items", "words"):
            assert count(f"{one}\n\n\n{other}") >= max(count(one), count(other)) - (name == "words") * 10


@pytest.mark.parametrize(
    "text",
    ["at most " * 2500, '"a" and ' * 2500, "one hundred and " * 1300, "|-" * 10_000, " " * 20_000, "- {a}\n" * 4000],
)
def test_a_long_text_is_read_in_time(text: str) -> None:
    """One that backtracked over these would never come back."""
    assert checkers_in(text) is not None
    assert all(count(text) >= 0 for count in COUNTS.values())


def test_a_full_stop_after_an_abbreviation_ends_no_sentence() -> None:
    assert sentences("Mr. A. Venn, e.g. the founder, left at 3.5. He came back…\n- salt\n- oil") == [
        "Mr. A. Venn, e.g. the founder, left at 3.5.",
        "He came back…",
        "salt",
        "oil",
    ]


@pytest.mark.parametrize(
    ("constraint", "instruction", "outcome", "reason"),
    [
        ("Use at most five bullet points", "List it in no more than 5 bullets.", "pass", ""),
        ("Use at most five bullet points", "List it in up to 7 bullets.", "fail", "altered"),
        ("Use at most five bullet points", "List what was decided.", "fail", "left_out"),
        ("Use at most five bullet points", "List five things.", "error", "not_read"),
        ("Answer in French", "Sum up the notes.", "fail", "left_out"),
        ("Answer in French", "Sum up the notes in German.", "fail", "altered"),
        ("Answer in French", "Sum up the notes; French is what the readers speak.", "error", "not_read"),
        ('Include the word "salt"', "Sum up the notes.", "fail", "left_out"),
        ("Use a numbered list of 3 items", "Give a numbered list of 3 items.", "pass", ""),
        ("Use a numbered list of 3 items", "Give a numbered list.", "fail", "left_out"),
        ("Write in a friendly tone", "Be friendly.", "error", "not_checkable"),
    ],
)
def test_code_says_whether_an_instruction_holds_a_constraint(
    constraint: str, instruction: str, outcome: str, reason: str
) -> None:
    verdict = expressed(constraint, instruction)
    assert (verdict.outcome, verdict.detail.partition(":")[0]) == (outcome, reason)


def test_fields_that_check_nothing_are_refused() -> None:
    for make in (
        lambda: Bound(least=3, most=2),
        lambda: Bound(),
        lambda: Language(code="xx"),
        lambda: Keywords(words=()),
        lambda: Keywords(words=("…",)),
        lambda: Edges(text="!", at="end"),
        lambda: Punctuation(mark="ticks"),
        lambda: Punctuation(mark="commas", where="around"),
        lambda: AllOf(parts=()),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            make()


def test_every_file_holds_a_checker_and_its_examples_hold() -> None:
    names = ["all_of", "casing", "edges", "form", "item_count", "keywords", "language", "length", "punctuation"]
    assert sorted(available()) == names
    for name in (*names, "bound", "counting", "expressed", "load", "base"):
        assert doctest.testmod(importlib.import_module(f"mashbill.constraints.{name}")).failed == 0


def test_the_json_checker_takes_what_json_takes() -> None:
    checker = Form(form="json")
    assert checker.check(json.dumps({"a": ["b", None, 1.5]}, indent=2)).passed
    assert not checker.check("{'a': 1}").passed


@pytest.mark.parametrize(
    "said",
    [
        "Do not end with a question mark",
        'Do not start with "Hello"',
        "Never use a table",
        "The first three sentences",
        "each of the other two bullet points",
        'Do not always include "salt"',
        "Put it between commas",
        "one hundred one hundred one hundred words",
        '"..."',
    ],
)
def test_what_is_denied_or_said_of_a_part_is_not_read_as_wanted(said: str) -> None:
    assert checkers_in(said) == []


def test_a_checker_says_what_it_lacks_and_several_say_what_all_of_them_fix() -> None:
    bare = Checker()
    for ask in (lambda: list(Checker.find("")), lambda: bare.slot, bare.said, lambda: bare.check("salt")):
        with pytest.raises(TypeError, match="Checker has no"):
            ask()
    both = checker_of("a bulleted list of 4 items")
    assert both is not None
    assert both.slot == "form:bulleted list & items:list items"
