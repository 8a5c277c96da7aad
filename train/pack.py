"""Best-fit-decreasing packing with splits: rows of one exact length, and no token lost.

In a window of pieces of 7, 5, 4 and 2 tokens with rows of 9::

    [7 2] [5 4]          two full rows, nothing split, nothing left

Best-fit-decreasing alone (Fewer Truncations, 2404.10830) leaves gaps that are padded; plain concatenation splits a
document at every row's end; nanochat's best fit throws 35 % of the tokens away. Here the gaps left by best fit are
filled by cutting the pieces of the emptiest rows, so a split happens about once a row at worst, a row is always full,
and what does not fill a row is carried into the next window.

Where a curriculum sorts, pieces of one value are packed so, and what is carried goes into the next row that is made: in
an epoch of a stream no row holds a value that comes before one of an earlier row.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

WINDOW_ROWS = 1024
"""Rows packed together. Best fit over 1,024 rows leaves gaps under 1 % for usual length mixes; more only costs memory.
The number is part of what a plan is: it enters the plan's hash."""


class Piece(NamedTuple):
    """A run of one record's tokens; `record` is a number in its stream."""

    record: int
    start: int
    length: int
    epoch: int

    def cut(self, length: int) -> tuple[Piece, Piece]:
        """The first `length` tokens, and the rest."""
        rest = Piece(self.record, self.start + length, self.length - length, self.epoch)
        return Piece(self.record, self.start, length, self.epoch), rest


Row = list[Piece]


def shuffled(names: Sequence[str], *key: object) -> list[int]:
    """The order of `names` by hash: the same on any machine and library version, whatever order they came in.

    >>> shuffled(["a", "b", "c"], 1) == [2 - i for i in shuffled(["c", "b", "a"], 1)]
    True
    """
    salt = repr(key).encode()
    digests = [hashlib.blake2b(name.encode(), key=_short(salt), digest_size=16).digest() for name in names]
    return sorted(range(len(names)), key=lambda index: (digests[index], names[index]))


def _short(salt: bytes) -> bytes:
    return hashlib.blake2b(salt, digest_size=32).digest()


def stream_rows(
    names: Sequence[str],
    lengths: Sequence[int],
    *,
    rows: int,
    row_length: int,
    most_tokens: int | None,
    key: object,
    ranks: Sequence[int] | None = None,
) -> Iterator[Row]:
    """Rows of one stream in training order: epoch after epoch, each in its own order, until `rows` are full.

    With `ranks` each epoch is sorted by the rank of its records. Where `most_tokens` runs out first, the last row is
    short; it is the only one that can be.
    """
    budget = rows * row_length if most_tokens is None else min(rows * row_length, most_tokens)
    if ranks is not None:
        yield from _sorted_rows(_pieces(names, lengths, budget, key, ranks), ranks, row_length, key)
        return
    carry: Row = []
    for number, window in enumerate(_windows(_pieces(names, lengths, budget, key), WINDOW_ROWS * row_length)):
        packed, carry = pack_window([*carry, *window], row_length)
        for index in shuffled([str(index) for index in range(len(packed))], key, "rows", number):
            yield packed[index]
    if carry:
        yield carry


def _sorted_rows(pieces: Iterable[Piece], ranks: Sequence[int], row_length: int, key: object) -> Iterator[Row]:
    """Rows over which epoch and rank never fall; pieces of one epoch and rank are packed together."""
    carry: Row = []
    number = 0
    for _, run in itertools.groupby(pieces, key=lambda piece: (piece.epoch, ranks[piece.record])):
        for window in _windows(run, WINDOW_ROWS * row_length):
            rest = _fill_up(carry, window, row_length) if carry else window
            if carry and sum(piece.length for piece in carry) < row_length:
                continue  # the whole window went into it
            if carry:
                yield carry
            packed, carry = pack_window(rest, row_length)
            for index in shuffled([str(index) for index in range(len(packed))], key, "rows", number):
                yield packed[index]
            number += 1
    if carry:
        yield carry


