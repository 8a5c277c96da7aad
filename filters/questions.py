r"""What the rules ask of a chunk of texts: counts that kernels make once, and shares made of them.

One row in -> out: the text ``"a b\na b\nc"`` asked ``Repetition()`` -> ``duplicate_lines`` 1/3, …
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from filters.chunk import Chunk, Floats
from filters.code_points import table
from filters.hashing import Hashes, span_hash

Table = npt.NDArray[np.int64]
Definitions = Literal["curator", "datatrove"]
"""Whose reading of the Gopher paper; docs/filters.md has them side by side."""


def share(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> Floats:
    """A share of a whole that is 0 only where the part is, and then the share is 0."""
    found: Floats = part / np.maximum(whole, 1)
    return found


def word_counts(chunk: Chunk, stop_words: tuple[str, ...] = ()) -> dict[str, npt.NDArray[np.int64]]:
    """Counts of the words of each text, by the names of `filters.line_kernel.WORD_COUNTS`."""
    from filters.line_kernel import WORD_COUNTS, count_words

    def make() -> Table:
        found = np.zeros((len(chunk.reading), len(WORD_COUNTS)), np.int64)
        # Tokens may have signs that the text has not: then each is looked into.
        hashes = np.ones(len(chunk.reading), np.int64) if chunk.tokens else chunk.reading.total("hashes")
        count_words(chunk.words.columns(), chunk.words.data, hashes, _stop_table(stop_words), found)
        return found

    found = chunk.once(("words", stop_words), make)
    return {name: found[:, at] for at, name in enumerate(WORD_COUNTS)}


def _stop_table(words: tuple[str, ...]) -> tuple[Hashes, Table, Table]:
    size = 16
    while size < 4 * len(words):
        size *= 2
    keys, used, index = np.zeros(size, np.uint64), np.zeros(size, np.int64), np.zeros(size, np.int64)
    for at, key in enumerate(dict.fromkeys(span_hash(word.encode()) for word in words)):
        slot = key & (size - 1)
        while used[slot]:
            slot = (slot + 1) & (size - 1)
        keys[slot], used[slot], index[slot] = key, 1, at
    return keys, used, index


def break_counts(chunk: Chunk) -> dict[str, npt.NDArray[np.int64]]:
    """Counts of the lines of each text as `str.splitlines` has them."""
    from filters.line_kernel import LINE_COUNTS, count_breaks

    def make() -> Table:
        reading = chunk.reading
        found = np.zeros((len(reading), len(LINE_COUNTS)), np.int64)
        words, lines = reading.words, reading.lines
        count_breaks(reading.data, (words.start, words.end), (lines.word, lines.bounds), found)
        return found

    found = chunk.once("breaks", make)
    return {name: found[:, at] for at, name in enumerate(LINE_COUNTS)}


REPEATED = ("spans", "chars", "again", "again_chars")


def line_counts(chunk: Chunk, short: int = 30, blank: bool = False) -> dict[str, npt.NDArray[np.int64]]:
    """Counts of the lines between newlines, and of those equal to one before (`REPEATED`)."""
    from filters.gram_kernel import repeated_spans
    from filters.line_kernel import LINE_COUNTS, newline_spans

    def make() -> Table:
        reading, lines, words = chunk.reading, chunk.reading.lines, chunk.reading.words
        found = np.zeros((len(reading), len(LINE_COUNTS)), np.int64)
        spans = _spans(len(lines), len(reading))
        texts, places = (reading.start, reading.end), (words.start, words.end, words.hash)
        newline_spans(reading.data, texts, lines.columns(), places, table(), (short, blank), spans, found)
        repeated = np.zeros((len(reading), len(REPEATED)), np.int64)
        repeated_spans(reading.data, *spans, repeated)
        return np.hstack([found, repeated])

    found = chunk.once(("lines", short, blank), make)
    return {name: found[:, at] for at, name in enumerate((*LINE_COUNTS, *REPEATED))}


def paragraph_counts(chunk: Chunk, definitions: Definitions) -> dict[str, npt.NDArray[np.int64]]:
    """Paragraphs of each text and those equal to one before (`REPEATED`)."""
    from filters.gram_kernel import repeated_spans
    from filters.line_kernel import paragraph_spans

    def make() -> Table:
        reading, words = chunk.reading, chunk.reading.words
        spans = _spans(len(reading.lines) + len(reading), len(reading))
        texts, places = (reading.start, reading.end), (words.start, words.end, words.hash)
        paragraph_spans(reading.data, texts, reading.lines.columns(), places, definitions == "curator", spans)
        repeated = np.zeros((len(reading), len(REPEATED)), np.int64)
        repeated_spans(reading.data, *spans, repeated)
        return repeated

    found = chunk.once(("paragraphs", definitions), make)
    return {name: found[:, at] for at, name in enumerate(REPEATED)}


def _spans(most: int, texts: int) -> tuple[Table, Table, Table, Hashes, Table]:
    places = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    return (*places, np.empty(most, np.uint64), np.empty(texts + 1, np.int64))


def gram_chars(
    chunk: Chunk, top: tuple[int, ...], duplicate: tuple[int, ...], definitions: Definitions
) -> tuple[Table, Table]:
    """Characters in the most frequent n-gram and in duplicate ones, one row a text, column n."""
    from filters.gram_kernel import repetition

    def make() -> tuple[Table, Table]:
        reading, largest = chunk.reading, max([*top, *duplicate], default=0)
        sizes = np.zeros(largest + 1, np.int64)
        sizes[list(top)] |= 1
        sizes[list(duplicate)] |= 2
        shape = len(reading), largest + 1
        found = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        how = sizes, largest, definitions == "curator", not chunk.tokens
        repetition(chunk.words.data, chunk.words.columns(), (reading.start, reading.end), *how, *found)
        return found

    return chunk.once(("grams", top, duplicate, definitions), make)


@dataclass(frozen=True)
class Repetition:
    """Gopher's measures of repetition; see `filters.gopher_repetition` for what each is."""

    top: tuple[int, ...] = (2, 3, 4)
    duplicate: tuple[int, ...] = (5, 6, 7, 8, 9, 10)
    definitions: Definitions = "curator"

    def names(self) -> list[str]:
        """The names of its numbers."""
        spans = ["duplicate_lines", "duplicate_paragraphs", "duplicate_line_chars", "duplicate_paragraph_chars"]
        return spans + [f"top_{n}_gram_chars" for n in self.top] + [f"duplicate_{n}_gram_chars" for n in self.duplicate]

    def __call__(self, chunk: Chunk) -> Mapping[str, Floats]:
        """Name -> a share for each text."""
        chars = chunk.reading.total("chars")
        curator = self.definitions == "curator"
        lines = dict(line_counts(chunk, blank=not curator))
        paragraphs = paragraph_counts(chunk, self.definitions)
        if not curator:
            leads, trails = edge_newlines(chunk)
            lines["spans"] = lines["spans"] + leads + trails
            lines["again"] = lines["again"] + (leads & trails)
        found = {
            "duplicate_lines": share(lines["again"], lines["spans"]),
            "duplicate_paragraphs": share(paragraphs["again"], paragraphs["spans"]),
            "duplicate_line_chars": share(lines["again_chars"], lines["chars"] if curator else chars),
            "duplicate_paragraph_chars": share(paragraphs["again_chars"], paragraphs["chars"] if curator else chars),
        }
        top, duplicate = gram_chars(chunk, self.top, self.duplicate, self.definitions)
        found |= {f"top_{n}_gram_chars": share(top[:, n], chars) for n in self.top}
        return found | {f"duplicate_{n}_gram_chars": share(duplicate[:, n], chars) for n in self.duplicate}


