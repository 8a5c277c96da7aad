"""From the bytes of a batch of texts to shingle hashes, signatures and band keys, without a Python string.

`filters.shingles` and `filters.minhash_signature` call these loops and say what each array holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from filters.code_points import SPACE
from filters.compared_chars import ALONE, BOUND, CODE, HARD
from filters.compiled import compiled
from filters.hashing import BYTE_BASE
from filters.word_kernel import decoded, flags_of, mixed

READ, UNSETTLED, BROKEN = range(3)
"""What became of a text: read; it has a character that needs normalisation; its bytes are no UTF-8."""

_BASE, _ONE, _ZERO, _HALF = np.uint64(BYTE_BASE), np.uint64(1), np.uint64(0), np.uint64(32)
_CODE, _ALONE, _HARD = np.uint32(CODE), np.uint32(ALONE), np.uint32(HARD)
_MIX_A, _MIX_B = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)
_S16, _S13 = np.uint32(16), np.uint32(13)


@compiled
def _added(value: Any, power: Any, code: Any) -> Any:
    """A word's hash and power with the UTF-8 bytes of one more character, which is not ASCII."""
    if code < 0x800:
        value += (np.uint64(0xC0 | (code >> 6)) + _ONE) * power
        power *= _BASE
    else:
        if code < 0x10000:
            value += (np.uint64(0xE0 | (code >> 12)) + _ONE) * power
        else:
            value += (np.uint64(0xF0 | (code >> 18)) + _ONE) * power
            power *= _BASE
            value += (np.uint64(0x80 | ((code >> 12) & 0x3F)) + _ONE) * power
        power *= _BASE
        value += (np.uint64(0x80 | ((code >> 6) & 0x3F)) + _ONE) * power
        power *= _BASE
    value += (np.uint64(0x80 | (code & 0x3F)) + _ONE) * power
    return value, power * _BASE


@compiled
def _checked(data: Any, at: Any, last: Any) -> Any:
    """The code point that begins at a byte that is not ASCII, and its bytes; -1 for a surrogate or a longer form."""
    code, width = decoded(data, at, last)
    wrong = 0xD800 <= code <= 0xDFFF or code > 0x10FFFF
    wrong = wrong or (width == 3 and code < 0x800) or (width == 4 and code < 0x10000)
    return (np.int64(-1) if wrong else code), width


@compiled
def _entry(table: Any, code: Any, settled: Any) -> Any:
    """What becomes of a character that is not ASCII; in a `settled` text it is as it should be."""
    found = np.uint32(table[code]) if code < BOUND else _HARD
    if settled:
        return np.uint32(code) | (found & _ALONE)
    return found


@compiled
def read_words(data: Any, start: Any, end: Any, table: Any, settled: Any, out: Any) -> Any:
    """Fill word hashes, and for each text its first word, how many it has, and its state; return all words there are.

    A `settled` text was normalised: its words are lower case, one space apart, and hold no sign.
    """
    value_of, first, count, state = out
    words = np.int64(0)
    for text in range(len(start)):
        first[text] = words
        at: Any = start[text]
        last: Any = end[text]
        inside, became = False, READ
        value, power = _ZERO, _ONE
        while at < last:
            byte = data[at]
            if byte < 128:
                entry = np.uint32(table[byte])
                if entry:
                    value += (np.uint64(entry) + _ONE) * power
                    power *= _BASE
                    inside = True
                    at += 1
                    continue
                width = np.int64(1)
            else:
                code, width = _checked(data, at, last)
                if code < 0:
                    became = BROKEN
                    break
                entry = _entry(table, code, settled)
                if entry & _HARD:
                    became = UNSETTLED
                    at += width
                    continue
            if inside and (entry == 0 or entry & _ALONE):
                value_of[words] = mixed(value)
                words += 1
                inside, value, power = False, _ZERO, _ONE
            if entry:
                value, power = _added(value, power, np.int64(entry & _CODE))
                inside = True
                if entry & _ALONE:
                    value_of[words] = mixed(value)
                    words += 1
                    inside, value, power = False, _ZERO, _ONE
            at += width
        if inside:
            value_of[words] = mixed(value)
            words += 1
        if became != READ:
            words = first[text]
        count[text], state[text] = words - first[text], became
    return words


