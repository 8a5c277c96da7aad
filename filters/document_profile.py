"""The rules for documents of running text: web pages, books, articles, and texts made to be read like them.

One row in -> out: a page of ``"Home | Shop | Login"`` -> rejected, ``length_too_few_words``; an article -> kept.

In: length (a page of under 50 words is a fragment; Gopher), refusals and leftovers (a made text may hold them),
truncation of replies and fences, Gopher's quality and repetition, FineWeb's lines. Out: C4, which wants five sentences
in lines that end in a full stop and drops code, and NeMo Curator's ratios, whose "plain" characters are English alone:
name them beside the profile where the corpus is English prose. Which language is wanted, only the bill knows.
"""

from __future__ import annotations

from dataclasses import dataclass

from filters.fineweb import Fineweb
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from filters.length import Length
from filters.refusals import Refusals
from filters.rule_sets import RuleSet
from filters.template_leftovers import TemplateLeftovers
from filters.truncated import Truncated
from mashbill.records import Document
from mashbill.step import Filter


@dataclass(frozen=True, kw_only=True)
class DocumentProfile(RuleSet, Filter[Document]):
    """Rules for documents of running text."""

    length: Length = Length(min_words=50, max_words=100_000)
    refusals: Refusals = Refusals()
    leftovers: TemplateLeftovers = TemplateLeftovers()
    truncated: Truncated = Truncated(sentence=False)
    """A page may end in a caption or a link: an open sentence is no reason."""
    quality: GopherQuality = GopherQuality()
    repetition: GopherRepetition = GopherRepetition()
    lines: Fineweb = Fineweb()
