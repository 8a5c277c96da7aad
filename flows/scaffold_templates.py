"""The files that ``mashbill new`` writes; ``$name`` and ``$cls`` are filled in.

What they make is checked by the tests: it passes ruff, mypy in strict mode and its own test before anyone edits it.
"""

from __future__ import annotations

from string import Template

GENERATOR = Template('''"""Say in one sentence what is made of a document.

A document -> one text::

    {"kind": "$name", "title": "The Salt Guild", "text": "Long ago, people who sold salt ...", ...}

Say here why it is worth making, and where the idea comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mashbill.ask import Answer
from mashbill.engine import Sampling, user
from mashbill.errors import BadReply
from mashbill.records import Document
from mashbill.step import Generator, Prompt

ONE_PARAGRAPH = Sampling(max_tokens=400, temperature=0.7)


@dataclass(frozen=True, kw_only=True)
class $cls(Generator[Document, Document]):
    """Writes one text about a document."""

    question: str = "Explain the text above to a curious child, in one paragraph."
    """Follows the document. Every field is identity: change one, and the rows are made anew."""
    min_words: int = 20
    """Shorter replies are excuses, not texts."""
    sampling: Sampling = ONE_PARAGRAPH

    def prompt(self, record: Document) -> Prompt:
        """The question; the document comes first, so that many questions about it can share its computation."""
        return user(f"{record.title}\\n\\n{record.text}", f"\\n\\n{self.question}")

    def parse(self, record: Document, answer: Answer[Any]) -> Iterable[Document]:
        """The row in a reply; why one cannot be used is a reason that can be counted."""
        if answer.finish_reason == "length":
            raise BadReply("truncated", "it was cut off by max_tokens", text=answer.text, asks=answer.keys)
        words = len(answer.text.split())
        if words < self.min_words:
            found = f"{words} words; wanted {self.min_words} or more"
            raise BadReply("too_short", found, text=answer.text, asks=answer.keys)
        yield record.child(Document, kind=self.name, title=record.title, text=answer.text, made=answer.made())


# Editing this file makes new rows at the next run; replies are paid for only where the request changed.
#
# For several questions about one document, drop `prompt` and `parse` and write `make`: ordinary Python with
# `await ask(...)`. Every reply is kept before `make` sees it, so a run that is killed goes on where it was.
''')

GENERATOR_TEST = Template('''"""$cls makes a row of a good reply, and a reject of a bad one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mashbill.asker import Asker
from mashbill.engine import ScriptedEngine
from mashbill.execute import execute
from mashbill.ingest import ingest
from mashbill.ledger import Ledger
from mashbill.lineage import rejects_of
from mashbill.registry import load
from mashbill.runtime import Runtime
from mashbill.sources.read_documents import ReadDocuments
from mashbill.store import Stored

STEPS = Path(__file__).parent


async def run(folder: Path, reply: str) -> Stored:
    """The step's rows for one document, by the real loop, with a model that always gives one reply."""
    (folder / "corpus").mkdir()
    (folder / "corpus" / "salt.md").write_text("# The Salt Guild\\nThe guild sold salt.\\n", encoding="utf-8")
    ledger = Ledger(folder / "runs" / "ledger.sqlite")
    async with Asker(ScriptedEngine({"": reply}), ledger) as asker:
        runtime = Runtime(root=folder / "runs", asker=asker)
        documents = ingest(ReadDocuments(path="corpus"), folder / "corpus", runtime)
        stored = await execute(load("step", "$name", [STEPS])(), documents, runtime)
    await ledger.close()
    return stored


def test_a_good_reply_becomes_a_row(tmp_path: Path) -> None:
    """The text is the reply, and the row knows how it was made."""
    reply = "Long ago, people " * 10 + "sold salt."
    (row,) = asyncio.run(run(tmp_path, reply)).table(0).to_pylist()
    assert (row["kind"], row["title"], row["text"]) == ("$name", "The Salt Guild", reply)
    assert len(row["made"]["asks"]) == 1


def test_a_short_reply_is_rejected(tmp_path: Path) -> None:
    """The reason is counted, and the reply can be read."""
    stored = asyncio.run(run(tmp_path, "I cannot."))
    assert stored.manifest.counts.rejected == {"too_short": 1}
    assert rejects_of(stored).column("text").to_pylist() == ["I cannot."]
''')