def edge_newlines(chunk: Chunk) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Whether each text begins, and whether it ends, with a newline."""
    reading = chunk.reading
    some = reading.end > reading.start
    leads, trails = np.zeros(len(reading), np.int64), np.zeros(len(reading), np.int64)
    leads[some] = reading.data[reading.start[some]] == 10
    trails[some] = reading.data[reading.end[some] - 1] == 10
    return leads, trails


@dataclass(frozen=True)
class Quality:
    """Gopher's measures of quality; see `filters.gopher_quality` for what each is."""

    stop_words: tuple[str, ...]
    definitions: Definitions = "curator"

    def names(self) -> list[str]:
        """The names of its numbers."""
        signs = ["sign_words"] if self.definitions == "curator" else ["hashes", "ellipses"]
        lines = ["bullet_lines", "ellipsis_lines", "letter_words", "stop_words", "unspaced"]
        return ["words", "mean_word_chars", *signs, *lines]

    def __call__(self, chunk: Chunk) -> Mapping[str, Floats]:
        """Name -> a number for each text."""
        words, totals = word_counts(chunk, self.stop_words), chunk.reading
        found = {
            "letter_words": share(words["letters"], words["words"]),
            "unspaced": share(totals.total("unspaced"), totals.total("letters")),
        }
        if self.definitions == "curator":
            lines = line_counts(chunk)
            return found | {
                "words": words["words"].astype(np.float64),
                "mean_word_chars": share(words["chars"], words["words"]),
                "sign_words": share(words["signs"], words["words"]),
                "bullet_lines": share(lines["bullets"], lines["lines"]),
                "ellipsis_lines": share(lines["ellipsis_marks"], lines["lines"]),
                "stop_words": words["stops"].astype(np.float64),
            }
        lines = break_counts(chunk)
        return found | {
            "words": words["real"].astype(np.float64),
            "mean_word_chars": share(words["real_chars"], words["real"]),
            "hashes": share(totals.total("hashes"), words["words"]),
            "ellipses": share(totals.total("ellipses"), words["words"]),
            "bullet_lines": share(lines["dashes"], lines["lines"]),
            "ellipsis_lines": share(lines["ellipses"], lines["lines"]),
            "stop_words": words["distinct_stops"].astype(np.float64),
        }


