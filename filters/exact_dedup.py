r"""Remove documents whose text another document already has, but for case and white space.

One row in -> out: ``"The  Salt Guild"`` beside ``"the salt\nguild"`` -> the one with the lower id is kept, the other
rejected, ``exact_duplicate``, with ``kept_id``.

Texts are compared by a 128-bit digest of their normal form (Unicode form C, case folded, runs of white space one
space). Two passes over the parts; what is held between them is the digest, the id and the score of each row, about
100 bytes, never a text.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from filters.keep_order import COLUMNS, ORDER_SCHEMA, in_order, order_columns
from filters.removal import outputs
from mashbill.records import Document
from mashbill.step import DatasetStep, PartOutput, Parts


@dataclass(frozen=True, kw_only=True)
class ExactDedup(DatasetStep[Document, Document]):
    """Keeps one document of each text: the best scored, then the lowest id."""

    score: str = ""
    """The name of a score; the highest is kept. Empty: the lowest id is kept."""

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        yield from outputs(parts, self._removed(parts), step=self.name, kind=Document, reason="exact_duplicate")

    def _removed(self, parts: Parts) -> pl.DataFrame:
        """Part, row and kept_id of each row that goes, in the order they are read."""
        frames = [pl.DataFrame(schema={**ORDER_SCHEMA, "digest": pl.Binary})]
        for index in range(len(parts)):
            table = parts.table(index, [*COLUMNS, "text"])
            digests = [text_digest(text) for text in table["text"].to_pylist()]
            order = order_columns(table, index, self.score)
            frames.append(order.with_columns(digest=pl.Series(digests, dtype=pl.Binary)))
        ordered = in_order(pl.concat(frames)).with_columns(
            kept_id=pl.col("id").first().over("digest"), place=pl.int_range(pl.len()).over("digest")
        )
        gone = ordered.filter(pl.col("place") > 0)
        return gone.select("part", "row", "kept_id", pl.lit(None, dtype=pl.Float64).alias("value"), detail=pl.lit(""))


def normal_text(text: str) -> str:
    r"""The form in which two texts count as the same.

    >>> normal_text("The  SALT\nguild ")
    'the salt guild'
    """
    # Folding case can leave form C (the folded ΐ is three characters), so it is put back.
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return " ".join(folded.split())


def text_digest(text: str) -> bytes:
    """128 bits of the normal form: 10^12 different texts share one with probability 1.5e-15."""
    return hashlib.blake2b(normal_text(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
