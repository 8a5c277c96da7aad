"""The one pass over the bytes of a batch of texts: its words, their hashes, its lines, and what its characters are.

No Python string is made. `filters.reading` calls it and says what each array holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from filters.code_points import BOUND, DIGIT, LETTER, MARK, REAL, SPACE, UNSPACED, UPPER
from filters.compiled import compiled
from filters.hashing import BYTE_BASE, MIX_1, MIX_2

TOTALS = (
    *("chars", "newlines", "letters", "upper", "digits", "unspaced"),
    *("ellipses", "hashes", "spaces", "brackets", "plain", "braces"),
)
"""Counts of a text, by column. `spaces` are tab, newline, return, backspace and space; `brackets` are ( ) [ ] { } ⟨ ⟩;
`plain` are a-z, A-Z, 0-9, newline and ? ! , . (the last three as NeMo Curator counts them)."""
CHARS, NEWLINES, LETTERS, UPPERS, DIGITS, UNSPACEDS, ELLIPSES, HASHES, SPACES, BRACKETS, PLAIN, BRACES = range(12)

END, NEWLINE, RETURN_NEWLINE, OTHER_BREAK = range(4)
"""How a line ends: with its text, at a newline, at a return and newline, at another break of `str.splitlines`."""

_BYTE_BASE, _MIX_1, _MIX_2 = np.uint64(BYTE_BASE), np.uint64(MIX_1), np.uint64(MIX_2)
_ONE, _SHIFT, _ZERO = np.uint64(1), np.uint64(33), np.uint64(0)


@compiled
def mixed(value: Any) -> Any:
    """`filters.hashing.mix` of one number."""
    value = (value ^ (value >> _SHIFT)) * _MIX_1
    value = (value ^ (value >> _SHIFT)) * _MIX_2
    return value ^ (value >> _SHIFT)


@compiled
def decoded(data: Any, at: Any, end: Any) -> Any:
    """The code point that begins at a byte that is not ASCII, and its bytes; -1 where the bytes are no UTF-8."""
    lead = np.int64(data[at])
    width = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if lead < 0xC2 or lead > 0xF4 or at + width > end:
        return np.int64(-1), np.int64(1)
    code = lead & (0xFF >> (width + 1))
    for place in range(at + 1, at + width):
        if data[place] & 0xC0 != 0x80:
            return np.int64(-1), np.int64(1)
        code = (code << 6) | np.int64(data[place] & 0x3F)
    return code, np.int64(width)


@compiled
def flags_of(table: Any, code: Any) -> Any:
    """The flags of a code point; see `filters.code_points`."""
    if 0 <= code < BOUND:
        return np.int64(table[code])
    return np.int64(MARK | REAL if 0xE0100 <= code <= 0xE01EF else 0)


@compiled
def is_break(code: Any) -> Any:
    """Whether `str.splitlines` breaks a line at this character."""
    return 10 <= code <= 13 or 0x1C <= code <= 0x1E or code in (0x85, 0x2028, 0x2029)


@compiled
def read(
    data: Any, start: Any, end: Any, table: Any, words: Any, lines: Any, totals: Any
) -> Any:  # all texts, one after the other
    """Fill the arrays of words, lines and totals; return how many words and lines there are."""
    word_start, word_end, word_hash, word_chars, word_flags, word_bounds = words
    line_start, line_end, line_chars, line_word, line_break, line_bounds = lines
    histogram = np.zeros(128, dtype=np.int64)
    word: Any = np.int64(0)
    line: Any = np.int64(0)
    for text in range(len(start)):
        histogram[:] = 0
        row = totals[text]
        word_bounds[text], line_bounds[text] = word, line
        at: Any = start[text]
        last: Any = end[text]
        line_start[line], line_word[line] = at, word
        more: Any = np.int64(0)  # bytes beyond the first of a character
        line_from = np.int64(0)
        inside = False
        flags = chars = first = np.int64(0)
        value, power = _ZERO, _ONE
        while at < last:
            byte = data[at]
            if byte < 128:
                code, width = np.int64(byte), np.int64(1)
                flag = np.int64(table[code])
                histogram[code] += 1
                if inside and not flag & SPACE:
                    # Nearly every byte comes this way.
                    value += (np.uint64(byte) + _ONE) * power
                    power *= _BYTE_BASE
                    chars += 1
                    flags |= flag
                    at += 1
                    continue
            else:
                code, width = decoded(data, at, last)
                flag = flags_of(table, code)
                more += width - 1
                row[ELLIPSES] += code == 0x2026
                row[LETTERS] += (flag & LETTER) != 0
                row[UPPERS] += (flag & UPPER) != 0
                row[DIGITS] += (flag & DIGIT) != 0
                row[UNSPACEDS] += (flag & UNSPACED) != 0
                row[BRACKETS] += code in (0x27E8, 0x27E9)
            if flag & SPACE:
                if inside:
                    word_start[word], word_end[word], word_hash[word] = first, at, mixed(value)
                    word_chars[word], word_flags[word] = chars, flags
                    word += 1
                    inside = False
                if is_break(code):
                    follows = code == 13 and at + 1 < last and data[at + 1] == 10
                    if not follows:
                        kind = NEWLINE if code == 10 else OTHER_BREAK
                        stop = at
                        if code == 10 and at > start[text] and data[at - 1] == 13:
                            kind, stop = RETURN_NEWLINE, at - 1
                        seen = at - start[text] - (more - width + 1)
                        line_end[line], line_break[line] = stop, kind
                        line_chars[line] = seen - line_from - (kind == RETURN_NEWLINE)
                        line += 1
                        line_start[line], line_word[line], line_from = at + width, word, seen + 1
            else:
                if not inside:
                    inside, first = True, at
                    chars = flags = np.int64(0)
                    value, power = _ZERO, _ONE
                chars += 1
                flags |= flag
                for place in range(at, at + width):
                    value += (np.uint64(data[place]) + _ONE) * power
                    power *= _BYTE_BASE
            at += width
        if inside:
            word_start[word], word_end[word], word_hash[word] = first, last, mixed(value)
            word_chars[word], word_flags[word] = chars, flags
            word += 1
        if histogram[46] > 2:
            row[ELLIPSES] += _dots(data, start[text], last)
        _add_ascii(histogram, row)
        row[CHARS] = last - start[text] - more
        if line_start[line] < last or end[text] == start[text]:
            line_end[line], line_break[line], line_chars[line] = last, END, row[CHARS] - line_from
            line += last > start[text]
    word_bounds[len(start)], line_bounds[len(start)] = word, line
    return word, line


@compiled
def _dots(data: Any, at: Any, last: Any) -> Any:
    """How often three full stops follow each other, none counted twice."""
    found: Any = np.int64(0)
    run: Any = np.int64(0)
    for place in range(at, last):
        run = run + 1 if data[place] == 46 else 0
        if run == 3:
            found, run = found + 1, 0
    return found


@compiled
def _add_ascii(histogram: Any, row: Any) -> Any:
    for code in range(65, 91):
        row[UPPERS] += histogram[code]
        row[LETTERS] += histogram[code] + histogram[code + 32]
    for code in range(48, 58):
        row[DIGITS] += histogram[code]
        row[PLAIN] += histogram[code]
    for code in range(65, 91):
        row[PLAIN] += histogram[code] + histogram[code + 32]
    row[PLAIN] += histogram[10] + histogram[63] + histogram[33] + histogram[44] + histogram[46]
    row[NEWLINES] = histogram[10]
    row[HASHES] = histogram[35]
    row[SPACES] = histogram[8] + histogram[9] + histogram[10] + histogram[13] + histogram[32]
    row[BRACES] = histogram[123]
    row[BRACKETS] += histogram[40] + histogram[41] + histogram[91] + histogram[93] + histogram[123] + histogram[125]


@compiled
def read_spans(data: Any, start: Any, end: Any, table: Any, value: Any, chars: Any, flags: Any) -> None:
    """The hash, characters and flags of words whose places are known."""
    for word in range(len(start)):
        total, power = _ZERO, _ONE
        size = flag = np.int64(0)
        at, last = start[word], end[word]
        while at < last:
            code, width = np.int64(data[at]), np.int64(1)
            if code >= 128:
                code, width = decoded(data, at, last)
            flag |= flags_of(table, code)
            size += 1
            for place in range(at, at + width):
                total += (np.uint64(data[place]) + _ONE) * power
                power *= _BYTE_BASE
            at += width
        value[word], chars[word], flags[word] = mixed(total), size, flag
