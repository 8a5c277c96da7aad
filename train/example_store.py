"""The tokens of every example, once, beside the supervised plan that points into them.

`tokens.arrow` as `train.token_store` writes it for texts, with three columns more: ``view``, ``question_id`` and
``prompt_length``, the mask. The views of an example follow each other.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from mashbill.errors import StoreError
from train.example_tokens import EXAMPLE_SCHEMA
from train.token_store import check_ids, flat

EXAMPLE_STORE_SCHEMA = pa.schema([pa.field("stream", pa.string(), nullable=False), *EXAMPLE_SCHEMA])


@dataclass
class ExampleIndex:
    """What planning needs to know of one stream, by example."""

    ids: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    lengths: list[tuple[int, ...]] = field(default_factory=list)
    """Tokens of each view."""
    prompts: list[tuple[int, ...]] = field(default_factory=list)
    """Tokens of each view that are given and not learned."""
    digests: list[bytes] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """All tokens of the stream, read once, in all views."""
        return sum(sum(lengths) for lengths in self.lengths)

    def digest(self) -> str:
        """A hash over ids, questions, masks and tokens that does not depend on the order of the records."""
        total = hashlib.blake2b(digest_size=16)
        for record_id, tokens in sorted(zip(self.ids, self.digests, strict=True)):
            total.update(f"{len(record_id)}:{record_id}".encode() + tokens)
        return total.hexdigest()


def times_asked(indexes: Mapping[str, ExampleIndex]) -> dict[str, list[int]]:
    """For each example, by stream, how many examples of all streams ask its question, itself included.

    Of all streams: two teachers pooled as two streams are as one that was asked more often.
    """
    times = Counter(question for index in indexes.values() for question in index.questions)
    return {name: [times[question] for question in index.questions] for name, index in indexes.items()}


def write_examples(
    path: Path, streams: Mapping[str, Iterable[pa.Table]], views: tuple[str, ...]
) -> tuple[dict[str, ExampleIndex], int]:
    """Write all streams of `train.example_tokens`, in order of name; their indexes, and the largest token id."""
    indexes: dict[str, ExampleIndex] = {}
    largest = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, EXAMPLE_STORE_SCHEMA) as writer:
        for name in sorted(streams):
            indexes[name] = index = ExampleIndex()
            for part in streams[name]:
                named = part.add_column(0, EXAMPLE_STORE_SCHEMA.field("stream"), pa.array([name] * part.num_rows))
                for batch in named.cast(EXAMPLE_STORE_SCHEMA).combine_chunks().to_batches():
                    writer.write_batch(batch)
                    largest = max(largest, _take_in(index, batch, name, views))
            check_ids(index.ids, name)
    return indexes, largest


def _take_in(index: ExampleIndex, batch: pa.RecordBatch, name: str, views: tuple[str, ...]) -> int:
    values, offsets = flat(batch)
    columns = {column: batch.column(column).to_pylist() for column in ("record_id", "view", "question_id")}
    prompts: list[int] = batch.column("prompt_length").to_pylist()
    numbers = range(batch.num_rows)
    for record_id, group in itertools.groupby(numbers, key=lambda at: columns["record_id"][at]):
        mine = list(group)
        found = tuple(columns["view"][at] for at in mine)
        if found != views:
            raise StoreError(
                f"stream {name!r}: record {record_id} has the views {found}, wanted {views}; deduplicate the stream"
            )
        lengths = tuple(int(offsets[at + 1] - offsets[at]) for at in mine)
        if any(not 0 < prompts[at] < length for at, length in zip(mine, lengths, strict=True)):
            raise StoreError(f"stream {name!r}: record {record_id} has no prompt or no completion; render it again")
        index.ids.append(record_id)
        index.questions.append(columns["question_id"][mine[0]])
        index.lengths.append(lengths)
        index.prompts.append(tuple(prompts[at] for at in mine))
        said = f"{index.questions[-1]}|{index.prompts[-1]}|{lengths}|".encode()
        tokens = values[offsets[mine[0]] : offsets[mine[-1] + 1]].tobytes()
        index.digests.append(hashlib.blake2b(said + tokens, digest_size=16).digest())
    return int(values[offsets[0] : offsets[-1]].max(initial=0))
