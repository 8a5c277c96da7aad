"""Rows to token tables for supervised tuning, part by part: one line for each view of each example.

::

    {"record_id": "6f1c…", "source_id": "09ab…", "domain": "Veylund", "view": "", "question_id": "c2…",
     "prompt_length": 31, "tokens": [1, 520, …, 36555, 2]}

`prompt_length` is the mask: the tokens before it are given, the rest is learned. No example is ever cut. One that is
longer than it may be is rejected as ``too_long``, and one whose text has a special token of the chat template in it as
``special_token``, one of which the template leaves something out as ``changed_by_template``; rejected rows are counted
in the plan's manifest and listed in its ``rejected.parquet``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mashbill.disk import write_parquet
from mashbill.errors import StoreError
from mashbill.records import Record
from train.examples import COLUMNS, Example, Unusable, example_of
from train.render import CHUNK, TOKEN_SCHEMA

if TYPE_CHECKING:
    from train.prompt_form import PromptForm

EXAMPLE_SCHEMA = pa.schema(
    [
        *(field for field in TOKEN_SCHEMA if field.name not in ("prompt_length", "tokens")),
        pa.field("view", pa.string(), nullable=False),
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("prompt_length", pa.int32(), nullable=False),
        TOKEN_SCHEMA.field("tokens"),
    ]
)
REJECTED_SCHEMA = pa.schema([(name, pa.string()) for name in ("stream", "record_id", "reason", "detail")])


@dataclass
class Rejected:
    """The rows that are not learned."""

    rows: list[dict[str, str]] = field(default_factory=list)

    def add(self, stream: str, record_id: str, why: Unusable) -> None:
        """Note one."""
        self.rows.append({"stream": stream, "record_id": record_id, "reason": why.reason, "detail": why.detail})

    def counts(self, stream: str) -> dict[str, int]:
        """Rows of one stream by reason."""
        return dict(sorted(Counter(row["reason"] for row in self.rows if row["stream"] == stream).items()))

    def write(self, path: Path) -> None:
        """List them as a Parquet file."""
        write_parquet(path, pa.Table.from_pylist(self.rows, schema=REJECTED_SCHEMA))


@dataclass(frozen=True)
class Room:
    """How long an example may be."""

    sequence: int
    """Tokens of one packed row."""
    batch: int
    """Rows of one optimiser step, which has to hold all views of an example."""
    most: int
    """Tokens of one view."""

    def refusal(self, lengths: list[int]) -> str:
        """Why views of these lengths do not fit; empty where they do."""
        longest = max(lengths)
        if longest > self.most:
            return f"{longest:,} tokens; the longest that is taken has {self.most:,}"
        # Two views that are shorter than a row always fit into two rows.
        if self.batch == 1 and sum(lengths) > self.sequence:
            return f"{sum(lengths):,} tokens in {len(lengths)} views; a batch of one row has {self.sequence:,}"
        return ""


def example_tables(
    parts: Iterable[pa.Table], kind: type[Record], form: PromptForm, room: Room, *, stream: str, rejected: Rejected
) -> Iterator[pa.Table]:
    """Each part of a stream as a table of tokens, the views of an example one after another.

    Raises:
        StoreError: when a part lacks the columns of its kind.
    """
    for part in parts:
        lacking = {"id", *COLUMNS[kind]} - {"context", "options"} - set(part.column_names)
        if lacking:
            raise StoreError(
                f"stream {stream!r}: a part has columns {part.column_names} and lacks {sorted(lacking)}, which rows of "
                f"{kind.__name__} have; make the rows again"
            )
        names = [name for name in ("id", "source_id", "domain", *COLUMNS[kind]) if name in part.column_names]
        for batch in part.select(names).to_batches(max_chunksize=CHUNK):
            lines = _lines(batch.to_pylist(), kind, form, room, stream, rejected)
            if lines:
                yield pa.Table.from_pylist(lines, schema=EXAMPLE_SCHEMA)


def _lines(
    rows: list[dict[str, Any]], kind: type[Record], form: PromptForm, room: Room, stream: str, rejected: Rejected
) -> list[dict[str, Any]]:
    usable: list[tuple[dict[str, Any], Example]] = []
    for row in rows:
        example = example_of(row, kind, form.spec)
        if isinstance(example, Example) and (special := _special(example, form)):
            example = Unusable("special_token", special)
        if isinstance(example, Unusable):
            rejected.add(stream, row["id"], example)
        else:
            usable.append((row, example))
    views = form.spec.views
    kept, texts = _written_out(usable, form, stream, rejected)
    prompts = form.prompt_ids([prompt for prompt, _ in texts])
    completions = form.completion_ids([completion for _, completion in texts])
    lines: list[dict[str, Any]] = []
    for at, (row, example) in enumerate(kept):
        tokens = range(at * len(views), (at + 1) * len(views))
        if why := room.refusal([len(prompts[one]) + len(completions[one]) for one in tokens]):
            rejected.add(stream, row["id"], Unusable("too_long", why))
            continue
        for view, one in zip(views, tokens, strict=True):
            lines.append(_line(row, example, view, prompts[one], completions[one]))
    return lines


def _written_out(
    rows: list[tuple[dict[str, Any], Example]], form: PromptForm, stream: str, rejected: Rejected
) -> tuple[list[tuple[dict[str, Any], Example]], list[tuple[str, str]]]:
    """The rows that the template leaves whole, and prompt and completion of each of their views."""
    kept, texts = [], []
    for row, example in rows:
        said = [(view, example.completions[view]) for view in form.spec.views]
        made = [(form.prompt(example.asked, view), form.completion(example.asked, view, one)) for view, one in said]
        lost = (form.lost(example.asked, *one, *both) for one, both in zip(said, made, strict=True))
        if where := next(filter(None, lost), ""):
            rejected.add(
                stream, row["id"], Unusable("changed_by_template", f"the chat template leaves out a part {where}")
            )
        else:
            kept.append((row, example))
            texts += made
    return kept, texts


def _special(example: Example, form: PromptForm) -> str:
    texts = (example.asked.question, example.asked.context, *example.completions.values())
    return next((special for text in texts if (special := form.forbidden(text))), "")


def _line(row: dict[str, Any], example: Example, view: str, prompt: list[int], completion: list[int]) -> dict[str, Any]:
    return {
        "record_id": row["id"],
        "source_id": row.get("source_id") or row["id"],
        "domain": row.get("domain") or "",
        "view": view,
        "question_id": example.question_id,
        "prompt_length": len(prompt),
        "tokens": [*prompt, *completion],
    }
