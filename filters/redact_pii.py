"""Put placeholders in place of personal data and secrets; a row that changes gets a new id, with its old one as parent.

One row in -> out: ``"Write to ora@salt.org or +44 20 7946 0018."`` -> ``"Write to <EMAIL> or <PHONE>."``

Do it before a generator: what a prompt never held no reply can repeat. Doing it twice changes nothing more. What was
replaced is counted by kind in the manifest and the card. Nobody should read that as "there is none left": the rules
find what has a form (`docs/safety.md` has precision and recall for each kind), and names only where `presidio` is set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from filters.pii import checked
from filters.pii_found import found_in, redacted
from filters.pii_kinds import KINDS
from filters.pii_names import ENTITIES, NameFinder, model_version
from filters.rewrite import column_of, rewritten
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored


@dataclass(frozen=True, kw_only=True)
class RedactPii(DatasetStep[Record, Record]):
    """Replaces personal data and secrets by typed placeholders."""

    columns: tuple[str, ...] = ("text",)
    """The columns to redact."""
    kinds: tuple[str, ...] = tuple(KINDS)
    """Of ``key``, ``card``, ``iban``, ``email``, ``ip`` and ``phone``."""
    numbered: bool = False
    """Whether different addresses of one text are told apart: ``<EMAIL_1>``, ``<EMAIL_2>``."""
    presidio: str = ""
    """A spaCy pipeline by which presidio finds names too, as ``en_core_web_sm``; needs the extra ``pii``."""
    entities: tuple[str, ...] = ENTITIES
    """Presidio's entities that are replaced."""
    presidio_version: str = ""
    """The pipeline's version: set by itself, since another one finds other names."""

    def __post_init__(self) -> None:
        """Refuse what redacts nothing."""
        if not self.columns:
            raise BillError("redact_pii redacts no column; name some, e.g. columns: [text]")
        checked(self.kinds, self.name)
        object.__setattr__(self, "presidio_version", model_version(self.presidio) if self.presidio else "")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        names = NameFinder(self.presidio, self.entities) if self.presidio else None
        for index in range(len(parts)):
            table = parts.table(index)
            changed, counts = dict[str, list[str]](), Counter[str]()
            for column in self.columns:
                texts = column_of(table, column, self.name)
                new = texts.to_list()
                for row, spans in found_in(texts, self.kinds, names).items():
                    new[row] = redacted(new[row], spans, self.numbered)
                    counts.update(span.kind for span in spans)
                changed[column] = new
            output = rewritten(table, changed, {}, self.name)
            yield PartOutput(output.kept, output.rejects, {f"redacted {kind}": n for kind, n in counts.items()})

    def report(self, source: Parts, stored: Stored) -> Mapping[str, Any]:
        """What was replaced, for the manifest and the card."""
        del source
        found = {name.removeprefix("redacted "): count for name, count in stored.manifest.counts.noted.items()}
        said = ", ".join(f"{kind} {count:,}" for kind, count in found.items()) or "nothing was found"
        return {"redacted": found, "card": [f"looked for {', '.join(self.kinds)} and replaced: {said}"]}
