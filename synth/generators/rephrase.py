"""Rephrase: the whole document in other words, in three styles; the baseline that EntiGraph is measured against.

A document -> ``copies`` texts in each style::

    {"kind": "rephrase", "title": "The Salt Guild", "subjects": ["easy"], "text": "The Salt Guild is a group of …", …}

The baseline of arXiv 2409.07431, section 4: three fixed prompts at temperature 1.0, sampled again and again. Its
gains flatten early (the authors stopped at 38M tokens), since what varies is the wording and never what is told beside
what. The raw baseline needs no step: the source documents are the arm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mashbill.ask import Ask
from mashbill.engine import Sampling, system, user
from mashbill.errors import BadReply
from mashbill.records import Document
from mashbill.step import Generator, settle
from synth.acceptance import LONG, Acceptance, Page
from synth.templates import check_places, document_part, fill, title_of

STYLES = ("easy", "medium", "hard")


@dataclass(frozen=True, kw_only=True)
class Rephrase(Acceptance, Generator[Document, Document]):
    """Writes a document again in an easy, a medium and a scholarly style."""

    system_prompt: str = (
        "You are a careful writer who rewrites texts. Keep every fact and every name of the text, add nothing to it, "
        "and refer to it by its title and author. Write only the new text."
    )
    easy: str = "Rewrite {title} in easy words and short sentences that a young child understands."
    """Follows the document; may use {title}, like the other two."""
    medium: str = "Rewrite {title} in clear and correct English, in the even style of an encyclopedia."
    hard: str = "Rewrite {title} in terse and learned language that only a scholar of the subject would use."
    styles: tuple[str, ...] = STYLES
    """The styles to write, of easy, medium and hard."""
    copies: int = 1
    """Texts of each style for one document: raise it until the corpus has the tokens that the arms must share."""
    sampling: Sampling = LONG

    def __post_init__(self) -> None:
        """Refuse fields that could never make anything."""
        super().__post_init__()
        unknown = [style for style in self.styles if style not in STYLES]
        if unknown or not self.styles or len(set(self.styles)) < len(self.styles):
            raise ValueError(f"styles is {list(self.styles)}; take one or more of {', '.join(STYLES)}, each once")
        if self.copies < 1:
            raise ValueError(f"copies is {self.copies}; it must be 1 or more")
        for style in STYLES:
            check_places(style, getattr(self, style), {"title"})

    async def make(self, record: Document, ask: Ask) -> Iterable[Document | BadReply]:
        """Every style of the first round, then of the second, and so on: fewer copies are a prefix of more."""
        if not record.text.strip():
            raise BadReply("empty_document", "the document holds no text, so there is nothing to rephrase")
        page = Page.of(record)
        rounds = [(draw, style) for draw in range(self.copies) for style in self.styles]
        texts = await settle((self._rephrase(page, style, draw, ask) for draw, style in rounds), apart=True)
        return _without_repeats(texts)

    async def _rephrase(self, page: Page, style: str, draw: int, ask: Ask) -> Document:
        document = page.document
        last = fill(getattr(self, style), title=title_of(document))
        try:
            answer = await ask(
                [system(self.system_prompt), user(document_part(document), last)], sampling=self.sampling, draw=draw
            )
            text = self.accepted(answer, page)
        except BadReply as bad:
            raise BadReply(bad.reason, bad.detail, text=bad.text, asks=bad.asks, subjects=(style,)) from None
        return document.child(
            Document,
            **page.heading,
            kind="rephrase",
            text=text,
            subjects=(style,),
            made=answer.made(),
        )


def _without_repeats(texts: Iterable[Document | BadReply]) -> list[Document | BadReply]:
    """Reject a text drawn before: the same content would be a second row with one id."""
    seen: set[str] = set()
    unique: list[Document | BadReply] = []
    for text in texts:
        if isinstance(text, Document) and text.id in seen:
            again = BadReply(
                "repeats_another",
                f"row {text.id} has the same text",
                text=text.text,
                asks=text.made.asks,
                subjects=text.subjects,
            )
            unique.append(again)
        else:
            unique.append(text)
            if isinstance(text, Document):
                seen.add(text.id)
    return unique
