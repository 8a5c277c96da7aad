"""The rules for questions with answers.

One row in -> out: ``question: "What is [NAME]?"`` -> rejected, ``question_template_leftover``; ``"2 + 2?"`` with the
answer ``"4"`` -> kept.

In: a question of at least one word and at most 2,000 characters, an answer that is there; refusals in the answer and
the rationale; slots in each; a context in the answer (a question asked with a passage may speak of it). Out: all that
was made for pages. Gopher's 50 words delete every question; its letter words and FineWeb's stopped lines delete sums
and short answers, C4's bracket deletes code and LaTeX, the ratios of numbers delete mathematics. Truncation is looked
for in the reply alone: ``"4"`` is a whole answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from filters.length import Length
from filters.refusals import Refusals
from filters.rule_sets import RuleSet
from filters.template_leftovers import TemplateLeftovers
from filters.truncated import Truncated
from mashbill.records import QA
from mashbill.step import Filter


@dataclass(frozen=True, kw_only=True)
class QaProfile(RuleSet, Filter[QA]):
    """Rules for questions with answers."""

    question: Length = Length(column="question", min_words=1, max_chars=2000)
    answer: Length = Length(column="answer", min_chars=1, max_chars=4000)
    truncated: Truncated = Truncated(column="answer", sentence=False)
    answer_refusals: Refusals = Refusals(column="answer")
    rationale_refusals: Refusals = Refusals(column="rationale")
    question_leftovers: TemplateLeftovers = TemplateLeftovers(column="question", context=False)
    answer_leftovers: TemplateLeftovers = TemplateLeftovers(column="answer")
    rationale_leftovers: TemplateLeftovers = TemplateLeftovers(column="rationale", context=False)