@compiled
def may_open(data: Any, start: Any, end: Any, flags: Any, head: Any, found: Any) -> None:
    """Which texts may have a line that the default boilerplate takes out: see `filters.shingles`.

    A line may if it begins, after white space and asterisks, with number signs and white space, or with `head`, which
    is in capitals. `flags` is `filters.code_points.table`.
    """
    for text in range(len(start)):
        at: Any = start[text]
        last: Any = end[text]
        found[text] = False
        opening = True
        while at < last and not found[text]:
            if not opening:
                while at < last and data[at] != 10:
                    at += 1
                opening = True
                at += 1
                continue
            byte = data[at]
            code, width = np.int64(byte), np.int64(1)
            if byte >= 128:
                code, width = decoded(data, at, last)
            if byte == 42 or flags_of(flags, code) & SPACE:
                at += width
                continue
            if byte == 35:
                while at < last and data[at] == 35:
                    at += 1
                code = np.int64(data[at]) if at < last else np.int64(0)
                if code >= 128:
                    code, _ = decoded(data, at, last)
                found[text] = flags_of(flags, code) & SPACE != 0
            elif byte & 0xDF == head[0] and at + len(head) <= last:
                same = True
                for place in range(len(head)):
                    letter = data[at + place]
                    same = same and (letter - 32 if 97 <= letter <= 122 else letter) == head[place]
                found[text] = same
            opening = False


@compiled
def shingle(words: Any, first: Any, count: Any, n: Any, powers: Any, bounds: Any, hashes: Any) -> None:
    """Fill the shingle hashes of each text from its words'; `bounds` says where each text's go."""
    for text in range(len(first)):
        at, size = bounds[text], min(count[text], n)
        for place in range(first[text], first[text] + bounds[text + 1] - at):
            total = _ZERO
            for step in range(size):
                total += words[place + step] * powers[step]
            hashes[at] = mixed(total)
            at += 1


@compiled
def mixed32(hash64: Any) -> Any:
    """The upper half of a shingle hash, mixed as datasketch mixes what it is given."""
    value = np.uint32(hash64 >> _HALF)
    value = np.uint32(np.uint32(value ^ (value >> _S16)) * _MIX_A)
    value = np.uint32(np.uint32(value ^ (value >> _S13)) * _MIX_B)
    return np.uint32(value ^ (value >> _S16))


@compiled
def sign(hashes: Any, bounds: Any, multiply: Any, add: Any, made: Any) -> None:
    """Lower each text's row of `made` to the least of each permutation; four shingles a pass over the permutations."""
    count = len(multiply)
    for text in range(len(bounds) - 1):
        row = made[text]
        at: Any = bounds[text]
        last: Any = bounds[text + 1]
        while at + 4 <= last:
            a, b = mixed32(hashes[at]), mixed32(hashes[at + 1])
            c, d = mixed32(hashes[at + 2]), mixed32(hashes[at + 3])
            for p in range(count):
                m, o = multiply[p], add[p]
                one = min(np.uint32(np.uint32(a * m) + o), np.uint32(np.uint32(b * m) + o))
                two = min(np.uint32(np.uint32(c * m) + o), np.uint32(np.uint32(d * m) + o))
                row[p] = min(row[p], min(one, two))
            at += 4
        while at < last:
            a = mixed32(hashes[at])
            for p in range(count):
                row[p] = min(row[p], np.uint32(np.uint32(a * multiply[p]) + add[p]))
            at += 1


@compiled
def fold(made: Any, bands: Any, rows: Any, powers: Any, keys: Any) -> None:
    """One key for each text and band of its signature."""
    for text in range(len(made)):
        for band in range(bands):
            total = _ZERO
            for step in range(rows):
                total += np.uint64(made[text, band * rows + step]) * powers[step]
            keys[text, band] = mixed(total)
