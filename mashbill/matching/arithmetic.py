"""The value of an arithmetic expression, exactly, in bounded time and without ever running text.

``"(12 + 3) * 2 - 10%"`` -> 299/10. What is no arithmetic (a name, an attribute, a call, a string) is refused by the
reader of signs, before anything is computed; ``9**9**9``, a literal of a thousand figures and a thousand parentheses
are refused by their size. RFT's published code passes such text to ``eval`` (arXiv 2308.01825); this replaces it.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

Reason = Literal["empty", "not_arithmetic", "too_long", "too_deep", "too_large", "division_by_zero"]

MOST_CHARS = 500
"""Of one expression; the longest in GSM8K's solutions has about 60."""
MOST_DEPTH = 40
"""Parentheses and signs inside each other."""
MOST_BITS = 4096
"""Of a numerator or denominator: enough for any sum of a school book, and no operation on it takes a millisecond."""
MOST_EXPONENT = 1000

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d*)?|\.\d+)|(?P<op>\*\*|//|[-+*/^()%])|(?P<end>\Z))",
    re.ASCII,
)
_SIGNS = str.maketrans(
    {"×": "*", "·": "*", "∙": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "—": "-", "[": "(", "]": ")", "％": "%"}
)
_TIMES = re.compile(r"(?<=[\d)%\s])[xX](?=\s*[\d($.-])")
_OF = re.compile(r"(?<=%)\s+of\s+(?=[$\d(.])")
_MONEY = re.compile(r"[$€£](?=\s?[-\d.(])")


class Refused(ValueError):
    """An expression that has no value here; the reason is countable."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: Reason = reason
        self.detail = detail


def evaluate(expression: str) -> Fraction:
    """The exact value of an arithmetic expression of numbers, ``+ - * / // ** ^ %`` and parentheses.

    A number directly before a parenthesis multiplies it, a percent sign divides by a hundred, and ``x``, ``×`` and
    ``÷`` are what they mean. ``**`` binds tighter than a sign and to the right, as in Python.

    >>> evaluate("$1,200 ÷ 4 x (2 + 1)"), evaluate("20% of 50"), evaluate("-2**2")
    (Fraction(900, 1), Fraction(10, 1), Fraction(-4, 1))
    >>> evaluate("9**9**9")
    Traceback (most recent call last):
    ...
    mashbill.matching.arithmetic.Refused: too_large: an exponent of 387420489
    >>> evaluate("().__class__")
    Traceback (most recent call last):
    ...
    mashbill.matching.arithmetic.Refused: not_arithmetic: '.__class__'

    Raises:
        Refused: with one of `Reason`.
    """
    if len(expression) > MOST_CHARS:
        raise Refused("too_long", f"{len(expression):,} characters, at most {MOST_CHARS}")
    reader = _Reader(_tokens(expression))
    value = reader.sum(0)
    if reader.at < len(reader.tokens):
        raise Refused("not_arithmetic", f"{reader.tokens[reader.at]!r} after a whole expression")
    return value


def written(text: str, *, money: bool = True) -> str:
    """An expression in plain signs: ``×`` as ``*``, "20% of 50" as a product; with `money`, no signs of currency.

    >>> written("$3 × 20% of 50")
    '3 * 20%*50'
    """
    plain = _OF.sub("*", _TIMES.sub("*", text.translate(_SIGNS)))
    return _MONEY.sub("", plain) if money else plain


def _tokens(expression: str) -> list[str]:
    text = written(expression)
    tokens, at = list[str](), 0
    while True:
        match = _TOKEN.match(text, at)
        if match is None:
            raise Refused("not_arithmetic", repr(text[at:].strip()[:20]))
        at = match.end()
        if match["end"] is not None:
            break
        tokens.append(match["number"] or match["op"])
    if not tokens:
        raise Refused("empty", "nothing to compute")
    return tokens


class _Reader:
    """Reads tokens by recursive descent; `depth` bounds the recursion."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0

    def here(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def sum(self, depth: int) -> Fraction:
        value = self.product(depth)
        while self.here() in ("+", "-"):
            sign = 1 if self.here() == "+" else -1
            self.at += 1
            value = _bounded(value + sign * self.product(depth))
        return value

    def product(self, depth: int) -> Fraction:
        value = self.signed(depth)
        while (sign := self.here()) in ("*", "/", "//", "("):
            self.at += sign != "("  # 2(3 + 4)
            factor = self.signed(depth)
            if sign in ("/", "//") and not factor:
                raise Refused("division_by_zero")
            value = Fraction(value // factor) if sign == "//" else value / factor if sign == "/" else value * factor
            value = _bounded(value)
        return value

    def signed(self, depth: int) -> Fraction:
        if depth > MOST_DEPTH:
            raise Refused("too_deep", f"more than {MOST_DEPTH} parentheses or signs inside each other")
        if self.here() in ("-", "+"):
            sign = -1 if self.here() == "-" else 1
            self.at += 1
            return sign * self.signed(depth + 1)
        return self.power(depth)

    def power(self, depth: int) -> Fraction:
        base = self.atom(depth)
        if self.here() not in ("**", "^"):
            return base
        self.at += 1
        return _power(base, self.signed(depth + 1))

    def atom(self, depth: int) -> Fraction:
        token = self.here()
        self.at += 1
        if token == "(":
            value = self.sum(depth + 1)
            if self.here() != ")":
                raise Refused("not_arithmetic", "a parenthesis is not closed")
            self.at += 1
        elif token and (token[0].isdigit() or token[0] == "."):
            value = _bounded(Fraction(token.replace(",", "").rstrip(".") or "0"))
        else:
            raise Refused("not_arithmetic", f"{token!r} where a number is wanted" if token else "ends too soon")
        while self.here() == "%":
            self.at += 1
            value = _bounded(value / 100)
        return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise Refused("not_arithmetic", f"the exponent {exponent}: a root has no exact value")
    if abs(exponent) > MOST_EXPONENT:
        raise Refused("too_large", f"an exponent of {exponent}")
    power = int(exponent)
    if power < 0 and not base:
        raise Refused("division_by_zero")
    # Before it is computed: the bits of a power are at most those of its base times the exponent.
    if max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(power) > MOST_BITS:
        raise Refused("too_large", f"a power of more than {MOST_BITS} bits")
    return base**power


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise Refused("too_large", f"a number of more than {MOST_BITS} bits")
    return value
