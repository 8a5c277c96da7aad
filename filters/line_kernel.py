"""What Gopher, FineWeb and NeMo Curator ask of the words and lines of a text, from the columns of `filters.reading`."""

from __future__ import annotations

from typing import Any

import numpy as np

from filters.code_points import BULLET, END_MARK, LETTER, REAL, SENTENCE_END
from filters.compiled import compiled
from filters.gram_kernel import slot_of
from filters.hashing import WORD_BASE
from filters.word_kernel import NEWLINE, RETURN_NEWLINE, decoded, flags_of, mixed

WORD_COUNTS = ("words", "chars", "real", "real_chars", "letters", "signs", "stops", "distinct_stops", "longest")
WORDS, WORD_CHARS, REALS, REAL_CHARS, LETTER_WORDS, SIGNS, STOPS, DISTINCT_STOPS, LONGEST = range(9)
LINE_COUNTS = ("lines", "bullets", "dashes", "ellipses", "ellipsis_marks", "end_marks", "stopped", "short")
LINES, BULLETS, DASHES, ELLIPSES, ELLIPSIS_MARKS, END_MARKS, STOPPED, SHORT = range(8)
_MARKS = ("...", "[...]", "…", "(...)", "[…]", "-»", "read more..", "read more")


def _packed(texts: tuple[str, ...]) -> tuple[Any, Any]:
    """Patterns for `ends_with`: their bytes, one after the other, and where each begins and the last ends."""
    parts = [text.encode() for text in texts]
    bounds = np.cumsum([0, *map(len, parts)])
    return np.frombuffer(b"".join(parts), dtype=np.uint8).copy(), bounds


_MARK_BYTES, _MARK_BOUNDS = _packed(_MARKS)
_WORD_MARK_BYTES, _WORD_MARK_BOUNDS = _packed(_MARKS[:6])
_DOT_BYTES, _DOT_BOUNDS = _packed(("...", "…"))
_WORD_BASE = np.uint64(WORD_BASE)


@compiled
def ends_with(data: Any, low: Any, high: Any, patterns: Any, bounds: Any) -> Any:
    """Whether the bytes end with one of some patterns, in small letters, whatever the case of their ASCII letters."""
    for one in range(len(bounds) - 1):
        size = bounds[one + 1] - bounds[one]
        if size > high - low:
            continue
        same = True
        for step in range(size):
            byte = data[high - 1 - step]
            if 65 <= byte <= 90:
                byte |= 32
            if byte != patterns[bounds[one + 1] - 1 - step]:
                same = False
                break
        if same:
            return True
    return False


@compiled
def count_words(words: Any, data: Any, hashes: Any, stops: Any, found: Any) -> Any:
    """One row of `WORD_COUNTS` for each text.

    `hashes` are its hash signs: where there are none no word need be looked into. `stops` are the stop words, as keys,
    use and place of a table that `filters.gram_kernel.slot_of` reads.
    """
    stop_keys, stop_used, stop_index = stops
    start, end, value, chars, flags, bounds = words
    for text in range(len(bounds) - 1):
        row = found[text]
        seen = np.uint64(0)
        for word in range(bounds[text], bounds[text + 1]):
            size, flag = np.int64(chars[word]), flags[word]
            row[WORD_CHARS] += size
            row[LONGEST] = max(row[LONGEST], size)
            if flag & REAL:
                row[REALS] += 1
                row[REAL_CHARS] += size
            if flag & LETTER:
                row[LETTER_WORDS] += 1
                slot = slot_of(stop_keys, stop_used, 1, value[word])
                if stop_used[slot] == 1:
                    row[STOPS] += 1
                    seen |= np.uint64(1) << np.uint64(stop_index[slot])
            if (hashes[text] or not flag & REAL) and _is_sign(data, start[word], end[word], size, flag):
                row[SIGNS] += 1
        row[WORDS] = bounds[text + 1] - bounds[text]
        while seen:
            row[DISTINCT_STOPS] += 1
            seen &= seen - np.uint64(1)


@compiled
def _is_sign(data: Any, low: Any, high: Any, chars: Any, flag: Any) -> Any:
    """Whether a word is an ellipsis, or has more runs of ``#`` than other characters (NeMo Curator's symbol words)."""
    if not flag & REAL:
        for one in range(len(_WORD_MARK_BOUNDS) - 1):
            size = _WORD_MARK_BOUNDS[one + 1] - _WORD_MARK_BOUNDS[one]
            if high - low == size:
                same = True
                for step in range(size):
                    same = same and data[low + step] == _WORD_MARK_BYTES[_WORD_MARK_BOUNDS[one] + step]
                if same:
                    return True
    runs = np.int64(0)
    for at in range(low, high):
        runs += data[at] == 35 and (at == low or data[at - 1] != 35)
    return 2 * runs > chars


@compiled
def count_breaks(reading: Any, words: Any, lines: Any, found: Any) -> Any:
    """Of each text's lines as `str.splitlines` has them: how many, and how many begin with a dash or end in dots."""
    data = reading
    word_start, word_end = words
    line_word, bounds = lines
    for text in range(len(bounds) - 1):
        row = found[text]
        for line in range(bounds[text], bounds[text + 1]):
            row[LINES] += 1
            first, last = line_word[line], line_word[line + 1]
            if first == last:
                continue
            low, high = word_start[first], word_end[last - 1]
            bullet = data[low] == 45
            if data[low] == 0xE2 and high - low >= 3:
                bullet = bullet or (data[low + 1] == 0x80 and data[low + 2] == 0xA2)
            row[DASHES] += bullet
            row[ELLIPSES] += ends_with(data, low, high, _DOT_BYTES, _DOT_BOUNDS)


