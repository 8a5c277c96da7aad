r"""Counts of an answer: words, sentences, paragraphs, list items, headings, table rows.

``"# Plan\n\n- buy salt\n- sell oil"`` -> 5 words, 2 bullets, 1 heading. What is counted is what a reader of Markdown
would count; a bullet or a heading is a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from mashbill.words import is_unspaced, tokens

_BULLET = re.compile(r"^[ \t]{0,8}[-*•–+][ \t]+\S", re.MULTILINE)
_NUMBERED = re.compile(r"^[ \t]{0,8}\(?(?:\d{1,3}|[a-zA-Z])[.)][ \t]+\S", re.MULTILINE)
_HEADING = re.compile(r"^(?:#{1,6}[ \t]+\S[^\n]*|\*\*[^*\n]{1,120}\*\*:?[ \t]*)$", re.MULTILINE)
_MARK = re.compile(r"^[ \t]{0,8}(?:[-*•–+]|\(?(?:\d{1,3}|[a-zA-Z])[.)]|#{1,6})[ \t]+", re.MULTILINE)
_BLANK = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_STOP = re.compile(r"[.!?。！？…]+[\"'”’)\]]*(?=\s|$)|(?<=[。！？])")
_SHORT = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\.g|i\.e|cf|No|Fig|approx|a\.m|p\.m)|(?:^|[\s(])[A-Z])\.$"
)
_RULE = re.compile(r"[ \t:|-]+")


def word_count(text: str) -> int:
    """Words between white space that hold a letter or figure; characters where a script has no spaces.

    >>> word_count("- A well-known salt, sold daily.")
    5
    """
    if is_unspaced(text):
        return len(tokens(text))
    return sum(any(one.isalnum() for one in piece) for piece in text.split())


def sentences(text: str) -> list[str]:
    """The sentences; a line of a list without a full stop is one, and "Dr." ends none.

    >>> sentences("Dr. Venn sells salt. Who buys it?")
    ['Dr. Venn sells salt.', 'Who buys it?']
    """
    found = []
    for line in _MARK.sub("", text).splitlines():
        start = 0
        for stop in _STOP.finditer(line):
            if stop.group().rstrip("\"'”’)]") == "." and _SHORT.search(
                line[max(0, stop.start() - 8) : stop.start() + 1]
            ):
                continue
            found.append(line[start : stop.end()])
            start = stop.end()
        found.append(line[start:])
    return [one.strip() for one in found if any(letter.isalnum() for letter in one)]


def paragraphs(text: str) -> list[str]:
    """Blocks of text between blank lines."""
    return [one.strip() for one in _BLANK.split(text.strip()) if one.strip()]


def lines(text: str) -> list[str]:
    """Lines that hold something."""
    return [one.strip() for one in text.splitlines() if one.strip()]


def bullets(text: str) -> list[str]:
    """Lines that begin with a bullet, without it."""
    return [_MARK.sub("", line).strip() for line in text.splitlines() if _BULLET.match(line)]


def numbered(text: str) -> list[str]:
    """Lines that begin with a number or letter and a full stop or bracket, without it."""
    return [_MARK.sub("", line).strip() for line in text.splitlines() if _NUMBERED.match(line)]


def headings(text: str) -> list[str]:
    """Lines that are a Markdown heading, or bold and nothing else."""
    return _HEADING.findall(text)


def table_rows(text: str) -> list[list[str]]:
    """The cells of a Markdown table's rows beneath its heading; none where there is no table."""
    found, inside, before = list[list[str]](), False, ""
    for line in text.splitlines():
        if "--" in line and _RULE.fullmatch(line) and "|" in before:
            inside = True
        elif inside and "|" in line:
            found.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        else:
            inside = False
        before = line
    return found


COUNTS: Mapping[str, Callable[[str], int]] = {
    "words": word_count,
    "sentences": lambda text: len(sentences(text)),
    "characters": lambda text: len(text.strip()),
    "paragraphs": lambda text: len(paragraphs(text)),
    "lines": lambda text: len(lines(text)),
    "bullet points": lambda text: len(bullets(text)),
    "numbered items": lambda text: len(numbered(text)),
    "list items": lambda text: len(bullets(text)) + len(numbered(text)),
    "headings": lambda text: len(headings(text)),
    "questions": lambda text: sum(one.rstrip("\"'”’)]").endswith(("?", "？")) for one in sentences(text)),
    "table rows": lambda text: len(table_rows(text)),
    "table columns": lambda text: max((len(row) for row in table_rows(text)), default=0),
}
"""Counts by the name of what is counted."""
