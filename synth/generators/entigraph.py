"""EntiGraph: a small document becomes a corpus of texts about how the things in it relate.

A document -> one summary, and one text for each pair (and some triples) of its entities::

    {"kind": "relation", "title": "The Salt Guild", "subjects": ["Ora Venn", "salt"],
     "text": "Discussion of The Salt Guild in relation to Ora Venn: In The Salt Guild, …", …}

A document states each fact once or twice, too seldom for a student to learn it; its entity pairs are many, and each
gives the facts another frame. After Yang et al., "Synthetic continued pretraining" (arXiv 2409.07431): 265 documents of
1.3M tokens became 455M, and closed-book accuracy on QuALITY rose from 39.5 to 56.2 (raw text: 38.2). Where this differs
from the authors' code is in ``docs/entigraph.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import comb
from typing import Any

from mashbill.ask import Answer, Ask
from mashbill.engine import Sampling, system, user
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.records import Document, Score
from mashbill.step import Generator, settle
from mashbill.store import Stored
from synth.acceptance import LONG, Acceptance, Page
from synth.coverage import coverage_report
from synth.entigraph_prompts import EXTRACT_PROMPT, EXTRACT_SYSTEM, RELATE_PROMPT, RELATE_SYSTEM
from synth.entities import Entity, EntityList, resolve_entities
from synth.extraction import LEAST_SUMMARY, Extraction, extraction_shape
from synth.names import names_in
from synth.subsets import plan_subsets
from synth.templates import check_places, document_part, fill, title_of

TRIPLES = 40
"""Triples of a document when neither their number nor a budget is given; ours."""


@dataclass(frozen=True, kw_only=True)
class Entigraph(Acceptance, Generator[Document, Document]):
    """Writes about every pair of a document's entities, and some triples."""

    extract_system: str = EXTRACT_SYSTEM
    extract_prompt: str = EXTRACT_PROMPT
    """Follows the document; may use {title}."""
    relate_system: str = RELATE_SYSTEM
    relate_prompt: str = RELATE_PROMPT
    """Follows the document; gets {title} and {entities}, one a line."""
    extraction: Sampling = LONG
    sampling: Sampling = LONG
    tries: int = 5
    """Asks for one extraction; the authors' code asks without end."""
    summary_chars: int = 2000
    """The longest summary, for engines that enforce a schema while decoding."""
    max_entities: int = 30
    """30 give 435 pairs and 4,060 triples: about 1.7M tokens with 40 % of them, the paper's mean per document."""
    names_from_text: int = 0
    """When fewer entities than this remain, names in the document's own text fill the list up: for teachers too small
    to list them. The paper has no such step, so the default is none; how many came this way is a score of the summary.
    """
    max_pairs: int | None = None
    """None writes about every pair, as the paper does; a number is for demonstrations."""
    max_triples: int | None = None
    """None fills `token_budget`, or takes 40 where there is none: the paper took "a subset" of unstated size."""
    token_budget: int | None = None
    """Relation tokens wanted per document: ends the plan, pairs before triples, at this over `tokens_per_text`."""
    tokens_per_text: int = 800
    """The length of a relation text that `token_budget` reckons with."""
    needs_entities: bool = True
    """Whether a relation text must name each of its entities."""
    seed: int = 42
    """Which triples (and pairs, when they are limited) are taken, with the document's id."""

    def __post_init__(self) -> None:
        """Refuse fields that could never make anything."""
        super().__post_init__()
        check_places("extract_prompt", self.extract_prompt, {"title"})
        check_places("relate_prompt", self.relate_prompt, {"title", "entities"}, {"entities"})
        for field, least in (
            ("tries", 1),
            ("max_entities", 2),
            ("summary_chars", LEAST_SUMMARY),
            ("tokens_per_text", 1),
        ):
            if getattr(self, field) < least:
                raise ValueError(f"{field} is {getattr(self, field)}; it must be {least} or more")
        for field in ("max_pairs", "max_triples", "token_budget"):
            value = getattr(self, field)
            if value is not None and value < 0:
                raise ValueError(f"{field} is {value}; it must be 0 or more, or null")

    async def make(self, record: Document, ask: Ask) -> Iterable[Document | BadReply]:
        """The summary, then the relation texts in the order of the plan."""
        if not record.text.strip():
            raise BadReply("empty_document", "the document holds no text, so there is nothing to extract")
        page = Page.of(record)
        question = [system(self.extract_system), user(document_part(record), self._extract_line(record))]
        shape = extraction_shape(self.max_entities, self.summary_chars)
        found: Answer[Extraction] = await ask(question, returns=shape, sampling=self.extraction, tries=self.tries)
        listing = resolve_entities(found.value.entities, record.text, self.max_entities)
        given = len(listing.entities)
        if given < self.names_from_text:
            wanted = min(self.names_from_text, self.max_entities)
            own = names_in(record.text)
            listing = resolve_entities([*(one.name for one in listing.entities), *own], record.text, wanted)
        summary = self._summary(page, found, listing, given)
        if len(listing.entities) < 2:
            return [summary, _too_few(listing, found)]
        subsets = [tuple(listing.entities[at] for at in subset) for subset in self.plan(record, listing)]
        relations = (self._relate(page, subset, listing, found, ask) for subset in subsets)
        texts = await settle(relations, apart=True)
        return [summary, *texts]

    def plan(self, record: Document, listing: EntityList) -> list[tuple[int, ...]]:
        """The subsets to write about, as indexes into the entities."""
        unlimited = TRIPLES if self.token_budget is None else comb(len(listing.entities), 3)
        return plan_subsets(
            len(listing.entities),
            seed=seed_of(self.seed, record.id),
            max_pairs=self.max_pairs,
            max_triples=unlimited if self.max_triples is None else self.max_triples,
            texts=None if self.token_budget is None else self.token_budget // self.tokens_per_text,
        )

    def report(self, source: Stored, stored: Stored) -> dict[str, Any]:
        """Entities, planned and kept pairs and triples, coverage and tokens, for the manifest."""
        return coverage_report(source, stored)

    def _extract_line(self, record: Document) -> str:
        return fill(self.extract_prompt, title=title_of(record))

    def _summary(self, page: Page, found: Answer[Extraction], listing: EntityList, given: int) -> Document | BadReply:
        text = found.value.summary.strip()
        try:
            if not text:
                raise BadReply("summary_empty", "the extraction holds entities but no summary")
            self.check_refusal(text)
            self.check_copy(text, page)
        except BadReply as bad:
            return BadReply(bad.reason, f"summary: {bad.detail}", text=text, asks=found.keys)
        counts = {
            "entities": len(listing.entities),
            "entities_from_text": max(0, len(listing.entities) - given),
            "entities_listed": listing.listed,
            "entities_merged": listing.merged,
            "entities_absent": listing.absent,
            "entities_unusable": listing.unusable,
            "entities_capped": listing.capped,
        }
        scores = tuple(Score(name=name, value=float(value)) for name, value in counts.items())
        return page.document.child(
            Document, **page.heading, kind="summary", text=text, made=found.made(), scores=scores
        )

    async def _relate(
        self, page: Page, subset: tuple[Entity, ...], listing: EntityList, found: Answer[Any], ask: Ask
    ) -> Document:
        names = tuple(entity.name for entity in subset)
        last = fill(
            self.relate_prompt, title=title_of(page.document), entities="\n".join(f"- {name}" for name in names)
        )
        question = [system(self.relate_system), user(document_part(page.document), last)]
        try:
            answer = await ask(question, sampling=self.sampling)
        except BadReply as bad:
            raise BadReply(bad.reason, bad.detail, text=bad.text, asks=bad.asks, subjects=names) from None
        text = self.accepted(answer, page, subset, named=self.needs_entities)
        return page.document.child(
            Document,
            **page.heading,
            kind="relation",
            text=text,
            subjects=names,
            made=answer.made(found),
            scores=(Score(name="entities", value=float(len(listing.entities))),),
        )


def _too_few(listing: EntityList, found: Answer[Extraction]) -> BadReply:
    return BadReply(
        "too_few_entities",
        f"{listing.listed} names were listed and {len(listing.entities)} can be used ({listing.absent} are not in the "
        f"document, {listing.unusable} are no names, {listing.merged} are aliases); two are needed",
        text=found.text,
        asks=found.keys,
        subjects=tuple(entity.name for entity in listing.entities),
    )
