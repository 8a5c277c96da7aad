"""Runs of words that texts share with a set of pieces, the longest of each text, from the hashes of words.

The hash of n words in a row is rolled along a text: take off the first word, divide by the base (a multiplication,
since the base is odd), add the next. Where the table has it, the words are compared one by one, so that no run is
found that is not there, and followed both ways to its ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from filters.compiled import compiled
from filters.hashing import MASK, WORD_BASE
from filters.word_kernel import mixed

_BASE = np.uint64(WORD_BASE)
_INVERSE = np.uint64(pow(WORD_BASE, -1, MASK + 1))
_ZERO, _ONE = np.uint64(0), np.uint64(1)


@compiled
def run_hashes(words: Any, bounds: Any, n: Any, found: Any, place: Any, piece: Any) -> Any:
    """The hash, place and piece of every n words in a row; returns how many there are."""
    count = np.int64(0)
    last = _ONE
    for _ in range(n - 1):
        last *= _BASE
    for one in range(len(bounds) - 1):
        base, total = bounds[one], bounds[one + 1] - bounds[one]
        if total < n:
            continue
        value = _first(words, base, n)
        for at in range(total - n + 1):
            if at:
                value = (value - words[base + at - 1]) * _INVERSE + words[base + at + n - 1] * last
            found[count], place[count], piece[count] = mixed(value), base + at, one
            count += 1
    return count


@compiled
def _first(words: Any, base: Any, n: Any) -> Any:
    value, power = _ZERO, _ONE
    for step in range(n):
        value += words[base + step] * power
        power *= _BASE
    return value


@compiled
def put_keys(keys: Any, slots: Any) -> Any:
    """Enter each key's number into an open-addressing table of a power of two of free places (-1)."""
    mask = np.int64(len(slots) - 1)
    for number in range(len(keys)):
        slot = np.int64(keys[number] & np.uint64(mask))
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number


@compiled
def _number(keys: Any, slots: Any, key: Any) -> Any:
    mask = np.int64(len(slots) - 1)
    slot = np.int64(key & np.uint64(mask))
    while slots[slot] >= 0 and keys[slots[slot]] != key:
        slot = (slot + 1) & mask
    return slots[slot]


@compiled
def longest_runs(words: Any, bounds: Any, n: Any, index: Any, bench: Any, best: Any) -> Any:
    """For each text the longest run of at least n words that a piece has too.

    `index` is keys, slots, where each key's places begin, and places; `bench` the pieces' words and bounds and the
    piece of each word. A row of `best` is filled where a longer run is found than it has: words of the run, the first
    of them in the text, the piece.
    """
    keys, slots, begins, places = index
    bench_words, bench_bounds, piece_of = bench
    last = _ONE
    for _ in range(n - 1):
        last *= _BASE
    for text in range(len(bounds) - 1):
        base, total = bounds[text], bounds[text + 1] - bounds[text]
        if total < n:
            continue
        value = _first(words, base, n)
        before = False
        for at in range(total - n + 1):
            if at:
                value = (value - words[base + at - 1]) * _INVERSE + words[base + at + n - 1] * last
            number = _number(keys, slots, mixed(value))
            if number < 0:
                before = False
                continue
            for entry in range(begins[number], begins[number + 1]):
                place = places[entry]
                first, end = bench_bounds[piece_of[place]], bench_bounds[piece_of[place] + 1]
                # The run that this one goes on was followed when it began.
                if before and place > first and bench_words[place - 1] == words[base + at - 1]:
                    continue
                right = np.int64(0)
                while (
                    at + right < total
                    and place + right < end
                    and words[base + at + right] == bench_words[place + right]
                ):
                    right += 1
                if right < n:
                    continue
                left = np.int64(0)
                while (
                    left < at and place - left > first and words[base + at - left - 1] == bench_words[place - left - 1]
                ):
                    left += 1
                if left + right > best[text, 0]:
                    best[text, 0], best[text, 1], best[text, 2] = left + right, at - left, piece_of[place]
            before = True
