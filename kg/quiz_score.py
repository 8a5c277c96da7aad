r"""How good an answer to a quiz is: right or wrong, and for open questions precision and recall against the facts.

>>> facts = ["Salt Guild taxes salt.", "Salt Guild taxes tar."]
>>> score_open("The Salt Guild taxes salt.\nThe Salt Guild owns the sea.", facts)
PrecisionRecall(precision=0.5, recall=0.5, f1=0.5)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from mashbill.embedding import DEFAULT, load_embedder
from mashbill.qa_text import FINAL, letter_of, said_letter
from mashbill.records import QA

SAME = 0.9
"""Two sentences at least this alike say one fact, by letters; ours: another object falls below it in short facts."""
_LEAD = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")
_SMALL = frozenset({"the", "a", "an"})

Likeness = Callable[[str, str], float]


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """How much of what was said is true, how much of what is true was said, and their harmonic mean."""

    precision: float
    recall: float
    f1: float


def score_open(
    reply: str, facts: Sequence[str], likeness: Likeness | None = None, same: float = SAME
) -> PrecisionRecall:
    """Precision and recall of the sentences of a reply, each fact matched by one sentence at most.

    `likeness` gives how alike two sentences are, from 0 to 1; without it they are compared by their words, so that a
    fact with another object is another fact. A reply without a sentence has precision 0.
    """
    said = statements(reply)
    compare = likeness or alike
    pairs = sorted(
        ((compare(one, fact), at, place) for at, one in enumerate(said) for place, fact in enumerate(facts)),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    used, met = set[int](), set[int]()
    for value, at, place in pairs:
        if value >= same and at not in used and place not in met:
            used.add(at)
            met.add(place)
    precision = len(used) / len(said) if said else 0.0
    recall = len(met) / len(facts) if facts else 0.0
    both = precision + recall
    return PrecisionRecall(precision, recall, 2 * precision * recall / both if both else 0.0)


def embedded_likeness(name: str = DEFAULT) -> Likeness:
    """Likeness by the cosine of embeddings, for replies in other words; set `same` for the embedder you take."""
    embedder = load_embedder(name)

    def compare(one: str, other: str) -> float:
        first, second = embedder.embed([one, other])
        return float(first @ second)

    return compare


def statements(reply: str) -> list[str]:
    r"""The sentences of a reply, each once, without bullets and numbers.

    >>> statements("1. Ora leads the guild. The guild taxes salt.\n- Ora leads the guild.")
    ['Ora leads the guild.', 'The guild taxes salt.']
    """
    found = [
        _LEAD.sub("", sentence).strip()
        for line in reply.splitlines()
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", _LEAD.sub("", line))
    ]
    return list(dict.fromkeys(one for one in found if re.search(r"\w", one)))


def alike(one: str, other: str) -> float:
    """Likeness of two sentences by their words in order, 1.0 for the same but for articles, case and points."""
    words = [[word for word in re.findall(r"\w+", text.casefold()) if word not in _SMALL] for text in (one, other)]
    if words[0] == words[1]:
        return 1.0
    return min(SequenceMatcher(None, words[0], words[1], autojunk=False).ratio(), SAME - 0.01)


def is_right(reply: str, qa: QA) -> bool:
    """Whether a reply answers a question that has right answers: by its letter or its text, or one of the accepted.

    An open question has no right answer; use `score_open`.

    Raises:
        ValueError: for an open question.
    """
    if qa.kind == "open":
        raise ValueError("an open question is scored by precision and recall; use score_open")
    said = reply.split(FINAL)[-1].strip() if FINAL in reply else reply.strip()
    if qa.options:
        right = letter_of(qa.options.index(qa.answer))
        letter = said_letter(reply, len(qa.options))
        texts = [option for option in qa.options if alike(said, option) == 1.0]
        return texts == [qa.answer] if texts else letter == right
    return any(alike(said, answer) == 1.0 for answer in (qa.answer, *qa.accepted))
