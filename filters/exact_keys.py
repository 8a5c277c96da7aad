r"""What makes two rows of a record type equal: digests of what they say, without case and white space.

One row in -> out: ``Document(text="The  SALT\nguild")`` -> one key, that of ``the salt guild``. An instruction with
constraints has a second one, of its base query and the set of its constraints: what is asked for is the same in
whatever order and wording it is told.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.compared_text import compared_columns, compared_texts, read_columns
from filters.hashing import mix
from mashbill.errors import InputError
from mashbill.records import Instruction, Record
from mashbill.step import Parts

DIGEST_BYTES = 16
_CONSTRAINED = ("base_query", "context", "constraints")


def normal_text(text: str) -> str:
    r"""The form in which two texts count as the same.

    >>> normal_text("The  SALT\nguild ")
    'the salt guild'
    """
    if text.isascii():
        return " ".join(text.lower().split())
    # Folding case can leave form C (the folded ΐ is three characters), so it is put back.
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return " ".join(folded.split())


def text_digest(text: str) -> bytes:
    """128 bits of the normal form: 10^12 different texts share one with probability 1.5e-15."""
    return hashlib.blake2b(normal_text(text).encode(), digest_size=DIGEST_BYTES).digest()


def constraints_digest(base_query: str, context: str, constraints: Sequence[str]) -> bytes:
    """128 bits of a base query and the set of what it must meet."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for text in (base_query, context, *sorted({normal_text(one) for one in constraints})):
        body = normal_text(text).encode()
        digest.update(len(body).to_bytes(8, "big") + body)
    return digest.digest()


def key_columns(kind: type[Record]) -> tuple[str, ...]:
    """The columns that keys are made of."""
    return (*compared_columns(kind), *(_CONSTRAINED if issubclass(kind, Instruction) else ()))


def keys_of(table: pa.Table, kind: type[Record]) -> list[tuple[bytes, ...]]:
    """The keys of each row, one or two; two rows are equal where they share one.

    Raises:
        UnicodeDecodeError: for bytes that are no UTF-8; its `object` is the text.
    """
    texts = compared_texts(table, kind).view(pa.large_binary()).to_pylist()
    keys = [(text_digest(text.decode()),) for text in texts]
    if not issubclass(kind, Instruction):
        return list[tuple[bytes, ...]](keys)
    columns = [table.column(name).to_pylist() for name in _CONSTRAINED]
    return [
        (*key, constraints_digest(base or "", context or "", [one["text"] for one in constraints]))
        if constraints
        else key
        for key, base, context, constraints in zip(keys, *columns, strict=True)
    ]


def keys_of_part(
    parts: Parts, index: int, kind: type[Record], step: str, rows: npt.NDArray[np.int64] | None = None
) -> list[tuple[bytes, ...]]:
    """The keys of a part's rows, or of some of them.

    Raises:
        InputError: for a text that is no UTF-8, with the row's id.
    """
    table = read_columns(parts, index, key_columns(kind), step)
    table = table if rows is None else table.take(pa.array(rows)).combine_chunks()
    try:
        return keys_of(table, kind)
    except UnicodeDecodeError as error:
        broken = compared_texts(table, kind).view(pa.large_binary()).to_pylist().index(error.object)
        row = broken if rows is None else int(rows[broken])
        named = parts.table(index, ["id"]).column("id")[row].as_py()
        raise InputError(
            f"{step}: row {named} (part {index}, row {row}) has a text that is not UTF-8, such as one with a lone "
            "surrogate; mend it where it comes from, or leave the row out"
        ) from error


def numbers_of(keys: Sequence[tuple[bytes, ...]], columns: int, first: int) -> npt.NDArray[np.uint64]:
    """The first 64 bits of each key; in place of one that a row has not, a number that no other row should have."""
    none = mix(np.arange(first, first + len(keys), dtype=np.uint64) + np.uint64(1))
    found = np.repeat(none[:, None], columns, axis=1)
    for column in range(columns):
        some = [(row, one[column][:8]) for row, one in enumerate(keys) if column < len(one)]
        found[[row for row, _ in some], column] = np.frombuffer(b"".join(head for _, head in some), dtype=np.uint64)
    return found
