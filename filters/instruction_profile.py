"""The rules for instructions with responses.

One row in -> out: ``response: "I'm sorry, but I can't help with that."`` -> rejected, ``response_refusal``.

In: an instruction of at least two words, a response of at least one character (a token is the floor of supervised
tuning), both bounded; refusals and a cut reply or fence in the response; slots in both. An instruction that refuses is
none, but one may quote a refusal, so the text is not looked at for it. Repetition in the response by n-grams alone, and
only gross: a table or a poem says lines again. Out: Gopher's quality, FineWeb and C4, made for pages; a context
is what the row carries itself, so it may be spoken of.
"""

from __future__ import annotations

from dataclasses import dataclass

from filters.gopher_repetition import GopherRepetition
from filters.length import Length
from filters.refusals import Refusals
from filters.rule_sets import RuleSet
from filters.template_leftovers import TemplateLeftovers
from filters.truncated import Truncated
from mashbill.records import Instruction
from mashbill.step import Filter

GROSS = GopherRepetition(
    column="response",
    max_duplicate_lines=1.0,
    max_duplicate_paragraphs=1.0,
    max_duplicate_line_chars=0.5,
    max_duplicate_paragraph_chars=0.5,
    max_top_grams=((4, 0.3),),
    max_duplicate_grams=((10, 0.3),),
)
"""Three times the papers' limits: what is over them is a model in a loop."""


@dataclass(frozen=True, kw_only=True)
class InstructionProfile(RuleSet, Filter[Instruction]):
    """Rules for instructions with responses."""

    instruction: Length = Length(min_words=2, max_chars=8000)
    response: Length = Length(column="response", min_chars=1, max_chars=32_000)
    truncated: Truncated = Truncated(column="response", sentence=False)
    refusals: Refusals = Refusals(column="response")
    leftovers: TemplateLeftovers = TemplateLeftovers(context=False)
    response_leftovers: TemplateLeftovers = TemplateLeftovers(column="response", context=False)
    repetition: GopherRepetition = GROSS
