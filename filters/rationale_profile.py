"""The rules for worked answers.

One row in -> out: a rationale that says one sum forty times -> rejected, ``rationale_gopher_top_4_gram_chars``.

In: a rationale and an answer that are there, refusals, slots, a cut reply, and gross repetition (a model in a loop).
Out: the rules for pages, as for questions; and a floor of words, since one equation may be the whole of a rationale.
What a rationale says is judged by ``trace_form``, ``trace_arithmetic`` and ``trace_leaks``, not here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from filters.gopher_repetition import GopherRepetition
from filters.instruction_profile import GROSS
from filters.length import Length
from filters.refusals import Refusals
from filters.rule_sets import RuleSet
from filters.template_leftovers import TemplateLeftovers
from filters.truncated import Truncated
from mashbill.records import Rationale
from mashbill.step import Filter

_GROSS = dataclasses.replace(GROSS, column="rationale")


@dataclass(frozen=True, kw_only=True)
class RationaleProfile(RuleSet, Filter[Rationale]):
    """Rules for worked answers."""

    rationale: Length = Length(column="rationale", min_chars=1, max_chars=32_000)
    answer: Length = Length(column="answer", min_chars=1, max_chars=4000)
    truncated: Truncated = Truncated(column="rationale", sentence=False)
    refusals: Refusals = Refusals(column="rationale")
    leftovers: TemplateLeftovers = TemplateLeftovers(column="rationale", context=False)
    repetition: GopherRepetition = _GROSS
