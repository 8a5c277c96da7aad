"""A long document in windows that end at sentences and overlap.

``"One. Two. Three."``, 10 characters a window -> ``(0, 9) "One. Two."`` and ``(10, 16) "Three."``
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mashbill.sentences import SENTENCE_END

_LINE, _SPACE, _WORD = re.compile(r"\n"), re.compile(r"\s"), re.compile(r"\s\S")
_ENDED = re.compile(r"[.!?。！？][\"'”’)\]]*\Z")
SHORTEST = 0.5
"""A window ends at the last sentence end in its second half; a text without one is cut at a space, or at its size."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text: ``text[start:end]``."""

    start: int
    end: int


def windows_of(text: str, size: int, overlap: int) -> list[Window]:
    """Windows of at most `size` characters that together hold all of the text but the space between them.

    Each begins at a sentence at most `overlap` characters before the end of the one before, so that what is said across
    a border is seen whole once.

    >>> text = "One. Two. Three."
    >>> [text[one.start : one.end] for one in windows_of(text, 10, 0)]
    ['One. Two.', 'Three.']
    >>> [text[one.start : one.end] for one in windows_of(text, 12, 5)]
    ['One. Two.', 'Two. Three.']
    """
    found: list[Window] = []
    start = _skip(text, 0)
    while start < len(text):
        end = _end(text, start, size)
        found.append(Window(start, end))
        if _skip(text, end) >= len(text):
            break
        start = _next(text, start, end, overlap)
    return found


def sentences_of(text: str) -> tuple[str, ...]:
    r"""The distinct sentences of a text, in order; a line break within one is a space.

    >>> sentences_of('It burned. "Why?" Nobody\nknew')
    ('It burned.', '"Why?"', 'Nobody knew')
    """
    found, start = list[str](), 0
    for match in SENTENCE_END.finditer(text):
        found.append(text[start : match.end()])
        start = match.end()
    plain = (" ".join(one.split()) for one in [*found, text[start:]])
    return tuple(dict.fromkeys(one for one in plain if any(map(str.isalnum, one))))


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _end(text: str, start: int, size: int) -> int:
    if len(text) - start <= size:
        return len(text.rstrip())
    least, last = start + max(1, int(size * SHORTEST)), start + size
    # One character more is looked at, so that a full stop at the end is seen to be none: 3.14.
    ends = [match.end() for match in SENTENCE_END.finditer(text, start, last + 1) if least <= match.end() <= last]
    if ends:
        return start + len(text[start : ends[-1]].rstrip())
    for blank in (_LINE, _SPACE):
        if spaces := [match.start() for match in blank.finditer(text, least, last + 1)]:
            return start + len(text[start : spaces[-1]].rstrip())
    return last


def _next(text: str, start: int, end: int, overlap: int) -> int:
    """The first sentence that begins in the overlap; without one its first word, if no sentence ends here either."""
    if overlap:
        low = max(start + 1, end - overlap)
        for match in SENTENCE_END.finditer(text, max(start, low - 2), end):
            begin = _skip(text, match.end())
            if low <= begin < end:
                return begin
        if not _ENDED.search(text, max(start, end - 8), end) and not re.match(r"\s*\n\s*\n", text[end : end + 8]):
            word = _WORD.search(text, low - 1, end)
            return word.end() - 1 if word else low
    return _skip(text, end)
