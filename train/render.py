r"""Records to training text, and text to token tables, part by part.

A document row becomes::

    {"id": "6f1c…", "domain": "Veylund", "title": "The Salt Guild", "text": "Discussion of …", …}
    ->  "Veylund\nThe Salt Guild\n\nDiscussion of …"
    ->  {"record_id": "6f1c…", "source_id": "09ab…", "domain": "Veylund", "prompt_length": 0, "tokens": [0, 56, …]}

The domain stands first because of Physics of Language Models 3.3 (2404.05405, on junk data): where useful text is mixed
with junk, a domain name at the head of each text lets the model find out by itself which domains are rich in knowledge
and give them its capacity; without it capacity fell up to twentyfold.

Rows with a question and an answer are written out as text too (`train.render_qa`), where a bill asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from mashbill.errors import StoreError
from mashbill.records import Record, schema_of
from train.render_qa import QUESTION_COLUMNS, QuestionText, question_text

TOKEN_SCHEMA = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("prompt_length", pa.int32(), nullable=False),
        pa.field("tokens", pa.list_(pa.int32()), nullable=False),
    ]
)
COLUMNS = ("id", "source_id", "domain", "title", "text", "discipline", *QUESTION_COLUMNS)
"""Every column that a text may be made of; a record type has some of them."""
CHUNK = 1024
"""Documents tokenised in one call: enough to keep the tokenizer's threads busy."""


class Tokenizes(Protocol):
    """What rendering needs of a tokenizer; `train.tokenizer.StudentTokenizer` is one."""

    def documents(self, texts: list[str]) -> list[list[int]]:
        """Token ids of whole documents, with what begins and ends one."""
        ...


@dataclass(frozen=True, kw_only=True)
class RenderSpec:
    """What of a document the student reads, above its text; and how questions are written out, where they are."""

    domain: bool = True
    title: bool = True
    learn_heading: bool = True
    """Without it what stands above the text is read and not learned: each text is then learned given where it belongs,
    such as the path of a chapter in a book as its title (StructTuning, 2407.16724, section 3.2)."""
    questions: QuestionText | None = field(default=None, metadata={"identity": False})
    """How rows with a question and an answer become plain text; none, unless given: then they are no texts."""

    @property
    def identity(self) -> object:
        """What decides the texts: without questions it is what it was before they could be read."""
        return self if self.questions is None else (self, self.questions)


def render(row: Mapping[str, Any], spec: RenderSpec | None = None) -> str:
    r"""One document as training text; or a question, under its domain or else its discipline.

    >>> render({"domain": "Veylund", "title": "Salt", "text": "Salt is white."})
    'Veylund\nSalt\n\nSalt is white.'
    """
    spec = spec or RenderSpec()
    return heading(row, spec) + body(row, spec)


def body(row: Mapping[str, Any], spec: RenderSpec) -> str:
    """The text of a row without what stands above it."""
    if spec.questions is not None and "question" in row:
        return question_text(row, spec.questions)
    return row.get("text") or ""


def heading(row: Mapping[str, Any], spec: RenderSpec) -> str:
    """What stands above the text of a document, with the empty line; nothing where it has neither."""
    wanted = [domain_of(row) if spec.domain else "", row.get("title") if spec.title else ""]
    head = "\n".join(line.strip() for line in wanted if line and line.strip())
    return f"{head}\n\n" if head else ""


def domain_of(row: Mapping[str, Any]) -> str:
    """The domain of a row; of a question that has none, its discipline."""
    return row.get("domain") or row.get("discipline") or ""


def columns_of(kind: type[Record]) -> tuple[str, ...]:
    """The columns of a record type that its text is made of."""
    names = schema_of(kind).names
    return tuple(name for name in COLUMNS if name in names)


def token_tables(parts: Iterable[pa.Table], tokenizer: Tokenizes, spec: RenderSpec | None = None) -> Iterator[pa.Table]:
    """Each part of documents as a table of tokens, one row a document, in the same order."""
    spec = spec or RenderSpec()
    for part in parts:
        asks = spec.questions is not None and "question" in part.column_names
        lacking = {"id", *(QUESTION_COLUMNS if asks else ("text",))} - set(part.column_names)
        if lacking:
            raise StoreError(
                f"render: a part has columns {part.column_names} and lacks {sorted(lacking)}; continued pretraining "
                "reads Document rows, and with `render: {questions: {}}` rows with a question and an answer"
            )
        for batch in part.to_batches(max_chunksize=CHUNK):
            yield _tokens_of(batch, tokenizer, spec)


def _tokens_of(batch: pa.RecordBatch, tokenizer: Tokenizes, spec: RenderSpec) -> pa.Table:
    names = [name for name in COLUMNS if name in batch.schema.names]
    rows = batch.select(names).to_pylist()
    given, tokens = _given_and_tokens(rows, tokenizer, spec)
    columns = {
        "record_id": [row["id"] for row in rows],
        "source_id": [row.get("source_id") or row["id"] for row in rows],
        "domain": [domain_of(row) for row in rows],
        "prompt_length": given,
        "tokens": tokens,
    }
    return pa.table(columns, schema=TOKEN_SCHEMA)


def _given_and_tokens(
    rows: list[dict[str, Any]], tokenizer: Tokenizes, spec: RenderSpec
) -> tuple[list[int], list[list[int]]]:
    if spec.learn_heading:
        return [0] * len(rows), tokenizer.documents([render(row, spec) for row in rows])
    # Tokenised apart, so that no token lies on both sides of where learning begins.
    heads = tokenizer.documents([heading(row, spec) for row in rows])
    texts = tokenizer.documents([body(row, spec) for row in rows])
    (frame,) = tokenizer.documents([""])
    begin = len(frame) - 1
    given = [len(head) - 1 if len(head) > len(frame) else 0 for head in heads]
    return given, [head[:-1] + text[begin:] for head, text in zip(heads, texts, strict=True)]
