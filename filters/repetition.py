r"""How repetitive each of many texts is: the measurements of Gopher's repetition rules (Rae et al. 2021, Table A1).

One row in -> out: ``"a b\na b\nc"`` -> ``duplicate_lines`` 1/3, ``duplicate_line_chars`` 3/9, …

The definitions are those of datatrove's filter, which FineWeb was made with, over white space words:

* A duplicate line (or paragraph) is one seen before in its text; its characters are counted each time but the first.
* A top n-gram is the most frequent one, the earliest of those when several are; its characters, single spaces between
  its words included, times its count. Unlike datatrove's, an n-gram that occurs once repeats nothing and counts 0:
  else any text of seven words would be over the limit.
* Duplicate n-gram characters: read from the left, an n-gram seen before adds its words' characters and is stepped
  over whole, so that no character is counted twice.

All are shares of the characters of the text. A repeated n-gram begins where a repeated (n-1)-gram does, so each n
only looks at the places the one before left: in prose few remain after n = 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.hashing import Hashes, gram_hashes, mix, span_hashes
from filters.text_buffer import Ints, Spans, TextBuffer

Floats = npt.NDArray[np.float64]
SPREAD = np.uint64(0xA0761D6478BD642F)
"""Times the text's number, added to a hash: equal n-grams of two texts must not meet."""


def measure_names(top: Sequence[int], duplicate: Sequence[int]) -> list[str]:
    """The names of the numbers `repetition` gives."""
    spans = ["duplicate_lines", "duplicate_paragraphs", "duplicate_line_chars", "duplicate_paragraph_chars"]
    return spans + [f"top_{n}_gram_chars" for n in top] + [f"duplicate_{n}_gram_chars" for n in duplicate]


def repetition(
    texts: pa.LargeStringArray, *, top: Sequence[int] = (2, 3, 4), duplicate: Sequence[int] = (5, 6, 7, 8, 9, 10)
) -> Mapping[str, Floats]:
    """Name -> a share for each text."""
    parts = [_chunk(buffer, top, duplicate) for buffer in TextBuffer.chunks(texts)]
    empty: Floats = np.zeros(0)
    return {name: np.concatenate([empty, *(part[name] for part in parts)]) for name in measure_names(top, duplicate)}


def _chunk(buffer: TextBuffer, top: Sequence[int], duplicate: Sequence[int]) -> dict[str, Floats]:
    lines, line_chars = _repeated_spans(buffer, buffer.lines)
    paragraphs, paragraph_chars = _repeated_spans(buffer, buffer.paragraphs)
    found = {
        "duplicate_lines": _share(lines, np.bincount(buffer.lines.text, minlength=len(buffer))),
        "duplicate_paragraphs": _share(paragraphs, np.bincount(buffer.paragraphs.text, minlength=len(buffer))),
        "duplicate_line_chars": _share(line_chars, buffer.chars),
        "duplicate_paragraph_chars": _share(paragraph_chars, buffer.chars),
    }
    grams = _Grams(buffer)
    for n in range(1, max([*top, *duplicate], default=0) + 1):
        grams.extend(n)
        if n in top:
            found[f"top_{n}_gram_chars"] = _share(grams.top_chars(n), buffer.chars)
        if n in duplicate:
            found[f"duplicate_{n}_gram_chars"] = _share(grams.duplicate_chars(n), buffer.chars)
    return found


def _share(part: Ints, whole: Ints) -> Floats:
    return part / np.maximum(whole, 1)


def _groups(keys: Hashes) -> tuple[Ints, Ints]:
    """An order that brings equal keys together, and where in it each group begins."""
    order = np.argsort(keys)
    ordered = keys[order]
    new = np.ones(len(ordered), dtype=np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    return order, np.flatnonzero(new)


def _apart(hashes: Hashes, text: Ints) -> Hashes:
    return mix(hashes + text.astype(np.uint64) * SPREAD)


def _repeated_spans(buffer: TextBuffer, spans: Spans) -> tuple[Ints, Ints]:
    """For each text: spans seen before in it, and their characters."""
    count, chars = np.zeros(len(buffer), dtype=np.int64), np.zeros(len(buffer), dtype=np.int64)
    if len(spans):
        order, begins = _groups(_apart(span_hashes(buffer.data, spans.start, spans.end), spans.text))
        again = np.ones(len(spans), dtype=np.bool_)
        # Members of a group are equal in length and text, so any one can stand for the first.
        again[order[begins]] = False
        np.add.at(count, spans.text[again], 1)
        np.add.at(chars, spans.text[again], buffer.span_chars(spans)[again])
    return count, chars


class _Grams:
    """Where n-grams that occur more than once in their text begin, for one n after the other."""

    def __init__(self, buffer: TextBuffer) -> None:
        words = buffer.words
        self.texts = len(buffer)
        self.text = words.text
        self.hashes = span_hashes(buffer.data, words.start, words.end)
        self.chars_before = np.concatenate(([0], np.cumsum(buffer.span_chars(words))))
        self.last = buffer.words_of_text[1:][words.text]
        self.at: Ints = np.arange(len(words), dtype=np.int64)
        self.group: Ints = np.zeros(len(words), dtype=np.int64)

    def extend(self, n: int) -> None:
        """Go on to n-grams; must be called for 1, 2, 3, … in turn."""
        at = self.at[self.at + n <= self.last[self.at]]
        keys = _apart(gram_hashes(self.hashes, n, at), self.text[at])
        order, begins = _groups(keys)
        sizes = np.diff(np.append(begins, len(at)))
        group = np.empty(len(at), dtype=np.int64)
        group[order] = np.repeat(np.arange(len(begins)), sizes)
        again = sizes[group] > 1
        self.at, self.group = at[again], group[again]

    def top_chars(self, n: int) -> Ints:
        """For each text: characters of its most frequent n-gram, times its count."""
        found = np.zeros(self.texts, dtype=np.int64)
        if len(self.at) == 0:
            return found
        _, first, counts = np.unique(self.group, return_index=True, return_counts=True)
        place = self.at[first]
        # By text; then the most frequent, then the earliest: the first of each text is its top n-gram.
        order = np.lexsort((place, -counts, self.text[place]))
        place, counts = place[order], counts[order]
        texts, best = np.unique(self.text[place], return_index=True)
        chars = self.chars_before[place[best] + n] - self.chars_before[place[best]] + n - 1
        found[texts] = chars * counts[best]
        return found

    def duplicate_chars(self, n: int) -> Ints:
        """For each text: characters of n-grams seen before, read from the left, none counted twice."""
        found = np.zeros(self.texts, dtype=np.int64)
        seen: set[int] = set()
        free = 0
        repeats: list[int] = []
        # Only places of repeated n-grams are walked: others neither count nor make another count.
        for place, group in zip(self.at.tolist(), self.group.tolist(), strict=True):
            if place < free:
                continue
            if group in seen:
                repeats.append(place)
                free = place + n
            else:
                seen.add(group)
        where = np.array(repeats, dtype=np.int64)
        np.add.at(found, self.text[where], self.chars_before[where + n] - self.chars_before[where])
        return found
