"""What a comparison of two answers says, whatever the answers are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.errors import RegistryError
from mashbill.fingerprint import fingerprint
from mashbill.matching import Match, Matcher, available, matcher, matcher_of, spec_of
from mashbill.matching.match import OUTCOMES

PLAIN = ("exact", "numeric", "choice", "set_of")
"""Those that run no code."""


def outcome(name: str, answer: str, gold: str, options: tuple[str, ...] = (), **fields: Any) -> str:
    return matcher(name, **fields).compare(answer, gold, options).outcome


def test_a_match_has_no_truth_value_so_that_no_grader_passes_by_saying_no() -> None:
    for word in OUTCOMES:
        with pytest.raises(TypeError, match="no truth value"):
            bool(Match(word))
    assert [Match(word).same for word in OUTCOMES] == [True, False, False, False, False]


def test_matchers_are_found_by_their_file() -> None:
    assert set(available()) == {*PLAIN, "code_tests", "keeps"}
    assert all(kind.name == name for name, kind in available().items())


def test_an_unknown_matcher_or_field_is_answered_with_the_nearest() -> None:
    with pytest.raises(RegistryError, match=r"no matcher is called 'numric' \(did you mean numeric\?\)"):
        matcher("numric")
    with pytest.raises(RegistryError, match=r"numeric has no field 'tolerence' \(did you mean tolerance\?\)"):
        matcher("numeric", tolerence=1)
    with pytest.raises(RegistryError, match=r"numeric: tolerance: .*; found 'wide'"):
        matcher("numeric", tolerance="wide")
    with pytest.raises(ValueError, match="tolerance is -1"):
        matcher("numeric", tolerance=-1)
    with pytest.raises(ValueError, match="relative is nan"):
        matcher("numeric", relative=float("nan"))


def test_a_bill_names_a_matcher_alone_or_with_its_fields() -> None:
    assert matcher_of("exact") == matcher("exact")
    wide = matcher_of({"numeric": {"tolerance": 0.5}})
    assert wide == matcher("numeric", tolerance=0.5)
    assert matcher_of(spec_of(wide)) == wide
    assert spec_of(wide)["numeric"]["relative"] == 0.0
    with pytest.raises(RegistryError, match="one name with its fields"):
        matcher_of({"exact": {}, "numeric": {}})


def test_a_matcher_without_compare_says_so() -> None:
    with pytest.raises(TypeError, match="Matcher has no `compare`"):
        Matcher().compare("a", "a")


# --- exact


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("The Salt Guild.", "salt guild"),
        ("  **Ora   Venn** ", "Ora Venn"),
        ("“Veylund”", "Veylund!"),
        ("cafe\u0301", "caf\u00e9"),
        ("STRASSE", "straße"),
    ],
)
def test_exact_passes_over_what_stands_around_an_answer(answer: str, gold: str) -> None:
    assert outcome("exact", answer, gold) == outcome("exact", gold, answer) == "same"


@pytest.mark.parametrize(
    ("answer", "gold"), [("-5", "5"), ("3.5", "35"), ("10²", "102"), ("not salt", "salt"), ("No", "Yes")]
)
def test_exact_keeps_what_changes_an_answer(answer: str, gold: str) -> None:
    assert outcome("exact", answer, gold) == "different"


def test_exact_with_nothing_to_compare() -> None:
    assert outcome("exact", " . ", "salt") == "unreadable"
    assert outcome("exact", "salt", "**") == "gold_unreadable"
    assert outcome("exact", "Salt", "salt", ignore_case=False) == "different"
    assert outcome("exact", "the salt", "salt", ignore_articles=False) == "different"


# --- choice

CITIES = ("Paris", "Rome", "Oslo, Norway")


@pytest.mark.parametrize(
    "answer",
    ["B", "b", "(B)", "[b]", "B.", "B) Rome", "b: rome", "option B", "The correct answer is B", "Rome", "rome.",
     "Rome, since it is old", "B - because", "**B**"],
)  # fmt: skip
def test_choice_takes_a_letter_a_text_or_both(answer: str) -> None:
    assert outcome("choice", answer, "Rome", CITIES) == outcome("choice", answer, "B", CITIES) == "same"


def test_choice_names_what_is_chosen_instead() -> None:
    assert matcher("choice").compare("A", "Rome", CITIES) == Match("different", "A is not B")
    assert outcome("choice", "Oslo, Norway", "c", CITIES) == "same"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("B) Paris", "letter_and_text_disagree"),
        ("it is not Rome", "no_option"),
        ("I think it is Rome", "no_option"),
        ("D", "no_option"),
        ("", "empty"),
        ("A or B", "no_option"),
        ("(B) or (C)", "two_options"),
        ("B. Rome or Paris", "two_options"),
        ("(A) Paris (B) Rome", "two_options"),
        ("Rome; Paris", "two_options"),
        ("Rome, no wait, Paris", "two_options"),
        ("B. Paris, since Rome is old", "letter_and_text_disagree"),
        ("B) not Rome", "no_option"),
        ("B.C.", "no_option"),
        ("42", "no_option"),
    ],
)
def test_choice_does_not_guess(answer: str, reason: str) -> None:
    found = matcher("choice").compare(answer, "Rome", CITIES)
    assert (found.outcome, found.detail.split(":")[0]) == ("unreadable", reason)


@pytest.mark.parametrize(
    "answer",
    ["B) Rome, since Paris is in France", "Rome, not Paris", "B. It is the capital of Italy", "B) Rome, of course"],
)
def test_choice_reads_a_reason_behind_a_choice(answer: str) -> None:
    assert outcome("choice", answer, "Rome", CITIES) == "same"


def test_choice_options_that_look_like_letters_or_each_other() -> None:
    # The first by its text, the second by its letter.
    assert outcome("choice", "b", "c", ("b", "a", "c")) == "unreadable"
    assert outcome("choice", "c", "b", ("b", "a", "c")) == "gold_unreadable"
    assert outcome("choice", "a", "a", ("a", "b")) == "same"
    assert outcome("choice", "rome", "A", ("Rome", "rome.")) == "unreadable"
    assert outcome("choice", "A", "rome", ("Rome", "rome.")) == "gold_unreadable"
    assert outcome("choice", "12", "B", ("10", "12")) == "same"


def test_choice_without_options_or_without_letters() -> None:
    assert outcome("choice", "(b)", "B") == "same"
    assert outcome("choice", "Rome", "B") == "unreadable"
    assert outcome("choice", "B", "Rome", CITIES, letters=False) == "unreadable"
    many = tuple(f"place {number}" for number in range(30))
    assert matcher("choice").compare("place 28", "place 29", many).detail == "29 is not 30"


# --- set_of


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("salt, barrels and oak", "oak; salt; barrels"),
        ("- salt\n- oak\n", "oak & salt"),
        ('["oak", "salt"]', "{salt, oak}"),
        ("(1) salt\n(2) oak", "salt, oak"),
        ("salt, salt, oak", "oak, salt"),
        ("[salt, oak]", "salt, oak"),
        ("(1, 2), (3, 4)", "(3, 4), (1, 2)"),
        ("[1] and [2]", "[2], [1]"),
        ("(salt; oak)", "oak, salt"),
        ("a) salt, b) oak", "b) oak, a) salt"),
        ("(salt, oak", "oak, (salt"),
        ("- salt", "salt"),
    ],
)
def test_a_set_is_the_same_in_any_order_and_form(answer: str, gold: str) -> None:
    assert outcome("set_of", answer, gold) == outcome("set_of", gold, answer) == "same"


def test_a_set_names_what_is_missing_and_what_is_too_much() -> None:
    found = matcher("set_of").compare("salt, tar", "salt, oak")
    assert found == Match("different", "missing: 'oak'; extra: 'tar'")
    assert matcher("set_of").compare("salt", "salt, oak").detail == "missing: 'oak'"
    assert matcher("set_of").compare("salt, tar", "salt").detail == "extra: 'tar'"


def test_a_set_compares_things_with_a_matcher_of_its_own() -> None:
    assert outcome("set_of", "1/2 and 1,234", "1234, 0.5", of="numeric") == "same"
    assert outcome("set_of", '[3, "4"]', "4, 3", of="numeric") == "same"
    assert outcome("set_of", "3, salt", "3, 4", of="numeric") == "unreadable"
    assert outcome("set_of", "3, 4", "3, salt", of="numeric") == "gold_unreadable"
    with pytest.raises(ValueError, match="a set of sets"):
        matcher("set_of", of="set_of")
    with pytest.raises(RegistryError, match="no matcher is called 'exakt'"):
        matcher("set_of", of="exakt")


def test_a_set_where_a_tolerance_lets_one_thing_fit_several_is_paired_as_well_as_can_be() -> None:
    # The first of the answer fits both, the second one only: taking the first that fits would leave one over.
    fields: dict[str, Any] = {"of": "numeric", "repeats": True}
    assert outcome("set_of", "1, 1.0009", "1.0005, 0.9995", **fields) == "same"
    assert outcome("set_of", "1, 1.0009, 1.0018", "1.0009, 1.0001, 1.0025", **fields) == "same"
    assert outcome("set_of", "1, 5, 5", "1, 1, 5", **fields) == "different"


def test_pairs_in_a_set_are_not_taken_apart() -> None:
    assert outcome("set_of", "(1,2),(3,4)", "(1,4),(3,2)") == "different"
    assert outcome("set_of", "(1,2),(3,4)", "(1,4),(3,2)", of="numeric") == "gold_unreadable"
    assert outcome("set_of", "- 5", "5", of="numeric") == "different"


def test_a_set_of_codes_would_be_a_run_for_each_pair() -> None:
    with pytest.raises(ValueError, match="of is 'code_tests'"):
        matcher("set_of", of="code_tests")


def test_the_version_of_a_matcher_is_identity_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    before, pair = spec_of(matcher("numeric")), spec_of(matcher("set_of", of="numeric"))
    assert matcher_of(before) == matcher("numeric")
    monkeypatch.setattr(type(matcher("numeric")), "version", 99)
    assert fingerprint(spec_of(matcher("numeric"))) != fingerprint(before)
    assert fingerprint(spec_of(matcher("set_of", of="numeric"))) != fingerprint(pair)
    with pytest.raises(RegistryError, match=r"numeric is of version 99 here; found '2': leave `version` out"):
        matcher_of(before)


def test_a_set_that_is_empty_or_endless_is_not_read() -> None:
    assert outcome("set_of", " ", "salt") == "unreadable"
    assert outcome("set_of", "salt", "[]") == "gold_unreadable"
    assert outcome("set_of", ", ".join(f"a{n}" for n in range(300)), "salt") == "unreadable"
    assert outcome("set_of", ", ".join(f"a{n}" for n in range(300)), "salt", repeats=True) == "unreadable"
    assert outcome("set_of", "[salt", "[salt") == "same"


# --- all of them

TEXTS = st.text(max_size=60) | st.text("0123456789.,-+/%$€ aAbBhin½²٤()[]{}\\^=\n", max_size=40)


@given(st.sampled_from(PLAIN), TEXTS, TEXTS, st.lists(TEXTS, max_size=4))
def test_any_two_texts_give_one_of_the_five_outcomes(name: str, one: str, two: str, options: list[str]) -> None:
    found = matcher(name).compare(one, two, options)
    assert found.outcome in OUTCOMES
    assert found.outcome != "error"


@given(st.sampled_from(PLAIN), TEXTS, st.lists(TEXTS, max_size=4))
def test_what_can_be_read_is_the_same_as_itself(name: str, one: str, options: list[str]) -> None:
    assert matcher(name).compare(one, one, options).outcome in ("same", "gold_unreadable")


@given(st.sampled_from(PLAIN), TEXTS, TEXTS, st.lists(TEXTS, max_size=4))
def test_which_of_two_answers_is_the_gold_one_does_not_change_whether_they_are_the_same(
    name: str, one: str, two: str, options: list[str]
) -> None:
    judge = matcher(name)
    assert judge.compare(one, two, options).same == judge.compare(two, one, options).same


@given(TEXTS)
def test_any_text_has_a_final_answer_or_a_countable_reason(text: str) -> None:
    found = matcher("numeric").final(text)
    assert isinstance(found, str) or found.reason in ("no_final_answer", "two_final_answers")