@dataclass(frozen=True)
class Unspaced:
    """The share of letters that are of scripts without spaces between words."""

    def __call__(self, chunk: Chunk) -> Mapping[str, Floats]:
        """The share of each text, under ``unspaced``."""
        return {"unspaced": share(chunk.reading.total("unspaced"), chunk.reading.total("letters"))}


@dataclass(frozen=True)
class FineWebLines:
    """FineWeb's measures of a page's lines; see `filters.fineweb` for what each is."""

    short_chars: int = 30

    def names(self) -> list[str]:
        """The names of its numbers."""
        return ["lines", "stopped_lines", "short_lines", "duplicate_chars", "newlines_per_word"]

    def __call__(self, chunk: Chunk) -> Mapping[str, Floats]:
        """Name -> a number for each text."""
        lines, totals = line_counts(chunk, self.short_chars), chunk.reading
        newlines, words = totals.total("newlines"), chunk.words.count
        return {
            "lines": lines["lines"].astype(np.float64),
            "stopped_lines": share(lines["stopped"], lines["lines"]),
            "short_lines": share(lines["short"], lines["lines"]),
            "duplicate_chars": share(lines["again_chars"], totals.total("chars") - newlines),
            "newlines_per_word": share(newlines, words),
        }


@dataclass(frozen=True)
class C4Lines:
    """C4's lines and sentences; see `filters.c4` for what each is."""

    longest: int = 1000
    fewest: int = 3
    cited: bool = True
    lorem: bool = True
    """Whether a document stops being read at "lorem ipsum"; else the line is like any other."""
    brace: bool = True

    def names(self) -> list[str]:
        """The names of its numbers."""
        return ["sentences", "lorem_ipsum", "curly_bracket", "kept_lines"]

    def states(self, chunk: Chunk) -> tuple[npt.NDArray[np.uint8], Table]:
        """What becomes of each line, and the counts of each text; see `filters.c4_kernel`."""
        from filters.c4_kernel import COUNTS, judge_lines

        def make() -> tuple[npt.NDArray[np.uint8], Table]:
            reading, words, lines = chunk.reading, chunk.reading.words, chunk.reading.lines
            state, found = np.zeros(len(lines), np.uint8), np.zeros((len(reading), COUNTS), np.int64)
            limits = self.longest, self.fewest, self.cited, self.lorem, self.brace
            places = (words.start, words.end, words.chars), (lines.word, lines.bounds)
            judge_lines(reading.data, *places, table(), limits, state, found)
            return state, found

        return chunk.once(self, make)

    def __call__(self, chunk: Chunk) -> Mapping[str, Floats]:
        """Name -> a number for each text."""
        from filters.c4_kernel import BRACE, KEPT, LOREM, SENTENCES

        _, found = self.states(chunk)
        return {
            "sentences": found[:, SENTENCES].astype(np.float64),
            "lorem_ipsum": found[:, LOREM].astype(np.float64),
            "curly_bracket": found[:, BRACE].astype(np.float64),
            "kept_lines": share(found[:, KEPT], np.diff(chunk.reading.lines.bounds)),
        }


@dataclass(frozen=True)
class Ratios:
    """NeMo Curator's ratios of characters and lines; see `filters.curator_ratios` for what each is."""

    def names(self) -> list[str]:
        """The names of its numbers."""
        return ["chars", "not_plain", "digits", "white_space", "brackets", "unended_lines", "longest_word"]

    def __call__(self, chunk: Chunk) -> Mapping[str, Floats]:
        """Name -> a number for each text."""
        total, lines = chunk.reading.total, line_counts(chunk)
        chars = total("chars")
        return {
            "chars": chars.astype(np.float64),
            "not_plain": share(chars - total("plain"), chars),
            "digits": share(total("digits"), chars),
            "white_space": share(total("spaces"), chars),
            "brackets": share(total("brackets"), chars),
            "unended_lines": share(lines["lines"] - lines["end_marks"], lines["lines"]),
            "longest_word": word_counts(chunk)["longest"].astype(np.float64),
        }


@dataclass(frozen=True)
class Sizes:
    """Words and characters of each text."""

    def __call__(self, chunk: Chunk) -> Mapping[str, Floats]:
        """Name -> a number for each text."""
        chars = chunk.reading.total("chars")
        return {"words": chunk.words.count.astype(np.float64), "chars": chars.astype(np.float64)}
