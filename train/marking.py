"""What scores make of a question: which option is chosen, and whether an answer is the right one.

Three ways to choose among options, of which one is declared the primary before anything is measured:

* ``per_character`` (the default): log p(option | question) / characters. The sum favours short options; dividing by
  characters and not tokens makes students with different tokenizers comparable. It is `acc_norm` of lm-eval.
* ``sum``: log p(option | question), lm-eval's `acc`.
* ``pmi``: log p(option | question) - log p(option | "Answer:"), which takes away how likely an option is anyway
  (surface form competition, 2104.08315). The second term changes with training too, so it is noisier as a before/after
  measure, and it is reported beside the primary.

>>> normalise("The  Salt-Guild!")
'saltguild'
"""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from train.eval_spec import Choosing
from train.questions import Question

if TYPE_CHECKING:
    from train.scoring import Score

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@dataclass(frozen=True, kw_only=True)
class Marked:
    """One question with what the student made of it; a row of `questions.parquet`."""

    id: str
    document: str
    kind: str
    hops: int
    question: str
    answer: str
    correct: bool
    """By the primary choosing, or the normalised exact match of a short answer."""
    gold_logprob: float
    """Log-likelihood per token of the answer; for a short answer of the best of its aliases."""
    given: str
    """The option chosen by the primary, or the greedy answer."""
    correct_per_character: bool | None = None
    correct_sum: bool | None = None
    correct_pmi: bool | None = None
    contained: bool | None = None
    """A short answer's gold stands somewhere in the greedy answer."""
    chance: float | None = None
    """One in the number of options."""
    option_logprobs: tuple[float, ...] = ()


def mark_choice(
    question: Question,
    scores: Sequence[Score],
    priors: Sequence[Score],
    primary: Choosing,
    said: Sequence[str] = (),
) -> Marked:
    """Choose among the options in all three ways; `said` is what was scored for them, where that is not they."""
    options = question.options
    by: dict[Choosing, list[float]] = {
        "per_character": [score.logprob / len(one) for score, one in zip(scores, said or options, strict=True)],
        "sum": [score.logprob for score in scores],
        "pmi": [score.logprob - prior.logprob for score, prior in zip(scores, priors, strict=True)],
    }
    chosen = {name: options[values.index(max(values))] for name, values in by.items()}
    gold = scores[options.index(question.answer)]
    return _started(question)(
        correct=chosen[primary] == question.answer,
        gold_logprob=gold.logprob / max(gold.tokens, 1),
        given=chosen[primary],
        correct_per_character=chosen["per_character"] == question.answer,
        correct_sum=chosen["sum"] == question.answer,
        correct_pmi=chosen["pmi"] == question.answer,
        chance=1 / len(options),
        option_logprobs=tuple(by["sum"]),
    )


def mark_short(question: Question, scores: Sequence[Score], given: str) -> Marked:
    """Compare a greedy answer with the gold ones; `scores` are those of the gold answers in order."""
    answer = normalise(given)
    golds = [normalise(gold) for gold in question.golds]
    return _started(question)(
        correct=answer in golds,
        gold_logprob=max(score.logprob / max(score.tokens, 1) for score in scores),
        given=given,
        contained=any(gold in answer for gold in golds if gold),
    )


def _started(question: Question) -> functools.partial[Marked]:
    return functools.partial(
        Marked,
        id=question.id,
        document=question.document,
        kind=question.kind,
        hops=question.hops,
        question=question.question,
        answer=question.answer,
    )


def normalise(text: str) -> str:
    """SQuAD's normalisation (1606.05250): case, punctuation, articles and spacing do not count."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())
