"""Equal numbers, within a tolerance.

``"$1,234.50"`` and ``"1234.5 dollars"`` -> same; ``"72 minutes"`` and ``"72 hours"`` -> different, ``unit_mismatch``;
``"seventy-two"`` and ``"72"`` -> same; ``"3-4"`` and ``"3"`` -> unreadable, ``two_numbers``.

Both sides are exact fractions (`mashbill.matching.number`), so the tolerance is the only slack, and the comparison is
symmetric. 1e-3 is what RFT takes for equations (Yuan et al. 2023, arXiv 2308.01825, its published code).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from mashbill.matching.base import Matcher
from mashbill.matching.match import Match
from mashbill.matching.number import Decimal, Number, Unread, read_number


@dataclass(frozen=True, kw_only=True)
class Numeric(Matcher):
    """Compares one number with one number."""

    tolerance: float = 1e-3
    """The largest difference, in the unit of the answer; of small numbers see `slack_of`."""
    relative: float = 0.0
    """The largest difference as a share of the larger of the two; the wider of both tolerances holds."""
    decimal: Decimal = "."
    """The decimal sign; the other one of ``.`` and ``,`` groups thousands."""
    percent: Literal["as_written", "as_fraction"] = "as_written"
    """Whether 25% is 25 (of a unit of its own) or 0.25."""
    units: Literal["known", "ignore"] = "known"
    """Whether two known units that differ make two answers different. Nothing is converted: 1 hour is not 60 minutes,
    since a question that asks for minutes is not answered in hours."""
    words: bool = True
    """Whether a number in English words is read."""

    def __post_init__(self) -> None:
        for name in ("tolerance", "relative"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value}; it is a difference, 0 or more")

    def compare(self, answer: str, gold: str, options: Sequence[str] = ()) -> Match:
        """Whether the numbers are equal within the tolerance; options say nothing here."""
        del options
        two = self.read(gold)
        if isinstance(two, Unread):
            return Match("gold_unreadable", f"{two.reason}: {two.detail}")
        one = self.read(answer)
        if isinstance(one, Unread):
            return Match("unreadable", f"{one.reason}: {one.detail}")
        if self.units == "known" and one.unit and two.unit and one.unit != two.unit:
            return Match("different", f"unit_mismatch: {one.unit}, wanted {two.unit}")
        wide = Fraction(str(self.relative)) * max(abs(one.value), abs(two.value))
        if abs(one.value - two.value) <= max(slack_of(one.value, two.value, Fraction(str(self.tolerance))), wide):
            return Match("same")
        return Match("different", f"{shown(one.value)} is not {shown(two.value)}")

    def read(self, text: str) -> Number | Unread:
        """One number, with a percent sign as `percent` says."""
        found = read_number(text, decimal=self.decimal, words=self.words)
        if isinstance(found, Number) and found.unit == "percent" and self.percent == "as_fraction":
            return Number(found.value / 100)
        return found

    def reads(self, answer: str) -> bool:
        """Whether there is a number in it."""
        return isinstance(self.read(answer), Number)


def slack_of(one: Fraction, two: Fraction, tolerance: Fraction) -> Fraction:
    """How far apart two numbers may be: the tolerance, but at most a hundredth of the larger number.

    A tolerance of 0.001 alone would take 1.6e-19 for 9.1e-31, and both for 0. One above 0.01 is no slack for rounding
    but a distance that was asked for, so it holds as it is.

    >>> slack_of(Fraction(5), Fraction(6), Fraction(1, 1000)), slack_of(Fraction(0), Fraction(1, 50), Fraction(1, 1000))
    (Fraction(1, 1000), Fraction(1, 5000))
    """
    hundredth = Fraction(1, 100)
    return tolerance if tolerance > hundredth else min(tolerance, max(abs(one), abs(two)) * hundredth)


def shown(value: Fraction) -> str:
    """A fraction for a reader.

    >>> shown(Fraction(5, 2)), shown(Fraction(1, 3)), shown(Fraction(10) ** 300)
    ('2.5', '1/3', '1e+300')
    """
    if value.denominator == 1 and abs(value) < 10**15:
        return str(value.numerator)
    if abs(value.numerator) >= 10**15 or value.denominator >= 10**15:
        return _wide(value)
    decimal = Fraction(f"{float(value):.6f}")
    return f"{float(value):g}" if decimal == value else str(value)


def _wide(value: Fraction) -> str:
    try:
        return f"{float(value):g}"
    except OverflowError:
        return "a number of more than 300 figures"
