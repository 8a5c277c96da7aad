r"""Read one number from an answer, exactly, or say why not.

``"$1,234.50"`` -> 2469/2, dollar; ``"3 1/2 cups"`` -> 7/2; ``"She sold 72 clips."`` -> 72; ``"forty-two"`` -> 42;
``"3-4"`` -> `Unread`, ``two_numbers``: a range, a date, a time of day and a version are not one number.

A number is never guessed. ``1.234,5`` does not fit the grouping of English, so with ``decimal: "."`` it is
``not_grouped``; ``1.234`` is one and a bit with ``"."`` and twelve hundred with ``","``. The figures of any script are
read; ``10²`` is not, since what the little figure means is not written.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from mashbill.matching.number_words import COUNTED, COUNTS, number_in_words
from mashbill.matching.units import unit_of

Decimal = Literal[".", ","]

MOST_CHARS = 1000
"""Of an answer that is one number with its words."""
MOST_DIGITS = 400
"""Of one number; it bounds the work, and no answer is longer."""
MOST_EXPONENT = 300

_DIGITS = r"(?:\d+(?:[.,]\d+)*|[.,]\d+)"
_AMOUNT = re.compile(
    rf"(?:(?P<sign>[-+])\s?)?(?:(?P<money>[$€£¥₹])\s?(?P<sign2>[-+]?))?"
    rf"(?:(?P<whole>\d+)\s+(?P<up>\d+)\s?/\s?(?P<low>\d+)"
    rf"|(?P<above>{_DIGITS})\s?/\s?(?P<below>{_DIGITS})"
    rf"|(?P<plain>{_DIGITS})(?:[eE](?P<exp>[-+]?\d+)|\s?[x×*·]\s?10\s?\^\s?\{{?(?P<power>[-+]?\d+)\}}?)?)"
)
_ENGLISH = re.compile(r"(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?|\.\d+")
_THIN_SPACES = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s?\{([^{}]{1,60})\}\s?\{([^{}]{1,60})\}")
_LATEX_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s?\{([^{}]{0,60})\}")
_NOT = re.compile(r"\b(?:not|never|no|nor|neither|cannot|without|except)\b|n['’]t\b|!=|≠", re.IGNORECASE)
_BOUND = re.compile(
    r"\b(?:at least|at most|more than|less than|fewer than|greater than|over|under|between|up to|or)\b|[<>≤≥±]",
    re.IGNORECASE,
)
_BOUND_AFTER = re.compile(r"\b(?:or|to|and up|plus)\b(?!\s+(?:the|be|spare)\b)|^\s?\+|[<>≤≥±]", re.IGNORECASE)
_EQUALS = re.compile(r"(?<![<>!])[=≈]")
_IS_NOT = re.compile(r"\b(?:is|was|are|be)\s+(?:not|never|wrong|incorrect|false)\b|n['’]t\b", re.IGNORECASE)
_MINUS = re.compile(r"(?:minus|negative)\W*\Z", re.IGNORECASE)
_DASH = re.compile(r"(?:\A|[^\w\s])\s*[-—]\s*(?:\\[a-z]+|[(\[{$*_`\"'“~≈\s])*\Z|—\s*\Z")
_FUNCTION = re.compile(
    r"(?:√|\^|\\?\b(?:sqrt|log|ln|exp|sin|cos|tan)|\b(?:root|square|cube|half|third|quarter|percent|twice|double|triple|thrice)"
    r"(?:\s+of)?)[\s({\[$]*\Z",
    re.IGNORECASE,
)
_COMPUTED = re.compile(
    r"\s*(?:[\^π√\u0305]|\\?(?:pi|sqrt)\b|\\(?:pi|sqrt)|(?:squared|cubed|factorial|gross|lakhs?|crores?|mil|mln)\b"
    r"|(?:and\s+)?(?:(?:a|one|two|three|four|five)[\s-]+)?"
    r"(?:half|halves|thirds?|quarters?|fourths?|fifths?|sixths?|sevenths?|eighths?|ninths?|tenths?|hundredths?|thousandths?|"
    r"millionths?|tens)\b)",
    re.IGNORECASE,
)
_COUNT_WORD = re.compile(rf"\b(?:{'|'.join(COUNTED)})\b", re.IGNORECASE)
_LONE_LETTER = re.compile(r"\s+([b-zB-Z])(?![\w.'’/])")
_UNSOLVED = re.compile(r"\d\s?[b-fi-km-rt-zB-FI-KM-RT-Z](?![\w])(?!\s*[\d$(])|\b[b-zB-Z]\s?[-+]\s?[\w(]")
_MONTH = (
    "(?:January|February|March|April|May|June|July|August|September|October|November|December"
    "|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
)
_DATE_BEFORE = re.compile(rf"\b{_MONTH}\.?\s*(?:the\s+)?\Z")
_DATE_AFTER = re.compile(rf"\s*(?:of\s+)?{_MONTH}\b|\s*o['’]clock\b")
_AND_PART = re.compile(r"\s*(?:and\s+)?(?:a|one)[\s-]+(half|third|quarter)\b", re.IGNORECASE)
_COUNT = re.compile(rf"[\s-]*({'|'.join(COUNTS)})s?\b|k\b", re.IGNORECASE)
_PER = re.compile(r"\s*(?:dollars?|euros?)?\s*(?:per|an?|each|/)\s*([a-z]+)", re.IGNORECASE)
_MONEY_COUNT = re.compile(r"\s?(m|mn|bn|b)\b", re.IGNORECASE)
_MONEY_COUNTS = {"m": 10**6, "mn": 10**6, "bn": 10**9, "b": 10**9}
_CODES = ("USD", "EUR", "GBP")
_DOLLARS = re.compile(r"(?:\A|\W)(?:US|A|C|CA|AU|NZ|HK)\Z")
_PART = {"half": Fraction(1, 2), "third": Fraction(1, 3), "quarter": Fraction(1, 4)}


@dataclass(frozen=True, slots=True)
class Number:
    """A number that was read."""

    value: Fraction
    unit: str = ""
    """By its one name (`mashbill.matching.units`), empty for none or one that is not known."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Why no number was read; the reason is countable."""

    reason: str
    detail: str = ""


