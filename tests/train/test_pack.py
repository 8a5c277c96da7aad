from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from train.pack import Piece, pack_window, shuffled, stream_rows

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=40)


def tokens_of(rows: list[list[Piece]]) -> Counter[tuple[int, int, int]]:
    return Counter(
        (piece.epoch, piece.record, position)
        for row in rows
        for piece in row
        for position in range(piece.start, piece.start + piece.length)
    )


@given(LENGTHS, st.integers(2, 20))
def test_a_window_loses_nothing_and_its_rows_are_full(lengths: list[int], row_length: int) -> None:
    pieces = [Piece(record, 0, length, 0) for record, length in enumerate(lengths)]
    rows, left = pack_window(pieces, row_length)
    assert tokens_of([*rows, left]) == tokens_of([pieces])
    assert all(sum(piece.length for piece in row) == row_length for row in rows)
    assert sum(piece.length for piece in left) < row_length


def test_what_fits_is_not_split() -> None:
    rows, left = pack_window([Piece(record, 0, length, 0) for record, length in enumerate([7, 5, 4, 2])], 9)
    assert [[piece.length for piece in row] for row in rows] == [[7, 2], [5, 4]]
    assert left == []


def test_a_long_record_is_cut_into_whole_rows() -> None:
    rows, left = pack_window([Piece(0, 0, 23, 0)], 10)
    assert rows == [[Piece(0, 0, 10, 0)], [Piece(0, 10, 10, 0)]]
    assert left == [Piece(0, 20, 3, 0)]


@given(LENGTHS, st.integers(1, 12), st.integers(2, 20), st.integers(0, 3))
def test_each_epoch_holds_every_token_once(lengths: list[int], rows: int, row_length: int, seed: int) -> None:
    names = [str(number) for number in range(len(lengths))]
    made = list(stream_rows(names, lengths, rows=rows, row_length=row_length, most_tokens=None, key=seed))
    assert len(made) == rows
    assert all(sum(piece.length for piece in row) == row_length for row in made)
    seen = tokens_of(made)
    assert not seen or max(seen.values()) == 1
    whole = rows * row_length // sum(lengths)
    for epoch in range(whole):
        assert sum(1 for key in seen if key[0] == epoch) == sum(lengths)


@given(LENGTHS, st.integers(2, 20))
def test_one_pass_holds_every_token_once_and_pads_the_last_row_only(lengths: list[int], row_length: int) -> None:
    names = [str(number) for number in range(len(lengths))]
    total = sum(lengths)
    rows = -(-total // row_length)
    made = list(stream_rows(names, lengths, rows=rows, row_length=row_length, most_tokens=total, key=0))
    assert len(tokens_of(made)) == total
    assert all(sum(piece.length for piece in row) == row_length for row in made[:-1])


@given(st.lists(st.text(max_size=3), unique=True), st.integers())
def test_an_order_does_not_depend_on_the_order_of_names(names: list[str], seed: int) -> None:
    there = [names[index] for index in shuffled(names, seed)]
    back = names[::-1]
    assert there == [back[index] for index in shuffled(back, seed)]
    assert sorted(there) == sorted(names)


def test_epochs_have_different_orders() -> None:
    made = stream_rows([str(n) for n in range(50)], [10] * 50, rows=10, row_length=100, most_tokens=None, key=0)
    orders: dict[int, list[int]] = {0: [], 1: []}
    for row in made:
        for piece in row:
            orders[piece.epoch].append(piece.record)
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]