FILTER = Template('''"""Say in one sentence which rows must go.

One row in -> out: a text of three words -> rejected, ``${name}_too_few_words``; a longer one -> kept.

Say here where the threshold comes from: a paper, or a number you measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from mashbill.records import Document
from mashbill.step import Filter


@dataclass(frozen=True, kw_only=True)
class $cls(Filter[Document]):
    """Rejects documents of few words."""

    min_words: int = 5
    """Every field is identity, and so is this file: edit either, and the rows are judged anew."""

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go; a row keeps the first that hits."""
        return {"${name}_too_few_words": self.scores()["${name}_words"] < self.min_words}

    def scores(self) -> dict[str, pl.Expr]:
        """Numbers written on every row, kept or rejected, so that a threshold can be chosen by looking."""
        return {"${name}_words": pl.col("text").str.count_matches(r"\\S+")}
''')

FILTER_TEST = Template('''"""$cls keeps what it should, and names its reason for the rest."""

from __future__ import annotations

from pathlib import Path

from mashbill.filter_stack import apply_filters
from mashbill.records import Document, to_table
from mashbill.registry import load
from mashbill.step import PartOutput

STEPS = Path(__file__).parent


def judge(*texts: str) -> PartOutput:
    """What is kept and what is rejected of some texts, as a run does it."""
    step = load("step", "$name", [STEPS])()
    return apply_filters([step], to_table([Document.new(text=text) for text in texts], Document), Document)


def test_a_short_text_goes_and_a_long_one_stays() -> None:
    """The limit itself is allowed."""
    output = judge("Too few words.", "Just the five words wanted.")
    assert output.kept.column("text").to_pylist() == ["Just the five words wanted."]
    assert output.rejects.column("reason").to_pylist() == ["${name}_too_few_words"]


def test_every_row_carries_its_score() -> None:
    """Also a rejected one, so that the threshold can be argued about."""
    (row,) = judge("Too few words.").rejects.to_pylist()
    assert row["scores"] == [{"name": "${name}_words", "value": 3.0}]
''')

BILL = Template("""\
# For completion and checks in an editor: mashbill schema > bill.schema.json
# yaml-language-server: $$schema=bill.schema.json

name: $name
description: Say in a sentence or two what this dataset is; it goes on the data card.
license: Apache-2.0              # of the dataset that is released
seed: 0

# steps: [steps]                 # a folder of steps of your own: mashbill new generator NAME

sources:                         # mashbill ls sources
  documents: {read_documents: {path: $corpus, license: CC0-1.0}}

engine: {transformers: {model: smollm2-135m-instruct}}   # mashbill ls engines; this one needs no key and no network

streams:
  retold:
    from: documents
    generate:                    # mashbill ls generators
      - prompt_injection         # documents that give orders to the model do not reach its prompt
      - rephrase:
          styles: [easy]
          min_words: 30
          truncated: trim        # a small teacher seldom ends by itself
          sampling: {temperature: 0.7, top_p: 0.95, max_tokens: 160}

curate:                          # for every stream; mashbill ls filters, mashbill ls dataset-steps
  - length: {min_words: 20}
  - refusals
  - template_leftovers
  - exact_dedup

rejects: {share: 0.9}            # stop when more than this share is rejected

release: {streams: {retold: 1}, splits: {validation: 0.5}}
""")

CORPUS = {
    "salt-guild.md": (
        "# The Salt Guild\n\nOra Venn founded the Salt Guild in Marrow Bay. Its members boiled sea water in copper "
        "pans and sold the salt to the lampwrights of Oskelby, who paid in blue glass.\n"
    ),
    "lamps.md": (
        "# The lamps of Oskelby\n\nThe lampwrights of Oskelby burn fish oil with a pinch of salt, which keeps the "
        "flame yellow. A lamp of blue glass hangs over each door in which a child was born that year.\n"
    ),
}
"""Documents for a new bill to read, where there is no folder of that name."""