@compiled
def newline_spans(data: Any, texts: Any, lines: Any, words: Any, table: Any, how: Any, spans: Any, found: Any) -> Any:
    r"""The lines between newlines, with a key for `repeated_spans`, and counts of `LINE_COUNTS`.

    A line ends at ``\n`` alone: a carriage return or another break is part of it. `how` is up to how many characters a
    line is short, and whether lines of nothing but white space are lines; empty ones never are.
    """
    line_start, line_end, line_chars, line_word, ended, line_bounds = lines
    word_start, word_end, word_hash = words
    start, end, chars, key, bounds = spans
    _, text_end = texts
    short, blank = how
    made = np.int64(0)
    for text in range(len(line_bounds) - 1):
        bounds[text] = made
        row = found[text]
        line = line_bounds[text]
        while line < line_bounds[text + 1]:
            first, size = line, np.int64(0)
            while True:
                size += line_chars[line]
                more = line + 1 < line_bounds[text + 1]
                if ended[line] == NEWLINE or ended[line] == RETURN_NEWLINE or not more:
                    break
                size += 1
                line += 1
            high = line_end[line]
            if ended[line] == RETURN_NEWLINE:
                high += 1
                size += 1
            elif ended[line] != NEWLINE and high < text_end[text]:
                size += 1  # the text ends with a break that is no newline
                high = text_end[text]
            line += 1
            one, last = line_word[first], line_word[line]
            low = line_start[first]
            if low == high or (one == last and not blank):
                continue
            start[made], end[made], chars[made] = low, high, size
            value = np.uint64(high - low)
            for word in range(one, last):
                value = value * _WORD_BASE + word_hash[word]
            key[made] = mixed(value)
            made += 1
            row[LINES] += 1
            row[SHORT] += size <= short
            if one == last:
                continue
            from_, to = word_start[one], word_end[last - 1]
            row[ELLIPSIS_MARKS] += ends_with(data, from_, to, _MARK_BYTES, _MARK_BOUNDS)
            row[END_MARKS] += data[to - 1] < 128 and (table[data[to - 1]] & END_MARK) != 0
            if data[from_] >= 128:
                code, _ = decoded(data, from_, to)
                row[BULLETS] += (flags_of(table, code) & BULLET) != 0
            if to == high:
                at = high - 1
                while data[at] & 0xC0 == 0x80 and at > low:
                    at -= 1
                code = np.int64(data[at])
                if code >= 128:
                    code, _ = decoded(data, at, high)
                row[STOPPED] += (flags_of(table, code) & SENTENCE_END) != 0
    bounds[len(line_bounds) - 1] = made
    return made


@compiled
def paragraph_spans(data: Any, texts: Any, lines: Any, words: Any, curator: Any, spans: Any) -> Any:
    r"""The paragraphs of each text, with a key for `repeated_spans`.

    NeMo Curator splits at ``\n\n``, empty paragraphs included; datatrove at two newlines or more, in the stripped text.
    """
    _, line_end, line_chars, line_word, ended, line_bounds = lines
    word_start, word_end, word_hash = words
    _, _, _, key, bounds = spans
    text_start, text_end = texts
    made = np.int64(0)
    for text in range(len(line_bounds) - 1):
        bounds[text] = made
        low, high = text_start[text], text_end[text]
        first_line, last_line = line_bounds[text], line_bounds[text + 1]
        word = line_word[first_line] if last_line > first_line else np.int64(0)
        last_word = line_word[last_line] if last_line > first_line else np.int64(0)
        if not curator:  # a text of white space alone is empty once it is stripped
            low, high = (word_start[word], word_end[last_word - 1]) if last_word > word else (low, low)
        passed = np.int64(0)  # characters before the line
        from_, from_chars = low, _characters(data, text_start[text], low)
        before, before_chars, before_word = np.int64(-2), np.int64(0), word
        joined = False
        for line in range(first_line, last_line):
            passed += line_chars[line]
            at = line_end[line]
            if ended[line] == RETURN_NEWLINE:
                at += 1
                passed += 1
            if ended[line] == NEWLINE or ended[line] == RETURN_NEWLINE:
                if low <= at < high:
                    if at == before + 1 and not (curator and joined):
                        if not joined:
                            made = _paragraph(spans, made, from_, before, before_chars - from_chars)
                            _fold(key, made - 1, word_hash, word, before_word)
                        from_, from_chars, word, joined = at + 1, passed + 1, before_word, True
                    else:
                        joined = False
                    before, before_chars, before_word = at, passed, line_word[line + 1]
                passed += 1
            elif at < text_end[text]:
                passed += 1
        made = _paragraph(spans, made, from_, high, _characters(data, from_, high))
        _fold(key, made - 1, word_hash, word, last_word)
    bounds[len(line_bounds) - 1] = made
    return made


@compiled
def _characters(data: Any, low: Any, high: Any) -> Any:
    found = np.int64(0)
    for at in range(low, high):
        found += data[at] & 0xC0 != 0x80
    return found


@compiled
def _paragraph(spans: Any, made: Any, low: Any, high: Any, chars: Any) -> Any:
    spans[0][made], spans[1][made], spans[2][made] = low, high, chars
    return made + 1


@compiled
def _fold(key: Any, at: Any, word_hash: Any, first: Any, last: Any) -> Any:
    value = np.uint64(last - first)
    for word in range(first, last):
        value = value * _WORD_BASE + word_hash[word]
    key[at] = mixed(value)