def _fill_up(row: Row, pieces: Row, row_length: int) -> Row:
    """Fill a row from the head of the pieces; what is left of them."""
    room = row_length - sum(piece.length for piece in row)
    for at, piece in enumerate(pieces):
        if not room:
            return pieces[at:]
        if piece.length > room:
            head, rest = piece.cut(room)
            row.append(head)
            return [rest, *pieces[at + 1 :]]
        row.append(piece)
        room -= piece.length
    return []


def _pieces(
    names: Sequence[str], lengths: Sequence[int], budget: int, key: object, ranks: Sequence[int] | None = None
) -> Iterator[Piece]:
    epoch = 0
    while budget > 0:
        order = shuffled(names, key, "epoch", epoch)
        for record in order if ranks is None else sorted(order, key=ranks.__getitem__):
            length = min(lengths[record], budget)
            yield Piece(record, 0, length, epoch)
            budget -= length
            if budget == 0:
                return
        epoch += 1


def _windows(pieces: Iterable[Piece], tokens: int) -> Iterator[Row]:
    window: Row = []
    held = 0
    for piece in pieces:
        window.append(piece)
        held += piece.length
        if held >= tokens:
            yield window
            window, held = [], 0
    if window:
        yield window


def pack_window(pieces: Sequence[Piece], row_length: int) -> tuple[list[Row], Row]:
    """Full rows, and the pieces left over: together fewer tokens than one row."""
    full, short = _cut_long(pieces, row_length)
    bins, rooms = _best_fit(sorted(short, key=lambda piece: -piece.length), row_length)
    keep = sum(piece.length for piece in short) // row_length
    fullest_first = sorted(range(len(bins)), key=lambda index: (rooms[index], index))
    kept, dissolved = fullest_first[:keep], fullest_first[keep:]
    pool = [piece for index in dissolved for piece in bins[index]]
    left = _pour(pool, [bins[index] for index in kept], [rooms[index] for index in kept])
    return full + [bins[index] for index in kept], left


def _cut_long(pieces: Sequence[Piece], row_length: int) -> tuple[list[Row], list[Piece]]:
    full: list[Row] = []
    short: list[Piece] = []
    for piece in pieces:
        rest = piece
        while rest.length > row_length:
            head, rest = rest.cut(row_length)
            full.append([head])
        if rest.length == row_length:
            full.append([rest])
        elif rest.length:
            short.append(rest)
    return full, short


def _best_fit(pieces: Sequence[Piece], row_length: int) -> tuple[list[Row], list[int]]:
    """Each piece into the row with the least room that still takes it.

    The rooms that exist are the bits of one integer, so the tightest fit is a shift and a lowest set bit.
    """
    bins: list[Row] = []
    rooms: list[int] = []
    by_room: dict[int, list[int]] = {}
    present = 0
    for piece in pieces:
        fitting = present >> piece.length
        if fitting:
            room = piece.length + (fitting & -fitting).bit_length() - 1
            index = by_room[room].pop()
            if not by_room[room]:
                present &= ~(1 << room)
        else:
            index, room = len(bins), row_length
            bins.append([])
            rooms.append(row_length)
        bins[index].append(piece)
        rooms[index] = room - piece.length
        by_room.setdefault(rooms[index], []).append(index)
        present |= 1 << rooms[index]
    return bins, rooms


def _pour(pool: Sequence[Piece], rows: Sequence[Row], rooms: Sequence[int]) -> Row:
    """Fill every row's gap from the pool, cutting where a piece does not fit; what is left of the pool."""
    waiting = list(reversed(pool))
    for row, gap in zip(rows, rooms, strict=True):
        room = gap
        while room:
            piece = waiting.pop()
            if piece.length > room:
                piece, rest = piece.cut(room)
                waiting.append(rest)
            row.append(piece)
            room -= piece.length
    return list(reversed(waiting))
