r"""Find the final answer of a worked text.

``"48 / 2 = 24 … So the answer is 72 clips.\n#### 72"`` -> ``72``. Nothing marked -> ``no_final_answer``; two marked
that differ -> ``two_final_answers``: such a text argues for both, and taking the last would keep it.

A marker is plain text, looked for in any case with any white space between its words; it is no pattern, so a text of
any length is searched in linear time. Two markers have a shape of their own: ``\boxed`` takes what its braces hold,
and ``"answer":`` what a JSON value is. After the others stands the rest of the sentence, or, where the line ends at
the marker, the next line that is not empty.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Sequence

import orjson

from mashbill.errors import BadReply

MARKERS = (
    "####",
    "\\boxed",
    '"answer":',
    "final answer",
    "the answer is",
    "correct answer is",
    "answer should be",
    "answer:",
)
"""GSM8K's, LaTeX's, our own replies of a shape, and what models write ("So the answer is", Hsieh et al. 2305.02301)."""

MOST_CHARS = 1000
"""Of one answer: what is longer is the rest of a text that had no end."""
MOST_FOUND = 1000
"""Marked answers looked at: a text that says "the answer is" more often says nothing."""

_ENDS = re.compile(r"[.!?](?=\s|$)")
_WORD_BEFORE = re.compile(r"([^\W\d_]+)$")
_ABBREVIATED = frozenset({"dr", "mr", "mrs", "ms", "st", "prof", "approx", "ca", "vs", "no", "jr", "sr", "e.g", "i.e"})
_JSON_VALUE = re.compile(r'\s*("(?:[^"\\]|\\.){0,1000}"|[^\s,}\]"]{1,200})')
_BETWEEN = re.compile(r"[\s:=*_`>\-–—]*")
_SIGN = re.compile(r"[-–—](?=\s{0,2}\Z)")
_FIGURE = re.compile(r"[$€£]?\.?\d")
_MINUS_BEFORE = re.compile(r"(?:\A|[^\w-])[-−–]\$?\Z")
_BOXED = re.compile(r"(?:\$|\\\(|\\\[)*\s?\\boxed")
_IS = re.compile(r"(?:is|was|would be|will be|are)\b[\s:*_`]*", re.IGNORECASE)

Same = Callable[[str, str], bool]


def plain(text: str) -> str:
    """A text for comparison: one Unicode form, no case, single spaces, no marks of Markdown or quotation around it.

    >>> plain(" **The  Salt Guild**. ")
    'the salt guild'
    """
    folded = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    return unicodedata.normalize("NFC", folded).strip("*_`\"'“”‘’« »").rstrip(".,;:!?").strip("*_`\"'“”‘’« »")


def final_answer(
    text: str,
    markers: Sequence[str] = MARKERS,
    *,
    same: Same | None = None,
    reads: Callable[[str], bool] = bool,
) -> str | BadReply:
    r"""The final answer a text marks, or a `BadReply` that says why there is none.

    `same` says whether two marked answers agree, besides those that are equal as `plain` text; `reads` whether what
    stands after a marker can be an answer. Of several that agree it is the last.

    >>> final_answer("The answer is 72 clips.\n#### 72", same=lambda one, two: two in one)
    '72'
    >>> final_answer("The answer is 7. No: the answer is 8.").reason
    'two_final_answers'
    """
    found = marked(text, markers)
    if not found:
        return BadReply("no_final_answer", f"none of the markers {', '.join(markers)} stands in it", text=text)
    found = [one for one in found if reads(one)] or found[-1:]
    last = found[-1]
    for other in dict.fromkeys(found):
        if plain(other) != plain(last) and not (same is not None and same(other, last)):
            return BadReply("two_final_answers", f"{_shown(other)} and {_shown(last)}", text=text)
    return last


def marked(text: str, markers: Sequence[str] = MARKERS) -> list[str]:
    """Every answer a text marks, in order; empty ones are none.

    >>> marked("So the answer is $12.50. I hope this helps!")
    ['$12.50']
    """
    found = []
    end = 0
    for match in _pattern(tuple(markers)).finditer(text):
        if match.start() < end:
            continue  # inside the answer before: "the final answer is \boxed{72}" is one answer
        answer, end = _after(text, match)
        if answer:
            found.append(answer)
        if len(found) == MOST_FOUND:
            break
    return found


@functools.lru_cache(maxsize=64)
def _pattern(markers: tuple[str, ...]) -> re.Pattern[str]:
    # The longest first: of "the final answer is" and "the final answer" the first is meant.
    ordered = sorted(markers, key=len, reverse=True)
    return re.compile("|".join(_one(marker) for marker in ordered) or r"(?!)", re.IGNORECASE)


def _one(marker: str) -> str:
    words = [re.escape(word) for word in marker.split()]
    # No letter before or after a word: "answer:" is not in "nonanswer:", nor "the answer is" in "the answer isn't".
    before = r"(?<!\w)" if marker[:1].isalnum() else ""
    after = r"(?![\w'’])" if marker[-1:].isalnum() else ""
    if words and words[-1].endswith(":"):  # "**Answer**: 72", "\"answer\" : 72"
        words[-1] = words[-1][:-1] + r"[*_]{0,3}\s{0,2}:"
    return before + r"\s{1,9}".join(words) + after


def _after(text: str, match: re.Match[str]) -> tuple[str, int]:
    start = match.end()
    if match[0].startswith("\\"):
        answer, end = _braced(text, start)
        minus = answer and _MINUS_BEFORE.search(text, max(0, match.start() - 4), match.start())
        return (f"-{answer}" if minus else answer), end
    if match[0].startswith('"'):
        return _json(text, start)
    start = _skip(text, start, dash=not match[0][-1:].isalpha() or match[0].lower().endswith(" is"))
    if (is_ := _IS.match(text, start)) and not match[0].lower().endswith(" is"):
        start = is_.end()
    if boxed := _BOXED.match(text, start):
        return _braced(text, boxed.end())
    line_end = text.find("\n", start)
    line = text[start : min(line_end if line_end >= 0 else len(text), start + MOST_CHARS)]
    sentence = line if match[0].startswith("#") else _sentence(line)
    return tidy(sentence), start + len(sentence)


def _skip(text: str, start: int, *, dash: bool) -> int:
    """Past marks and white space, but not past the sign of a number.

    A dash apart from its number is a sign too where `dash` says so: "the answer is - 5", but not "Final answer - 5".
    """
    end = _BETWEEN.match(text, start)
    at = end.end() if end else start
    sign = _SIGN.search(text, max(start, at - 4), at)
    if sign is None or not _FIGURE.match(text, at) or (sign.end() < at and not dash):
        return at
    return sign.start()


def _sentence(line: str) -> str:
    for end in _ENDS.finditer(line):
        word = _WORD_BEFORE.search(line[max(0, end.start() - 12) : end.start()])
        initial = word is not None and (
            word[1].lower() in _ABBREVIATED or (len(word[1]) == 1 and word[1].isupper() and end.start() > 1)
        )
        if end[0] != "." or not initial:
            return line[: end.start() + (end[0] != ".")]
    return line


def _braced(text: str, start: int) -> tuple[str, int]:
    depth, at = 0, start
    for at in range(start, min(len(text), start + MOST_CHARS)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return (tidy(text[start + 1 : at]), at + 1) if text[at] == "}" else ("", at)
    return "", at


def _json(text: str, start: int) -> tuple[str, int]:
    match = _JSON_VALUE.match(text, start)
    if match is None:
        return "", start
    try:
        value = orjson.loads(match[1])
    except orjson.JSONDecodeError:
        return tidy(match[1]), match.end()
    return (tidy(value) if isinstance(value, str) else match[1]), match.end()


def tidy(answer: str) -> str:
    r"""An answer without the marks around it: Markdown, LaTeX's dollars and parentheses, an end of line.

    >>> tidy("**\\(72\\)**"), tidy("$\\frac{1}{2}$"), tidy("$12.50")
    ('72', '\\frac{1}{2}', '$12.50')
    """
    text = answer.strip().strip("*_`").strip()
    for left, right in (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("$", "$"), ('"', '"'), ("“", "”")):
        if len(text) > len(left) + len(right) and text.startswith(left) and text.endswith(right):
            text = text[len(left) : -len(right)].strip()
    return text.strip("*_`").strip()


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