def read_number(text: str, *, decimal: Decimal = ".", words: bool = True) -> Number | Unread:
    """The one number in an answer.

    >>> read_number("3 1/2 hours")
    Number(value=Fraction(7, 2), unit='hour')
    >>> read_number("at least 3").reason
    'a_bound'
    """
    if len(text) > MOST_CHARS:
        return Unread("too_long", f"{len(text):,} characters; an answer has at most {MOST_CHARS:,}")
    clean = cleaned(_unwrapped(text))
    if isinstance(clean, Unread):
        return clean
    *sides, clean = _EQUALS.split(clean)
    if sides and (unsolved := _UNSOLVED.search(sides[0])):
        return Unread("unsolved", f"{unsolved[0]!r} stands before the equals sign")
    match = _AMOUNT.search(clean)
    if match is None:
        return _in_words(clean) if words else Unread("no_number", "no figure in it")
    before, after = clean[: match.start()], clean[match.end() :]
    if wrong := _around(before, after, match):
        return wrong
    value = _value(match, decimal)
    if isinstance(value, Unread):
        return value
    if _MINUS.search(before):
        value = -value
    return _with_unit(value, match["money"] or "", before, after)


def _unwrapped(text: str) -> str:
    """Without the dollars of LaTeX around all of it."""
    inside = text.strip().strip("$")
    return inside if text.strip().startswith("$") and text.strip().endswith("$") and "$" not in inside else text


def cleaned(text: str) -> str | Unread:
    r"""A text in plain signs: ASCII figures and minus, no LaTeX, ``½`` as ``1/2``.

    >>> cleaned("\\frac{1}{2}"), cleaned("−７²")
    ('1/2', Unread(reason='unknown_sign', detail="'²' is no figure on the line"))
    """
    out = []
    for char in text:
        kind = unicodedata.category(char) if char > "\x7f" else ""
        if kind == "Nd":
            out.append(str(unicodedata.decimal(char)))
        elif kind in ("No", "Nl"):
            shape = unicodedata.normalize("NFKC", char)
            if "⁄" not in shape or not shape[-1].isdigit():
                return Unread("unknown_sign", f"{char!r} is no figure on the line")
            out.append((" " if out and out[-1].isdigit() else "") + shape.replace("⁄", "/"))
        else:
            out.append({"−": "-", "﹣": "-", "－": "-", "–": "-", "％": "%", "÷": "/", "＋": "+"}.get(char, char))
    plain = "".join(out)
    if "\\" in plain or "{" in plain:
        plain = plain.replace("{,}", ",").replace("\\,", "\u2009").replace("\\!", "").replace("\\ ", " ")
        plain = plain.replace("\\%", "%").replace("\\$", "$").replace("\\times", "×").replace("\\cdot", "×")
        plain = _LATEX_TEXT.sub(r" \1", _LATEX_FRACTION.sub(r" \1/\2", plain)).strip()
    return _THIN_SPACES.sub("", plain)


