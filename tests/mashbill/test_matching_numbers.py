"""Numbers as people and models write them: read exactly, or not at all with a countable reason."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.matching import matcher
from mashbill.matching.number import Number, Unread, cleaned, read_number
from mashbill.matching.number_words import number_in_words
from mashbill.matching.numeric import shown
from mashbill.matching.units import measure_of, unit_of

READ = [
    ("72", "72", ""),
    ("72.", "72", ""),
    ("72!", "72", ""),
    ("(5)", "5", ""),
    ("-5", "-5", ""),
    ("−5", "-5", ""),
    ("–5", "-5", ""),
    ("+5", "5", ""),
    ("minus five", "-5", ""),
    ("negative 5", "-5", ""),
    ("-$5", "-5", "dollar"),
    ("$-5", "-5", "dollar"),
    ("1,234.5", "1234.5", ""),
    ("1,000,000", "1000000", ""),
    ("1\u00a0000", "1000", ""),
    (".5", "0.5", ""),
    ("1e5", "100000", ""),
    ("1.5e-3", "0.0015", ""),
    ("3 × 10^5", "300000", ""),
    ("3 x 10^{-2}", "0.03", ""),
    ("3/4", "3/4", ""),
    ("3 1/2 hours", "7/2", "hour"),
    ("3½", "7/2", ""),
    ("½", "1/2", ""),
    ("\\frac{1}{2}", "1/2", ""),
    ("2\\frac{1}{2}", "5/2", ""),
    ("\\dfrac{3}{4}\\text{ cups}", "3/4", ""),
    ("1{,}234", "1234", ""),
    ("12\\,500", "12500", ""),
    ("50\\%", "50", "percent"),
    ("25 %", "25", "percent"),
    ("٤٢", "42", ""),
    ("７２", "72", ""),
    ("x = 72", "72", ""),
    ("48 + 24 = 72 clips", "72", ""),
    ("She sold 72 clips.", "72", ""),
    ("about 5", "5", ""),
    ("12-inch", "12", "inch"),
    ("72clips", "72", ""),
    ("5km", "5", "kilometre"),
    ("60 miles per hour", "60", "mile/hour"),
    ("60 mph", "60", "mile/hour"),
    ("100 square feet", "100", "foot^2"),
    ("5am", "5", "am"),
    ("5 p.m.", "5", "pm"),
    ("USD 5", "5", "dollar"),
    ("€ 1,200", "1200", "euro"),
    ("5 dozen", "60", ""),
    ("5k", "5000", ""),
    ("$1.2M", "1200000", "dollar"),
    ("$3 million", "3000000", "dollar"),
    ("2 and a half hours", "5/2", "hour"),
    ("forty-two", "42", ""),
    ("three dozen eggs", "36", ""),
    ("a dozen", "12", ""),
    ("half a dozen", "6", ""),
    ("half", "1/2", ""),
    ("two thirds", "2/3", ""),
    ("three quarters", "3/4", ""),
    ("two and a half hours", "5/2", "hour"),
    ("two point five", "5/2", ""),
    ("There are one hundred and five", "105", ""),
    ("a hundred", "100", ""),
    ("ten thousand two hundred and five", "10205", ""),
    ("two million three hundred thousand", "2300000", ""),
    ("zero", "0", ""),
]
READ += [
    ("5 millions", "5000000", ""),
    ("US$5", "5", "dollar"),
    ("$5/hour", "5", "dollar/hour"),
    ("5 per cent", "5", "percent"),
    ("72 degrees Celsius", "72", "celsius"),
    ("72° F", "72", "fahrenheit"),
    ("$5$", "5", ""),
    ("2\\,500", "2500", ""),
    ("x = 3 * 4 = 12", "12", ""),
    ("V = 5 m * 3 m = 15", "15", ""),
    ("5 m", "5", "metre"),
    ("72 F", "72", ""),
    ("5 a day", "5", ""),
]
UNREAD = [
    ("", "no_number"),
    ("nan", "no_number"),
    ("inf", "no_number"),
    ("infinity", "no_number"),
    ("nobody", "negated no_number"),
    ("the last one", "no_number"),
    ("one of them", "no_number"),
    ("five six", "no_number"),
    ("three quarters of a mile", "no_number"),
    ("word " * 60, "no_number"),
    ("3-4", "two_numbers"),
    ("3 to 4", "two_numbers"),
    ("2020-01-05", "two_numbers"),
    ("12/25/2020", "two_numbers"),
    ("10:30", "two_numbers"),
    ("1.2.3", "not_grouped"),
    ("1 000", "two_numbers"),
    ("5 of the 10", "two_numbers"),
    ("1.234,5", "not_grouped"),
    ("12,34", "not_grouped"),
    ("1/0", "division_by_zero"),
    ("3 1/0", "division_by_zero"),
    ("1e999", "too_large"),
    ("1e9999999999999", "too_large"),
    ("9" * 500, "too_large"),
    ("9" * 2000, "too_long"),
    ("10²", "unknown_sign"),
    ("ⅷ", "unknown_sign"),
    ("not 5", "negated"),
    ("it isn't 5", "negated"),
    ("x != 5", "negated"),
    ("not five", "negated"),
    ("at least 5", "a_bound"),
    ("x >= 5", "a_bound"),
    ("5 or more", "a_bound"),
    ("5+", "a_bound"),
    ("at least five", "a_bound"),
    ("COVID-19", "glued"),
    ("B12", "glued"),
    ("3rd", "glued"),
    ("v_5", "glued"),
    ("total - 5", "a_dash"),
    ("-\\boxed{5}", "a_dash"),
    ("-(5)", "a_dash"),
    ("—5", "a_dash"),
    ("-five", "a_dash"),
    ("72 is not right", "negated"),
    ("seventy-two is wrong", "negated"),
    ("half of 72", "computed"),
    ("double 5", "computed"),
    ("\\sqrt{4}", "computed"),
    ("√4", "computed"),
    ("x^2", "computed"),
    ("2\\pi", "computed"),
    ("5 squared", "computed"),
    ("3 quarters", "computed"),
    ("5 and three quarters", "computed"),
    ("5 hundredths", "computed"),
    ("5 lakh", "computed"),
    ("2 thousand five hundred", "computed"),
    ("10 thousand million", "computed"),
    ("72 x", "computed"),
    ("5 k", "computed"),
    ("5 M", "computed"),
    ("5M", "glued"),
    ("five hundredths", "no_number"),
    ("five squared", "no_number"),
    ("the fifth", "no_number"),
    ("January 5", "a_date"),
    ("5 o'clock", "a_date"),
    ("3x = 6", "unsolved"),
    ("x + 3 = 10", "unsolved"),
    ("3\\,4", "two_numbers"),
]


@pytest.mark.parametrize(("text", "value", "unit"), READ)
def test_a_number_is_read_as_it_is_written(text: str, value: str, unit: str) -> None:
    assert read_number(text) == Number(Fraction(value), unit)


@pytest.mark.parametrize(("text", "reason"), UNREAD)
def test_what_is_not_surely_one_number_is_none(text: str, reason: str) -> None:
    found = read_number(text)
    assert isinstance(found, Unread)
    assert found.reason in reason.split()


def test_the_decimal_sign_is_said_not_guessed() -> None:
    assert read_number("1.234,5", decimal=",") == Number(Fraction("1234.5"))
    assert read_number("1.234", decimal=",") == Number(Fraction(1234))
    assert read_number("1.234") == Number(Fraction("1.234"))
    assert isinstance(read_number("1,234.5", decimal=","), Unread)


def test_words_are_read_only_when_they_may_be() -> None:
    assert isinstance(read_number("forty-two", words=False), Unread)
    assert read_number("42", words=False) == Number(Fraction(42))


def test_number_words_end_where_the_number_ends() -> None:
    assert number_in_words("one hundred and then") == (Fraction(100), "and then")
    assert number_in_words("twenty pans") == (Fraction(20), "pans")
    assert number_in_words("three and salt") == (Fraction(3), "and salt")
    assert number_in_words("five thousand million") is None
    assert number_in_words("two point salt") == (Fraction(2), "point salt")
    assert number_in_words("a score") == (Fraction(20), "")
    assert number_in_words("one half") == (Fraction(1, 2), "")
    assert number_in_words("a third of it") is None
    assert number_in_words("a salt pan") is None


def test_latex_and_signs_become_plain() -> None:
    assert cleaned("7 \\times 2 ÷ 1 ％") == "7 × 2 / 1 %"
    assert isinstance(cleaned("①"), Unread)


def test_units_by_their_names() -> None:
    assert unit_of("in total") == unit_of("clips") == unit_of("") == ""
    assert unit_of("meters") == unit_of("m") == "metre"
    assert unit_of("cubic inches") == "inch^3"
    assert unit_of("square pans") == ""
    assert unit_of("dollars per salt") == "dollar"
    assert measure_of("metre") == measure_of("foot") == "length"
    assert measure_of("clip") == ""


# --- numeric


def outcome(answer: str, gold: str, **fields: object) -> str:
    return matcher("numeric", **fields).compare(answer, gold).outcome


def test_a_unit_that_differs_is_a_reason_of_its_own() -> None:
    found = matcher("numeric").compare("72 minutes", "72 hours")
    assert found.outcome == "different"
    assert found.detail == "unit_mismatch: minute, wanted hour"
    assert outcome("72 minutes", "72") == outcome("72", "72 hours") == "same"
    assert outcome("$72", "€72") == "different"
    assert outcome("$72", "72 dollars") == "same"
    assert outcome("72 clips", "72 pens") == "same"  # neither is a unit
    assert outcome("72 minutes", "72 hours", units="ignore") == "same"
    assert outcome("1 hour", "60 minutes") == "different"  # nothing is converted


def test_percent_is_a_unit_or_a_fraction_as_told() -> None:
    assert outcome("25%", "25") == "same"
    assert outcome("25%", "0.25") == "different"
    assert outcome("25%", "0.25", percent="as_fraction") == "same"
    assert outcome("25%", "1/4", percent="as_fraction") == "same"
    assert outcome("25%", "25", percent="as_fraction") == "different"


def test_the_tolerance_is_exact() -> None:
    assert outcome("5.001", "5") == "same"
    assert outcome("5.0010001", "5") == "different"
    assert outcome("0.3", "0.1", tolerance=0.2) == "same"  # 0.3 - 0.1 > 0.2 in floating point
    assert outcome("1000000", "1000001") == "different"
    assert outcome("1000000", "1000001", relative=1e-6) == "same"


def test_small_numbers_are_not_all_the_same() -> None:
    assert outcome("1.6e-19", "9.1e-31") == outcome("0.0004", "0") == outcome("0.051", "0.05") == "different"
    assert outcome("0.167", "1/6") == outcome("1.602e-19", "1.6e-19") == outcome("0", "0.0") == "same"
    assert outcome("0.3", "0.1", tolerance=0.5) == "same"  # a distance that was asked for


def test_degrees_are_of_one_scale() -> None:
    assert outcome("72 degrees Celsius", "72 degrees Fahrenheit") == "different"
    assert outcome("72°C", "72 degrees Celsius") == "same"


def test_a_unit_of_squares_of_squares_is_none() -> None:
    assert unit_of("square " * 10_000 + "feet") == ""


def test_an_unreadable_gold_is_told_from_an_unreadable_answer() -> None:
    assert matcher("numeric").compare("72", "some").detail.startswith("no_number")
    assert outcome("72", "some") == "gold_unreadable"
    assert outcome("some", "72") == "unreadable"
    assert outcome("some", "some") == "gold_unreadable"


def test_numbers_for_a_reader() -> None:
    assert matcher("numeric").compare("1/3", "2").detail == "1/3 is not 2"
    assert shown(Fraction(10) ** 20) == "1e+20"
    assert shown(Fraction(10) ** 400) == "a number of more than 300 figures"
    assert shown(Fraction(5, 2)) == "2.5"


DECIMALS = st.decimals(min_value=-(10**9), max_value=10**9, places=3, allow_nan=False, allow_infinity=False)


@given(DECIMALS, DECIMALS)
def test_two_numbers_are_the_same_exactly_within_the_tolerance(one: object, two: object) -> None:
    close = abs(Fraction(str(one)) - Fraction(str(two))) <= Fraction(1, 1000)
    assert outcome(f"{one}", f"{two}") == outcome(f"{two}", f"{one}") == ("same" if close else "different")


@given(st.integers(0, 10**9 - 1))
def test_a_whole_number_reads_back_from_figures_groups_and_words(number: int) -> None:
    assert read_number(f"{number:,}") == read_number(str(number)) == read_number(in_words(number))
    assert read_number(f"{number}") == Number(Fraction(number))


ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)


TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


def in_words(number: int) -> str:
    """The plain spelling, for the test above."""
    tens = TENS.split(" ")
    if number < 20:
        return ONES.split(" ")[number]
    if number < 100:
        return tens[number // 10 - 2] + (f"-{in_words(number % 10)}" if number % 10 else "")
    for size, name in ((10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = number % size
            joint = " and " if size == 100 else " "
            return f"{in_words(number // size)} {name}" + (f"{joint}{in_words(rest)}" if rest else "")
    raise AssertionError(number)
