"""Whether a text that a model wrote about a document may enter the corpus.

A reply that ends in the middle of a sentence -> reject ``truncated``; one that opens with ``I'm sorry, but`` -> reject
``refusal``; anything else that is good -> its text.

The EntiGraph code (arXiv 2409.07431) puts every reply into the corpus: refusals, "the entity does not appear in the
text", texts that say nothing of where they come from. A closed-book student learns from the text alone, so it must
name its source and its subjects, and must say more than the document said already.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mashbill.ask import Answer
from mashbill.engine import Sampling
from mashbill.errors import BadReply
from mashbill.records import Document
from mashbill.step import Step
from mashbill.words import copied_share, folded_track, grams, track, words
from synth.entities import Entity, key_of

COPY_WORDS = 8
"""Words in a run that counts as copied: shorter ones occur by chance in faithful paraphrase."""

REFUSALS = (
    r"^\W*(?:i'?m|i am) (?:very |so )?sorry\b",
    r"^\W*(?:sorry|unfortunately),? (?:but )?i\b",
    r"^\W*i(?: am|'m)? (?:can ?not|can't|unable|not able|won't|will not)\b",
    r"\bas an ai\b",
    r"\b(?:does|do) not (?:appear|occur)\b[^.]{0,40}\b(?:text|article|document|passage|story)\b",
    r"\b(?:is|are) (?:not|never) mentioned in (?:the|this) (?:\w+ )?(?:text|article|document|passage|story)\b",
)
"""Searched in the beginning of a text, in lower case and with straight apostrophes."""

_BEGINNING = 300
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]]*(?=\s|$)")
_SUBTITLE = re.compile(r"\s*[:;(\[–—]|\s-\s")


LONG = Sampling(max_tokens=2048)
"""Temperature 1.0, the authors'; they set no limit, and one of their texts is some 800 tokens."""


@dataclass(frozen=True, slots=True)
class Page:
    """A document with what every judgement about it needs, computed once."""

    document: Document
    grams: frozenset[tuple[str, ...]]
    titles: tuple[str, ...]
    """Tracks of the title and of the title without its subtitle; empty for a document without a title."""

    @classmethod
    def of(cls, document: Document) -> Page:
        """Prepare a document."""
        names = (document.title, _SUBTITLE.split(document.title, maxsplit=1)[0])
        tracks = (track(key_of(name)) for name in names)
        return cls(
            document,
            frozenset(grams(words(document.text), COPY_WORDS)),
            tuple(dict.fromkeys(found for found in tracks if found)),
        )

    @property
    def heading(self) -> dict[str, str]:
        """The fields that a text about the document takes over from it."""
        return {"title": self.document.title, "author": self.document.author, "year": self.document.year}


@dataclass(frozen=True, kw_only=True)
class Acceptance(Step):
    """Fields and judgement shared by generators that write about a document."""

    min_words: int = 100
    """Shorter texts are lists or excuses; the paper's are several hundred words."""
    truncated: Literal["reject", "trim"] = "reject"
    """A text cut by `max_tokens`: rejected, or cut back to its last full sentence."""
    needs_title: bool = True
    """Whether a text must name the document's title."""
    max_copied: float = 0.5
    """Reject a text with more than this share of its words in runs of eight that the document has."""
    refusals: tuple[str, ...] = REFUSALS
    """Regular expressions that give a refusal away."""

    def __post_init__(self) -> None:
        """Refuse values that no text could meet or that cannot be read."""
        if self.min_words < 0:
            raise ValueError(f"min_words is {self.min_words}; it must be 0 or more")
        if not 0 <= self.max_copied <= 1:
            raise ValueError(f"max_copied is {self.max_copied}; it is a share, from 0 to 1")
        for pattern in self.refusals:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"refusals: {pattern!r} is not a regular expression: {error}") from error

    def accepted(self, answer: Answer[Any], page: Page, entities: Sequence[Entity] = (), *, named: bool = True) -> str:
        """The text of a reply, fit for the corpus; with `named`, one that names each of its entities.

        Raises:
            BadReply: with the reason, the text, and the names of the entities it was to be about.
        """
        try:
            text = self._whole(answer.text.strip(), answer.finish_reason)
            self.check_refusal(text)
            self._check_content(text, page, entities if named else ())
        except BadReply as bad:
            names = tuple(entity.name for entity in entities)
            raise BadReply(bad.reason, bad.detail, text=answer.text, asks=answer.keys, subjects=names) from None
        return text

    def check_refusal(self, text: str) -> None:
        """Reject a text that declines to write or says that there is nothing to write about."""
        beginning = text[:_BEGINNING].lower().replace("’", "'")
        for pattern in self.refusals:
            found = re.search(pattern, beginning)
            if found:
                raise BadReply("refusal", f"it says {found[0]!r}")

    def check_copy(self, text: str, page: Page) -> None:
        """Reject a text that mostly repeats the document."""
        share = copied_share(words(text), page.grams, COPY_WORDS)
        if share > self.max_copied:
            raise BadReply("copies_document", f"{share:.0%} of it stands in the document, {self.max_copied:.0%} may")

    def _whole(self, text: str, finish_reason: str) -> str:
        if finish_reason == "content_filter":
            raise BadReply("filtered", "the provider's content filter ended it")
        if finish_reason != "length":
            return text
        ends = [found.end() for found in _SENTENCE_END.finditer(text)]
        if self.truncated == "trim" and ends:
            return text[: ends[-1]]
        raise BadReply("truncated", "max_tokens cut it off; raise it in the sampling, or set truncated: trim")

    def _check_content(self, text: str, page: Page, entities: Sequence[Entity]) -> None:
        count = len(words(text))
        if count < self.min_words:
            raise BadReply("too_short", f"{count} words, at least {self.min_words} wanted")
        folded = folded_track(text)
        if self.needs_title and page.titles and not any(title in folded for title in page.titles):
            raise BadReply("title_missing", f"it never names {page.document.title!r}")
        for entity in entities:
            if not entity.mentioned_in(folded):
                raise BadReply("entity_missing", f"it never names {entity.name!r}")
        self.check_copy(text, page)
