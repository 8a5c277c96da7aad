"""Documents with labelled triples, a teacher that knows them, and one way to run a step."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashbill.asker import Asker
from mashbill.engine import Request, ScriptedEngine
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import Document, Reject, Triple
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import Step
from mashbill.store import Stored
from tests.support.kernel import rejects_in, rows_of

EXAMPLES = Path(__file__).parents[2] / "examples"
CORPUS = EXAMPLES / "tolvarey-small" / "corpus"
GOLD = EXAMPLES / "graph" / "gold.jsonl"


@dataclass(frozen=True)
class Labelled:
    """A document with the triples it states."""

    document: Document
    gold: list[dict[str, str]]

    def triples(self) -> list[Triple]:
        """The labelled triples as records."""
        fields = ("head", "relation", "tail", "head_type", "tail_type", "evidence")
        return [Triple.new(**{name: one[name] for name in fields}) for one in self.gold]


def labelled() -> list[Labelled]:
    """The labelled documents of the examples."""
    lines = [json.loads(line) for line in GOLD.read_text(encoding="utf-8").splitlines()]
    found = []
    for name in sorted({line["document"] for line in lines}):
        text = (CORPUS / name).read_text(encoding="utf-8")
        title = text.split("title: ")[1].split("\n")[0]
        document = Document.new(title=title, text=text.split("---\n", 2)[2].strip(), source=name)
        found.append(Labelled(document, [line for line in lines if line["document"] == name]))
    return found


def kinds_in(lines: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Every kind of thing that the labels use."""
    return tuple(sorted({line[side] for line in lines for side in ("head_type", "tail_type")}))


def stated(*triples: tuple[str, str, str] | tuple[str, str, str, str]) -> str:
    """A reply with these triples of head, relation, tail and evidence."""
    rows = [dict(zip(("head", "relation", "tail", "evidence"), one, strict=False)) for one in triples]
    return json.dumps({"triples": [{"evidence": "", **row} for row in rows]})


async def run(step: Step, source: Stored, engine: ScriptedEngine, ledger: Path | None = None) -> Stored:
    """The stored output of a step under the source's root; any share of rejects is let through."""
    root = source.path.parent.parent
    replies = Ledger(ledger or root / "ledger.sqlite")
    try:
        async with Asker(engine, replies) as asker:
            return await execute(step, source, Runtime(root=root, asker=asker), RejectPolicy(share=1.0))
    finally:
        await replies.close()


def triples_of(stored: Stored) -> list[Triple]:
    """All kept triples."""
    return rows_of(stored)


def reasons_of(stored: Stored) -> dict[str, int]:
    """How many were rejected for what."""
    return dict(stored.manifest.counts.rejected)


def rejects_of(stored: Stored) -> list[Reject]:
    """All reject rows."""
    return rejects_in(stored)


def edges(triples: Sequence[Any]) -> list[tuple[str, str, str]]:
    """Heads, relations and tails alone."""
    return [(one.head, one.relation, one.tail) for one in triples]


def question_in(request: Request) -> str:
    """What follows the text in a request."""
    return "".join(request.messages[1].parts[1:])
