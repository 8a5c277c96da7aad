r"""Find the equations of a worked text and check each.

``"48 / 2 = <<48/2=24>>24 clips, so 48 clips + 24 clips = 73 clips"`` -> ``48/2=24`` right, as marked and as written
out, and ``48 + 24=73`` wrong.

Marked equations, GSM8K's ``<<…>>``, are taken whole. Others are read from the pieces of the text, where a number may
have up to four words after it as its unit. What is not surely an equation is none: one with a letter for a number, one
that goes on after a word such as "half of" or "plus", one without an operator. So a missed equation is likelier than a
wrong alarm. An equation in two units of one measure ("1 hour - 20 minutes = 40 minutes") is right when its numbers are,
and otherwise not judged.

The tolerance is RFT's (Yuan et al. 2023, arXiv 2308.01825, its published code): 1e-3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from typing import Literal

from mashbill.matching.arithmetic import Refused, evaluate, written
from mashbill.matching.number_words import COUNTS
from mashbill.matching.numeric import shown, slack_of
from mashbill.matching.units import measure_of, unit_of

TOLERANCE = 1e-3
MOST_EQUATIONS = 2000
"""Marked ones looked at in one text; a text with more is a model that repeats itself."""
MOST_SIDES = 5000
"""Sides of written equations looked at."""

Outcome = Literal["right", "wrong", "unread", "unsure"]


@dataclass(frozen=True, slots=True)
class Equation:
    """One equation of a text and whether it holds."""

    text: str
    """In plain signs without units: ``48/2=24``."""
    outcome: Outcome
    """``unread``: no arithmetic though marked, or none that can be computed (``1/0``, ``9**9**9``); ``unsure``: its
    numbers do not agree, but it counts in two units of one measure, or goes on."""
    marked: bool
    """Whether the text marked it, ``<<…>>``."""
    detail: str = ""


def equations(text: str, *, tolerance: float = TOLERANCE) -> tuple[Equation, ...]:
    """Every equation of a text, checked: the marked ones in order, then those written out.

    >>> [(one.text, one.outcome) for one in equations("He has 3 x 4 = <<3*4=12>>12 pens and x = 5 + y")]
    [('3*4=12', 'right'), ('3*4=12', 'right')]
    """
    slack = Fraction(str(tolerance))
    marked = [_of_marked(match[1], slack) for match in islice(_MARKED.finditer(text), MOST_EQUATIONS)]
    return (*marked, *_written_out(_MARKED.sub("", text), slack))


_MARKED = re.compile(r"<<([^<>\n]{1,600})>>")


def _of_marked(inside: str, slack: Fraction) -> Equation:
    sides = [side.strip() for side in inside.split("=")]
    if len(sides) < 2:
        return Equation(inside.strip(), "unread", True, "holds no equals sign")
    outcome, detail, _ = _judge(sides, slack)
    return Equation("=".join(sides), outcome, True, detail)


def _judge(sides: Sequence[str], slack: Fraction) -> tuple[Outcome, str, bool]:
    """Whether neighbouring sides are equal, why not, and whether all of it is arithmetic."""
    try:
        values = [evaluate(side) for side in sides]
    except Refused as refused:
        return "unread", str(refused), refused.reason not in ("not_arithmetic", "empty")
    for (left, one), (right, two) in pairwise(zip(sides, values, strict=True)):
        if not _equal(left, one, right, two, slack):
            return "wrong", f"{left[:60]} is {shown(one)}, not {right[:60]}", True
    return "right", "", True


def _equal(left: str, one: Fraction, right: str, two: Fraction, tolerance: Fraction) -> bool:
    if abs(one - two) <= slack_of(one, two, tolerance):
        return True
    # "20 / 80 * 100 = 25%": the sign says what is counted, it does not divide again. (But 1/4 is not 0.25%.)
    if right.endswith("%") and abs(one) >= 1 and abs(one - two * 100) <= tolerance:
        return True
    # "$100 / 7 = $14.29": rounded to the places it is written with, two or more, and right to a hundredth of it.
    places = _PLACES.search(right)
    if places and abs(one - two) <= min(Fraction(1, 2 * 10 ** len(places[1])), max(abs(one), abs(two)) / 100):
        return True
    # "80 - 25% = 60": of what stands before, as a calculator's key has it.
    share = _SHARE_OFF.fullmatch(left)
    if share is None:
        return False
    whole, part = evaluate(share[1]), evaluate(share[3])
    taken = whole * (1 + part if share[2] == "+" else 1 - part)
    return abs(taken - two) <= slack_of(taken, two, tolerance)


_PLACES = re.compile(r"\A[^.]*\.(\d{2,9})[\s)]*\Z")
_SHARE_OFF = re.compile(r"([\d.,]+)\s*([-+])\s*([\d.,]+%)")


def _words(text: str) -> list[str]:
    return text.split()


# A text as a string of codes, one for each of its pieces, so that the shape of an equation is a regular expression:
# n number, w word, o operator, s sign, ( ), p percent, m money, e equals, v a letter that stands for a number,
# k a word that computes, b anything else.
_PIECE = re.compile(
    r"(?P<n>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)"
    r"|(?P<w>(?:(?<=\S)/)?[^\W\d_]+(?:['’/-][^\W\d_]+)*)|(?P<o>\*\*|//|[-+*/^])|(?P<p>%)|(?P<m>[$€£¢])|(?P<l>\()|(?P<r>\))"
    r"|(?P<e>(?<![<>!=:])=(?![=>]))|(?P<b>\n|[^\s])"
)
_ITEM = r"s?m?\({0,40}s?m?s?np?m?w{0,10}(?:\){1,40}w{0,10})?"
_EXPRESSION = rf"(?>{_ITEM}(?:o{_ITEM})*)"
_EQUATION = re.compile(rf"(?<![onpmkvs()]){_EXPRESSION}(?:e{_EXPRESSION}){{1,50}}(?!(?<!w)[vnp(])")
_COMPUTES = frozenset(
    _words("plus minus times over from half twice double triple thrice quarter third less more than squared cubed")
)
_GOES_ON = frozenset([*COUNTS, "plus", "minus"])
_REMAINS = frozenset(_words("remainder rem mod modulo"))
_SHARES = frozenset(_words("half third thirds quarter quarters fourth fourths fifth fifths percent number numbers"))
_LETTER_UNITS = frozenset("amghsl")

_LIST_MARK = re.compile(r"^[ \t]*(?:\(?\d{1,3}[.)]|[-*+•])[ \t]+", re.MULTILINE)
_LATEX = (
    (re.compile(r"\\(?:times|cdot)(?![a-zA-Z])"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])"), "/"),
    (re.compile(r"\\(?:text|mathrm)\s?\{([^{}\n]{0,60})\}"), r" \1 "),
    (re.compile(r"\\[dt]?frac\s?\{([^{}\n]{1,60})\}\s?\{([^{}\n]{1,60})\}"), r"(\1)/(\2)"),
    (re.compile(r"\\([%$])"), r"\1"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\boxed\s?\{([^{}\n]{1,60})\}"), r"\1"),
    (re.compile(r"\\(?:left|right)(?![a-zA-Z])"), ""),
    (re.compile(r"&(?==)|(?<==)\s?&"), ""),
    # Markdown's bold, not a power: a power has a number on both sides, and spaces on both or on neither.
    (re.compile(r"\*\*(?!\s?[-\d(])|(?<![\d)\s])\*\*|(?<=\s)\*\*(?!\s)|(?<!\s)\*\*(?=\s)"), " "),
)
_FULL_WIDTH = {code: chr(code - 0xFEE0) for code in map(ord, "０１２３４５６７８９＋－＊／＝（）．")}
"""As texts with Chinese or Japanese in them write their sums."""
_SAID = {"plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/", "equals": "="}
_SPOKEN = re.compile(rf"(?<=\d) ({'|'.join(_SAID)}) (?=[$€£]?\d)", re.IGNORECASE)
_MIXED = re.compile(r"((?:^|[-+*/=(])[^\S\n]*)(\d{1,3})[^\S\n]+(\d{1,2})/(\d{1,2})(?![\d/])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Piece:
    code: str
    text: str
    glued: bool
    """Whether no space stands before it."""


def _pieces(text: str) -> list[_Piece]:
    for pattern, plain in _LATEX:
        text = pattern.sub(plain, text)
    text = text.translate(_FULL_WIDTH)
    text = _SPOKEN.sub(lambda match: f" {_SAID[match[1].lower()]} ", text)
    text = _MIXED.sub(_as_sum, written(_LIST_MARK.sub("\n", text), money=False))
    pieces, end = list[_Piece](), -1
    for match in _PIECE.finditer(text):
        code = {"l": "(", "r": ")"}.get(match.lastgroup or "", match.lastgroup or "")
        glued, end = match.start() == end, match.end()
        before = pieces[-1] if pieces else _Piece("b", "", False)
        if code == "w":
            code = _code_of_word(match[0].lower().lstrip("/"), before, glued)
        elif match[0] == "-" and before.code in "be(o":
            code = "s"
        elif code == "(" and glued and before.code in "np)":
            pieces.append(_Piece("o", "*", True))  # 44(.50)
        elif glued and match[0] in (":", ",", ".") and before.code == "n" and text[end : end + 1].isdigit():
            code = "v"  # 12:30, 5,5: no number that is read here, nor two
        pieces.append(_Piece(code, match[0], glued))
    return pieces


def _as_sum(match: re.Match[str]) -> str:
    """``1 1/2`` as ``(1+1/2)``, where it is a proper fraction."""
    before, whole, up, low = match.groups()
    return f"{before}({whole}+{up}/{low})" if int(up) < int(low) else match[0]


def _code_of_word(word: str, before: _Piece, glued: bool) -> str:
    if len(word) == 1 and (glued or word not in _LETTER_UNITS):
        return "v"
    if word in COUNTS or word in _COMPUTES or (word == "by" and before.text.lower().startswith(("multipl", "divid"))):
        return "k"
    # "a total of 3 + 4" adds; "a third of 3 + 4" does something else.
    return "k" if word == "of" and (before.code in "np)k" or before.text.lower() in _SHARES) else "w"


def _written_out(text: str, slack: Fraction) -> list[Equation]:
    pieces = _pieces(text)
    codes = "".join(piece.code for piece in pieces)
    found = []
    sides = 0
    for match in _EQUATION.finditer(codes):
        sides += match[0].count("e") + 1
        if sides > MOST_SIDES:
            break
        inside = pieces[match.start() : match.end()]
        following = pieces[match.end()] if match.end() < len(pieces) else _Piece("b", "", False)
        one = _of_pieces(inside, slack, goes_on=following.code == "o" or following.text.lower() in _GOES_ON)
        if one is not None:
            found.append(one)
    return found


def _of_pieces(pieces: Sequence[_Piece], slack: Fraction, *, goes_on: bool) -> Equation | None:
    if all(piece.code != "o" for piece in pieces) or any(piece.text.lower() in _REMAINS for piece in pieces):
        return None
    sides = "".join(piece.text for piece in pieces if piece.code not in "wm").split("=")
    sides[0], sides[-1] = _opened(sides[0]), _closed(sides[-1])
    outcome, detail, arithmetic = _judge(sides, slack)
    if not arithmetic:
        return None
    # The word next to a number is its unit: "minutes per day" are minutes.
    next_to = [
        piece for before, piece in pairwise(pieces) if piece.code == "m" or (piece.code == "w" and before.code == "n")
    ]
    units = {unit for piece in [*pieces[:1], *next_to] if piece.code in "wm" and (unit := unit_of(piece.text))}
    if outcome == "wrong" and (goes_on or len(units) > len({measure_of(unit) for unit in units})):
        outcome, detail = "unsure", f"{detail}, but it goes on or counts in {' and '.join(sorted(units)) or 'words'}"
    return Equation("=".join(sides), outcome, False, detail)


def _opened(side: str) -> str:
    """Without the parentheses that the whole equation stands in."""
    while side.startswith("(") and side.count("(") > side.count(")"):
        side = side[1:]
    return side


def _closed(side: str) -> str:
    while side.endswith(")") and side.count(")") > side.count("("):
        side = side[:-1]
    return side