def _around(before: str, after: str, match: re.Match[str]) -> Unread | None:
    """What stands around the figures may make them another thing than a number."""
    currency = before[-3:] in _CODES or (match["money"] == "$" and _DOLLARS.search(before))
    if (before[-1:].isalpha() and not currency) or before[-1:] in ("_", "/", "."):
        return Unread("glued", f"{before[-10:] + match[0]!r}: a name, not a number")
    if (before.strip(" (*:") and match["sign"] and match[0][1:2].isspace()) or _DASH.search(before):
        return Unread("a_dash", f"{before[-10:] + match[0]!r}: the dash may be a minus or not")
    if re.search(r"\d", after):
        return Unread("two_numbers", f"{match[0].strip()!r} and more after it: a range, a date, a time or a list")
    if negated := _NOT.search(before) or _IS_NOT.search(after):
        return Unread("negated", f"{negated[0]!r} stands beside {match[0].strip()!r}")
    if _DATE_BEFORE.search(before) or _DATE_AFTER.match(after):
        return Unread("a_date", f"{match[0].strip()!r} with a month, or a time of day")
    if computed := _FUNCTION.search(before) or _computed(after):
        return Unread("computed", f"{computed[0].strip()!r} makes another number of {match[0].strip()!r}")
    if bound := _BOUND.search(before) or _BOUND_AFTER.search(after):
        return Unread("a_bound", f"{bound[0].strip()!r} makes {match[0].strip()!r} a bound, not a value")
    if after[:1] == "M" and not match["money"] and not after[1:2].isalpha():
        return Unread("glued", f"{match[0] + 'M'!r}: millions or metres")
    if re.match(r"[^\W\d_]", after) and not _COUNT.match(after) and not _known_or_word(after):
        return Unread("glued", f"{match[0] + after[:10]!r}: a name, not a number")
    return None


def _computed(after: str) -> re.Match[str] | None:
    """What stands after figures and makes another number of them, or is a second number."""
    if part := _AND_PART.match(after):
        after = after[part.end() :]
    elif found := _COMPUTED.match(after):
        return found
    if count := _COUNT.match(after):
        after = after[count.end() :]
    # "2 thousand five hundred", "10 thousand million"
    if second := _COUNT_WORD.search(after):
        return second
    lone = _LONE_LETTER.match(after)
    # "72 x" is not 72, "5 k" may be five thousand; "5 m" and "72 F" have units.
    known = lone is not None and lone[1] not in "kKM" and (lone[1] in "FC" or bool(unit_of(lone[1])))
    return None if known else lone


def _known_or_word(after: str) -> bool:
    word = re.match(r"[^\W\d_]+", after)
    return word is None or bool(unit_of(word[0])) or len(word[0]) > 2


def _value(match: re.Match[str], decimal: Decimal) -> Fraction | Unread:
    if len(match[0]) > MOST_DIGITS:
        return Unread("too_large", f"more than {MOST_DIGITS} figures")
    named = {key: match[key] for key in ("whole", "up", "low", "above", "below", "plain") if match[key] is not None}
    numbers = {}
    for key, figures in named.items():
        english = figures if decimal == "." else figures.translate(str.maketrans(".,", ",."))
        if not _ENGLISH.fullmatch(english):
            other = "," if decimal == "." else "."
            return Unread(
                "not_grouped", f"{figures!r} is no number with {decimal!r} for decimals; {other!r} is a field"
            )
        numbers[key] = Fraction(english.replace(",", ""))
    if numbers.get("low") == 0 or numbers.get("below") == 0:
        return Unread("division_by_zero", match[0].strip())
    exponent = int(match["exp"] or match["power"] or "0") if len(match["exp"] or match["power"] or "") < 6 else 10**6
    if abs(exponent) > MOST_EXPONENT:
        return Unread("too_large", f"an exponent beyond {MOST_EXPONENT}")
    if "whole" in numbers:
        value = numbers["whole"] + numbers["up"] / numbers["low"]
    elif "above" in numbers:
        value = numbers["above"] / numbers["below"]
    else:
        value = numbers["plain"] * Fraction(10) ** exponent
    return -value if "-" in (match["sign"], match["sign2"]) else value


def _with_unit(value: Fraction, money: str, before: str, after: str) -> Number:
    if part := _AND_PART.match(after):
        value, after = value + _PART[part[1].lower()], after[part.end() :]
    if count := _COUNT.match(after):
        value *= COUNTS[count[1].lower()] if count[1] else 1000
        after = after[count.end() :]
    elif money and (count := _MONEY_COUNT.match(after)):
        value *= _MONEY_COUNTS[count[1].lower()]
        after = after[count.end() :]
    said = before.strip()[-3:]
    per = _PER.match(after) if money else None
    if per and (over := unit_of(per[1])):
        return Number(value, f"{unit_of(money)}/{over}")
    return Number(value, unit_of(money) or unit_of(after) or (unit_of(said) if said.isupper() else ""))


def _in_words(text: str) -> Number | Unread:
    if negated := _NOT.search(text):
        return Unread("negated", f"{negated[0]!r} stands in it")
    if bound := _BOUND.search(text):
        return Unread("a_bound", f"{bound[0]!r} makes it a bound, not a value")
    if re.match(r"[\s(*_\"'“]*[-—]", text):
        return Unread("a_dash", "the dash before the word may be a minus or not")
    if negated := _IS_NOT.search(text):
        return Unread("negated", f"{negated[0]!r} stands in it")
    found = number_in_words(text)
    if found is None:
        return Unread("no_number", "no figure in it, and it does not begin with one number in words")
    return Number(found[0], unit_of(found[1]))
