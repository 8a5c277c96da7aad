r"""The rules for rows that are tables, records or code put into text.

One row in -> out: ``"| year | pans |\n|---|---|\n| 1702 | 19 |"`` -> kept; ``"{text}"`` -> ``template_leftover``.

In: a text that is there and bounded, refusals, slots, a cut reply or an open fence. Out: every rule about words, lines,
numbers, brackets and repetition: a table is short lines without full stops that say the same again.
"""

from __future__ import annotations

from dataclasses import dataclass

from filters.length import Length
from filters.refusals import Refusals
from filters.rule_sets import RuleSet
from filters.template_leftovers import TemplateLeftovers
from filters.truncated import Truncated
from mashbill.records import Record
from mashbill.step import Filter


@dataclass(frozen=True, kw_only=True)
class TabularProfile(RuleSet, Filter[Record]):
    """Rules for rows that are tables, records or code."""

    length: Length = Length(min_chars=1, max_chars=100_000)
    refusals: Refusals = Refusals()
    leftovers: TemplateLeftovers = TemplateLeftovers()
    truncated: Truncated = Truncated(sentence=False)
