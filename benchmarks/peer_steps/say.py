"""One prompt, one row: the step that `benchmarks.peers` runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mashbill.ask import Answer
from mashbill.engine import user
from mashbill.errors import BadReply
from mashbill.records import Document
from mashbill.step import Generator, Prompt


@dataclass(frozen=True, kw_only=True)
class Say(Generator[Document, Document]):
    """Asks what a document says; a reply that was cut off is no row."""

    def prompt(self, record: Document) -> Prompt:
        """The document and a question, as the peers are given them."""
        return user(record.text, "\n\nWhat does it say?")

    def parse(self, record: Document, answer: Answer[Any]) -> Iterable[Document]:
        """The reply as it is."""
        if answer.finish_reason == "length":
            raise BadReply("truncated", "the reply was cut off", text=answer.text, asks=answer.keys)
        yield record.child(Document, kind="summary", text=answer.text, made=answer.made())
