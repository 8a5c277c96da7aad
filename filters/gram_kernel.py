"""N-grams that are said again, from the hashes of a text's words, and spans of text that are.

An n-gram that repeats begins where an (n - 1)-gram repeats. So each n looks only at the places that the one before
left: in prose, of 300 words some 150 repeat, 30 pairs and hardly anything longer.

Keys lie in a hash table with open addressing, one table for all texts, cleared by a generation number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from filters.compiled import compiled
from filters.hashing import WORD_BASE
from filters.word_kernel import mixed

_WORD_BASE = np.uint64(WORD_BASE)


@compiled
def slot_of(keys: Any, used: Any, generation: Any, key: Any) -> Any:
    """Where a key lies in a table, or the free place it would take."""
    mask = np.uint64(len(keys) - 1)
    slot = np.int64(key & mask)
    while used[slot] == generation and keys[slot] != key:
        slot = (slot + 1) & np.int64(mask)
    return slot


@compiled
def table_size(count: Any) -> Any:
    """A power of two, at least twice as large."""
    size = np.int64(16)
    while size < 2 * count:
        size *= 2
    return size


@compiled
def repetition(
    data: Any, words: Any, spans: Any, sizes: Any, largest: Any, curator: Any, adjacent: Any, top: Any, duplicate: Any
) -> Any:
    """The characters in each text's most frequent n-gram and in its duplicate ones.

    `top[text, n]` and `duplicate[text, n]` are filled for n up to `largest`; `sizes[n]` has bit 1 where the top n-gram
    is asked for, bit 2 where the duplicates are. `curator` says by whose definition; see `filters.gopher_repetition`.
    `spans` are start and end of the texts in `data`, `adjacent` says whether the words lie in them.
    """
    word_start, word_end, word_hash, word_chars, _, bounds = words
    most = np.int64(0)
    for text in range(len(bounds) - 1):
        most = max(most, bounds[text + 1] - bounds[text])
    size = table_size(most)
    keys, used = np.empty(size, np.uint64), np.zeros(size, np.int64)
    group_of = np.empty(size, np.int32)
    place, group = np.empty(most + 1, np.int32), np.empty(most + 1, np.int32)
    gram = np.empty(most + 1, np.uint64)
    count, first = np.empty(most + 1, np.int32), np.empty(most + 1, np.int32)
    before = np.empty(most + 1, np.int64)
    generation = np.int64(0)
    for text in range(len(bounds) - 1):
        base, total = bounds[text], bounds[text + 1] - bounds[text]
        before[0] = 0
        for index in range(total):
            before[index + 1] = before[index] + word_chars[base + index]
            place[index], gram[index] = index, np.uint64(0)
        left, power = total, np.uint64(1)
        # A table for this text alone: small ones stay in the core's cache.
        mask = table_size(total)
        for n in range(1, largest + 1):
            generation += 1
            groups = np.int64(0)
            kept = np.int64(0)
            table, seen = keys[:mask], used[:mask]
            for index in range(left):
                at = place[index]
                if at + n > total:
                    continue
                key = gram[index] + word_hash[base + at + n - 1] * power
                place[kept], gram[kept] = at, key
                key = mixed(key)
                slot = slot_of(table, seen, generation, key)
                if seen[slot] != generation:
                    seen[slot], table[slot], group_of[slot] = generation, key, groups
                    count[groups], first[groups] = 0, at
                    groups += 1
                group[kept] = group_of[slot]
                count[group_of[slot]] += 1
                kept += 1
            left = np.int64(0)
            for index in range(kept):
                if count[group[index]] > 1:
                    place[left], gram[left], group[left] = place[index], gram[index], group[index]
                    left += 1
            if left == 0:
                break
            power *= _WORD_BASE
            if sizes[n] & 1:
                best = group[0]
                for index in range(left):
                    # The earliest of the most frequent: places are in order, so a group comes when it is first met.
                    if count[group[index]] > count[best]:
                        best = group[index]
                at = first[best]
                chars = before[at + n] - before[at] + n - 1
                times = np.int64(count[best])
                if curator and adjacent:
                    times = _replaced(data, spans[0][text], spans[1][text], word_start, word_end, base, total, at, n)
                top[text, n] = chars * times
            if sizes[n] & 2:
                for index in range(groups):
                    first[index] = -1
                duplicate[text, n] = _covered(place, group, left, first, before, n, curator)


@compiled
def _covered(place: Any, group: Any, left: Any, seen: Any, before: Any, n: Any, curator: Any) -> Any:
    """Characters in n-grams seen before, none counted twice."""
    found, free = np.int64(0), np.int64(0)
    for index in range(left):
        at = np.int64(place[index])
        if curator:
            if seen[group[index]] >= 0:
                old: Any = max(free - at, 0)  # words of it that are counted already
                found += before[at + n] - before[at + old] + min(n - old, n - 1)
                free = at + n
            seen[group[index]] = at
        elif at >= free:
            if seen[group[index]] >= 0:
                found += before[at + n] - before[at]
                free = at + n
            else:
                seen[group[index]] = at
    return found


@compiled
def _replaced(
    data: Any, start: Any, end: Any, word_start: Any, word_end: Any, base: Any, total: Any, at: Any, n: Any
) -> Any:
    """How often `str.replace` finds the n-gram, its words one space apart, in the text: within longer words too."""
    found, index = np.int64(0), np.int64(0)
    taken = start
    ending = data[word_end[base + at] - 1]
    head, head_size = word_start[base + at], word_end[base + at] - word_start[base + at]
    tail, tail_size = word_start[base + at + n - 1], word_end[base + at + n - 1] - word_start[base + at + n - 1]
    while index + n <= total:
        if data[word_end[base + index] - 1] != ending:
            index += 1
            continue
        from_, to = word_start[base + index], word_end[base + index]
        last = base + index + n - 1
        good = to - head_size >= max(from_, taken) and word_end[last] - word_start[last] >= tail_size
        good = good and _same(data, to - head_size, head, head_size)
        for step in range(1, n):
            if not good:
                break
            one = base + index + step
            good = word_start[one] == word_end[one - 1] + 1 and data[word_end[one - 1]] == 32
            if good and step < n - 1:
                other = base + at + step
                long = word_end[one] - word_start[one]
                good = long == word_end[other] - word_start[other]
                good = good and _same(data, word_start[one], word_start[other], long)
        if good and _same(data, word_start[last], tail, tail_size):
            found += 1
            taken = word_start[last] + tail_size
            # A match may begin in the very word the last one ended in.
            index += n - 1 if n > 1 else 1
        else:
            index += 1
    return found


@compiled
def _same(data: Any, one: Any, other: Any, size: Any) -> Any:
    step = 0
    while step < size and data[one + step] == data[other + step]:
        step += 1
    return step == size


@compiled
def repeated_spans(data: Any, start: Any, end: Any, chars: Any, key: Any, bounds: Any, found: Any) -> Any:
    """For each text: its spans, their characters, and of those equal to one before the number and characters.

    Equal keys are looked at byte by byte, so a key may be anything that equal spans share.
    """
    most = np.int64(0)
    for text in range(len(bounds) - 1):
        most = max(most, bounds[text + 1] - bounds[text])
    size = table_size(most)
    keys, used, owner = np.empty(size, np.uint64), np.full(size, -1, np.int64), np.empty(size, np.int64)
    for text in range(len(bounds) - 1):
        mask = table_size(bounds[text + 1] - bounds[text])
        for span in range(bounds[text], bounds[text + 1]):
            found[text, 0] += 1
            found[text, 1] += chars[span]
            slot = np.int64(key[span] & np.uint64(mask - 1))
            while used[slot] == text:
                other = owner[slot]
                long = end[span] - start[span]
                same = keys[slot] == key[span] and end[other] - start[other] == long
                if same and _same(data, start[span], start[other], long):
                    found[text, 2] += 1
                    found[text, 3] += chars[span]
                    break
                slot = (slot + 1) & (mask - 1)
            if used[slot] != text:
                used[slot], keys[slot], owner[slot] = text, key[span], span
