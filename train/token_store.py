"""The tokens of every record, once, beside the plan that points into them.

`tokens.arrow` is an uncompressed Arrow file: the loop maps it into memory and slices it, so it needs no tokenizer and
reads only the pages a row touches. One row::

    {"stream": "made", "record_id": "6f1c…", "source_id": "09ab…", "domain": "Veylund", "prompt_length": 0,
     "tokens": [0, 56, 71, …]}
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mashbill.errors import StoreError
from train.render import TOKEN_SCHEMA

STORE_SCHEMA = pa.schema([pa.field("stream", pa.string(), nullable=False), *TOKEN_SCHEMA])
Tokens = npt.NDArray[np.int32]


@dataclass
class StreamIndex:
    """What planning needs to know of one stream: ids and lengths, never the tokens."""

    ids: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """All tokens of the stream, read once."""
        return sum(self.lengths)

    def digest(self) -> str:
        """A hash over ids and tokens that does not depend on the order of the records."""
        total = hashlib.blake2b(digest_size=16)
        for record_id, tokens in sorted(zip(self.ids, self.digests, strict=True)):
            total.update(f"{len(record_id)}:{record_id}".encode() + tokens)
        return total.hexdigest()


def write_tokens(path: Path, streams: Mapping[str, Iterable[pa.Table]]) -> tuple[dict[str, StreamIndex], int]:
    """Write all streams, part by part, in order of name; their indexes, and the largest token id."""
    indexes: dict[str, StreamIndex] = {}
    largest = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, STORE_SCHEMA) as writer:
        for name in sorted(streams):
            indexes[name] = index = StreamIndex()
            for part in streams[name]:
                columns = [part.column(column).cast(TOKEN_SCHEMA.field(column).type) for column in TOKEN_SCHEMA.names]
                stream = pa.array([name] * part.num_rows, pa.string())
                table = pa.table([stream, *columns], schema=STORE_SCHEMA)
                for batch in table.combine_chunks().to_batches():
                    writer.write_batch(batch)
                    largest = max(largest, _take_in(index, batch, name))
            check_ids(index.ids, name)
    return indexes, largest


def _take_in(index: StreamIndex, batch: pa.RecordBatch, name: str) -> int:
    values, offsets = flat(batch)
    ids = batch.column("record_id").to_pylist()
    given = batch.column("prompt_length").to_pylist()
    for record_id, masked, start, stop in zip(ids, given, offsets[:-1], offsets[1:], strict=True):
        if start == stop:
            raise StoreError(f"stream {name!r}: record {record_id} has no tokens; filter empty texts before planning")
        index.ids.append(record_id)
        index.lengths.append(int(stop - start))
        # A mask makes another row of the same tokens; without one the digest is the tokens'.
        mask = f"{masked}".encode() if masked else b""
        index.digests.append(hashlib.blake2b(values[start:stop].tobytes(), key=mask, digest_size=16).digest())
    return int(values[offsets[0] : offsets[-1]].max(initial=0))


def flat(batch: pa.RecordBatch) -> tuple[Tokens, npt.NDArray[np.int32]]:
    """The tokens of a batch as one array, and where each record's begin and end in it."""
    column = batch.column("tokens")
    return column.values.to_numpy(zero_copy_only=False), column.offsets.to_numpy(zero_copy_only=False)


def check_ids(ids: Sequence[str], name: str) -> None:
    """Refuse a stream without records, or with one twice."""
    if not ids:
        raise StoreError(f"stream {name!r} has no records; leave it out of the mix, or look at what filtered them all")
    if len(set(ids)) < len(ids):
        twice, times = Counter(ids).most_common(1)[0]
        raise StoreError(
            f"stream {name!r} has record {twice} {times} times; deduplicate it: repetition is the plan's business"
        )


class TokenStore:
    """The mapped token file: tokens by number, numbers by stream, id and view."""

    def __init__(self, path: Path) -> None:
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path), "r")).read_all()
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(f"{path}: cannot be read ({error}); remove {path.parent} and plan again") from error
        self.streams: list[str] = table.column("stream").to_pylist()
        self.ids: list[str] = table.column("record_id").to_pylist()
        self.domains: list[str] = table.column("domain").to_pylist()
        views = table.column("view").to_pylist() if "view" in table.column_names else [""] * len(self.ids)
        self.views: list[str] = views
        """The view of an example; empty for texts and for examples of one view."""
        self.prompt_lengths: list[int] = table.column("prompt_length").to_pylist()
        """Tokens that are given and not learned: the prompt of an example, the masked heading of a text."""
        self._parts = [flat(batch) for batch in table.to_batches()]
        sizes = [len(offsets) - 1 for _, offsets in self._parts]
        self._starts = np.cumsum([0, *sizes])

    def __len__(self) -> int:
        return len(self.ids)

    def numbers(self) -> dict[tuple[str, str, str], int]:
        """The number of each record by (stream, record id, view)."""
        return {key: number for number, key in enumerate(zip(self.streams, self.ids, self.views, strict=True))}

    def tokens(self, number: int) -> Tokens:
        """The tokens of one record, without a copy."""
        part = int(np.searchsorted(self._starts, number, side="right")) - 1
        values, offsets = self._parts[part]
        local = number - int(self._starts[part])
        return values[offsets[local] : offsets[local + 1]]
