"""How many sentences a line has, as spaCy's rule-based sentencizer over its English tokeniser counts them.

That is what datatrove's C4 filter counts by. A sentence ends at a token that is a full stop, "!" or "?", and the next
begins at the first token after it that is not punctuation. So all depends on when a full stop is a token of its own:
not in ``U.S.``, ``e.g.``, ``Inc.``, ``B.`` or ``...``, but in ``2020.``, ``USA.``, ``etc.`` and ``end.Next``. Nothing
else of the tokeniser is needed, and nothing else is done.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from filters.code_points import AFFIX, DIGIT, LETTER, PUNCTUATION, SENTENCE_END, UPPER
from filters.compiled import compiled
from filters.hashing import BYTE_BASE, span_hash
from filters.word_kernel import decoded, flags_of, mixed

ABBREVIATIONS = """
    Adm. Ak. Ala. Apr. Ariz. Ark. Aug. Bros. Calif. Co. Colo. Conn. Corp. D.C. Dec. Del. Dr. E.G. E.g. Feb.
    Fla. Ga. Gen. Gov. I.E. I.e. Ia. Id. Ill. Inc. Ind. Jan. Jr. Jul. Jun. Kan. Kans. Ky. La. Ltd. Mar.
    Mass. Md. Messrs. Mich. Minn. Miss. Mo. Mont. Mr. Mrs. Ms. Mt. N.C. N.D. N.H. N.J. N.M. N.Y. Neb.
    Nebr. Nev. Nov. Oct. Okla. Ore. Pa. Ph.D. Prof. Rep. Rev. S.C. Sen. Sep. Sept. St. Tenn. Va. Wash.
    Wis. a.m. co. e.g. i.e. p.m. v.s. vs. ä. ö. ü.
"""
"""Words of the tokeniser that keep their full stop (spaCy 3.8, English); single letters and hours do too."""

_WORDS = (
    *ABBREVIATIONS.split(),
    *(f"{letter}." for letter in "abcdefghijklmnopqrstuvwxyz"),
    *(f"{hour}{half}.m." for hour in range(1, 13) for half in "ap"),
)


_KNOWN = np.array(sorted(span_hash(one.encode()) for one in _WORDS), dtype=np.uint64)
_LONGEST = max(len(one.encode()) for one in _WORDS)
_BYTE_BASE, _ONE = np.uint64(BYTE_BASE), np.uint64(1)
_NOTHING, _STOP, _WORD = 0, 1, 2


@compiled
def sentences(data: Any, start: Any, end: Any, table: Any) -> Any:
    """Sentences of the text between two bytes; 0 where there is nothing but white space."""
    count, stopped, any_word = np.int64(0), False, False
    at = start
    while at < end:
        while at < end and data[at] <= 32:
            at += 1
        first = at
        flags = np.int64(0)
        while at < end and data[at] > 32:
            flags |= table[data[at]] if data[at] < 128 else AFFIX
            at += 1
        if first == at:
            break
        any_word = True
        if not flags & (PUNCTUATION | AFFIX):
            # A word and nothing else, as most are.
            count, stopped = count + stopped, False
            continue
        count, stopped = _chunk(data, first, at, table, count, stopped)
    return count + any_word


@compiled
def _chunk(data: Any, first: Any, last: Any, table: Any, count: Any, stopped: Any) -> Any:
    """Go over one run without white space; `count` is of sentences that began after another."""
    low, high = first, last
    stops_after = False
    # From the end: what the tokeniser takes off until a word is left. A stop among it ends a sentence.
    while low < high:
        code, width = _before(data, low, high)
        flag = flags_of(table, code)
        if code == 46:
            if _known(data, low, high):
                break
            if high - low >= 2 and data[high - 2] == 46:
                while high > low and data[high - 1] == 46:
                    high -= 1
                continue
            if high - low > 1 and not _leaves_stop(data, low, high - 1, table):
                break
            stops_after = True
        elif flag & AFFIX:
            stops_after = stops_after or (flag & SENTENCE_END) != 0
        else:
            break
        high -= width
    while low < high:
        code, width = _at(data, low, high)
        flag = flags_of(table, code)
        if not flag & AFFIX or _known(data, low, high):
            break
        stopped = stopped or (flag & SENTENCE_END) != 0
        low += width
    if low < high:
        word = _is_word(data, low, high, table)
        if word and stopped:
            count, stopped = count + 1, False
        inner = _inner_stops(data, low, high, table) if word else np.int64(0)
        count += inner
    return count, stopped or stops_after


@compiled
def _at(data: Any, at: Any, end: Any) -> Any:
    if data[at] < 128:
        return np.int64(data[at]), np.int64(1)
    return decoded(data, at, end)


@compiled
def _before(data: Any, low: Any, high: Any) -> Any:
    """The character that ends at a byte."""
    at = high - 1
    while at > low and data[at] & 0xC0 == 0x80:
        at -= 1
    code, _ = _at(data, at, high)
    return code, high - at


@compiled
def _leaves_stop(data: Any, low: Any, high: Any, table: Any) -> Any:
    """Whether a full stop after these characters is a token of its own."""
    code, width = _before(data, low, high)
    flag = flags_of(table, code)
    if flag & UPPER:
        if high - width <= low:
            return False
        other, _ = _before(data, low, high - width)
        return (flags_of(table, other) & UPPER) != 0
    return flag & (DIGIT | LETTER | AFFIX) != 0 or code in (0x25, 0xB2, 0x2B, 0x2D)


@compiled
def _known(data: Any, low: Any, high: Any) -> Any:
    if high - low > _LONGEST or data[high - 1] != 46:
        return False
    value, power = np.uint64(0), _ONE
    for at in range(low, high):
        value += (np.uint64(data[at]) + _ONE) * power
        power *= _BYTE_BASE
    value = mixed(value)
    at = np.searchsorted(_KNOWN, value)
    return at < len(_KNOWN) and _KNOWN[at] == value


@compiled
def _is_word(data: Any, low: Any, high: Any, table: Any) -> Any:
    """Whether there is more than punctuation."""
    at = low
    while at < high:
        code, width = _at(data, at, high)
        if not flags_of(table, code) & PUNCTUATION:
            return True
        at += width
    return False


@compiled
def _inner_stops(data: Any, low: Any, high: Any, table: Any) -> Any:
    """Full stops between a lower case letter and a capital: two sentences with no space between them."""
    found = np.int64(0)
    for at in range(low + 1, high - 1):
        if data[at] == 46:
            code, _ = _before(data, low, at)
            follows, _ = _at(data, at + 1, high)
            after = flags_of(table, follows)
            lower = flags_of(table, code) & (LETTER | UPPER) == LETTER
            if lower and (after & UPPER) != 0:
                found += 1
    return found
