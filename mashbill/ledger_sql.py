"""Many rows in few statements, of so few kinds that SQLite keeps them prepared."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """In pieces of 64, 16, 4 and 1, so that there are four statements of each kind and SQLite keeps them prepared."""
    start = 0
    while start < len(items):
        size = next(size for size in (64, 16, 4, 1) if size <= len(items) - start)
        yield items[start : start + size]
        start += size


@functools.cache
def repeated(sql: str, values: str, times: int) -> str:
    """A statement with its values said several times."""
    return sql + ",".join([values] * times)
