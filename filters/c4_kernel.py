"""C4's rules line by line, as datatrove's filter applies them: which lines stay, and for what a document goes whole.

The order is theirs: a line that goes for its length or its end is not looked at for a bracket. Citations as in
Wikipedia (``[1]``, ``[edit]``, ``[citation needed]``) are taken out before a line's end is looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from filters.code_points import DIGIT, END_MARK
from filters.compiled import compiled
from filters.line_kernel import _packed
from filters.sentence_kernel import sentences
from filters.word_kernel import decoded, flags_of

KEPT, LONG_WORD, NO_END, FEW_WORDS, JAVASCRIPT, POLICY, UNREAD = range(7)
"""What became of a line."""
LINE_RULES = ("kept", "long_word", "no_end", "few_words", "javascript", "policy", "unread")
SENTENCES, LOREM, BRACE = 7, 8, 9
COUNTS = 10
"""Columns of a text's counts: lines by what became of them, sentences, and whether it goes for a phrase or a brace."""

POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_PHRASES, _PHRASE_BOUNDS = _packed(("lorem ipsum", "javascript", *POLICIES))
_SECONDS = np.zeros(32, np.uint8)
"""The second letter of the phrases that begin with a letter; those that begin alike go on alike."""
for _phrase in ("lorem ipsum", "javascript", *POLICIES):
    _SECONDS[ord(_phrase[0]) - 99] = ord(_phrase[1])
_CITED, _CITED_BOUNDS = _packed(("[edit]", "[citation needed]"))


@compiled
def judge_lines(data: Any, words: Any, lines: Any, table: Any, limits: Any, state: Any, found: Any) -> Any:
    """Fill `state`, one a line, and a row of counts for each text.

    `limits` are the longest word, the fewest words of a line, and whether citations are taken out, and whether a text
    goes for "lorem ipsum" and for a brace.
    """
    word_start, word_end, word_chars = words
    line_word, bounds = lines
    most = np.int64(0)
    for text in range(len(bounds) - 1):
        first, last = line_word[bounds[text]], line_word[bounds[text + 1]]
        if last > first:
            most = max(most, word_end[last - 1] - word_start[first])
    scratch = np.empty(most + 1, np.uint8)
    for text in range(len(bounds) - 1):
        row = found[text]
        for line in range(bounds[text], bounds[text + 1]):
            if row[LOREM] or row[BRACE]:
                state[line] = UNREAD
                row[UNREAD] += 1
                continue
            first, last = line_word[line], line_word[line + 1]
            state[line] = _one_line(data, word_start, word_end, word_chars, first, last, table, limits, scratch, row)
            row[state[line]] += 1


@compiled
def _one_line(
    data: Any,
    word_start: Any,
    word_end: Any,
    word_chars: Any,
    first: Any,
    last: Any,
    table: Any,
    limits: Any,
    scratch: Any,
    row: Any,
) -> Any:
    longest, fewest, cited, lorem, brace = limits
    for word in range(first, last):
        if word_chars[word] > longest:
            return LONG_WORD
    if first == last:
        return NO_END
    text, low, high = data, word_start[first], word_end[last - 1]
    if cited and _has(data, low, high, 91):
        high = uncited(data, low, high, table, scratch)
        text, low = scratch, np.int64(0)
    if high == low:
        return NO_END
    end = text[high - 1]
    dots = high - low >= 3 and end == 46 and text[high - 2] == 46 and text[high - 3] == 46
    if end >= 128 or not table[end] & END_MARK or dots:
        return NO_END
    if last - first < fewest:
        return FEW_WORDS
    phrases = _phrases(text, low, high)
    if lorem and phrases & 1:
        row[LOREM] = 1
        return UNREAD
    if phrases & 2:
        return JAVASCRIPT
    if brace and _has(text, low, high, 123):
        row[BRACE] = 1
        return UNREAD
    if phrases & 4:
        return POLICY
    row[SENTENCES] += sentences(text, low, high, table)
    return KEPT


@compiled
def _has(data: Any, low: Any, high: Any, byte: Any) -> Any:
    at = low
    while at < high and data[at] != byte:
        at += 1
    return at < high


@compiled
def _phrases(data: Any, low: Any, high: Any) -> Any:
    """Bit 0 for lorem ipsum, bit 1 for javascript, bit 2 for the words of a policy; ASCII case does not matter."""
    found = 0
    for at in range(low, high):
        byte = data[at] | 32
        if byte != 108 and byte != 106 and byte != 116 and byte != 112 and byte != 99 and byte != 117:
            continue
        follows = data[at + 1] | 32 if at + 1 < high else 0
        if follows != _SECONDS[byte - 99]:
            continue
        for one in range(len(_PHRASE_BOUNDS) - 1):
            if byte != _PHRASES[_PHRASE_BOUNDS[one]]:
                continue
            size = _PHRASE_BOUNDS[one + 1] - _PHRASE_BOUNDS[one]
            if at + size > high:
                continue
            same = True
            for step in range(1, size):
                char = data[at + step]
                if 65 <= char <= 90:
                    char |= 32
                if char != _PHRASES[_PHRASE_BOUNDS[one] + step]:
                    same = False
                    break
            if same:
                found |= 1 if one == 0 else 2 if one == 1 else 4
    return found


@compiled
def uncited(data: Any, low: Any, high: Any, table: Any, scratch: Any) -> Any:
    """Copy a line without its citations; return its length."""
    made, at = np.int64(0), low
    while at < high:
        if data[at] == 91:
            size = _citation(data, at, high, table)
            if size:
                at += size
                continue
        scratch[made] = data[at]
        made += 1
        at += 1
    return made


@compiled
def _citation(data: Any, low: Any, high: Any, table: Any) -> Any:
    """The length of the citation that begins here, or 0."""
    at = low + 1
    while at < high and data[at] != 93:
        code, width = np.int64(data[at]), np.int64(1)
        if code >= 128:
            code, width = decoded(data, at, high)
        if not flags_of(table, code) & DIGIT:
            break
        at += width
    if at < high and data[at] == 93:
        return at + 1 - low
    for one in range(len(_CITED_BOUNDS) - 1):
        size = _CITED_BOUNDS[one + 1] - _CITED_BOUNDS[one]
        if low + size > high:
            continue
        same = True
        for step in range(size):
            same = same and data[low + step] == _CITED[_CITED_BOUNDS[one] + step]
        if same:
            return size
    return np.int64(0)
