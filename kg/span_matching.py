"""How good an extraction is: flexible matching of texts, and the best pairing of triples.

Predicted ``(Ora Venn, founded, the guild of salt)``, gold ``(Ora Venn, founded, the Salt Guild)`` -> a match, by the
shares of words they have in common; predicted ``(King Arthur, …)``, who is not in the text -> similarity 0.

Written from the description of FTS-OBP (arXiv 2511.03034), not from its code. Each part of a triple is compared by the
F measure of ROUGE-L over words, with three exceptions: two parts that are empty or differ in stop words alone score 1;
with no word in common, 0; and a predicted part that the text does not hold, 0 (a hallucination). The parts' mean,
weighted, is the similarity of two triples. Triples are then paired so that the sum of similarities is largest
(Hungarian method), and a pair counts where the similarity is at least 0.7 and each part's is at least a threshold that
grows with the gold part's length: one word wrong of two is half of it, one of eight is little.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kg.resolve_names import contains_name, word_track, words_of
from mashbill.words import singular

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mashbill.records import Edge, Triple

OVERALL = 0.7
"""The least similarity of a pair that counts; the paper's."""
FULL = ((2, 0.5), (4, 0.6))
"""Words of the gold part, and the least similarity of that part; the paper's, as is 0.7 for longer ones."""
LONGER = 0.7
_STOP = "a an the of to in on at by for from with and or is was were are be been it its this that as has had have"
STOP_WORDS = frozenset(_STOP.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much head, relation and tail count; ours: the ends carry the fact, relations have many wordings."""

    head: float = 0.4
    relation: float = 0.2
    tail: float = 0.4

    def __post_init__(self) -> None:
        parts = (self.head, self.relation, self.tail)
        if min(parts) < 0 or not sum(parts) > 0:
            raise ValueError(f"weights are {parts}; they must be 0 or more, and not all 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Precision, recall and F1 of one or more extractions, with what they are made of."""

    matched: int
    predicted: int
    gold: int
    hallucinated: int = 0
    """Predicted triples with a head or tail that the text does not hold."""
    similarity: float = 0.0
    """The sum over the best pairing: what the matches would be if each counted by its likeness."""

    @property
    def precision(self) -> float:
        """The share of predicted triples that match; 1 when there is none to be wrong."""
        return self.matched / self.predicted if self.predicted else 1.0

    @property
    def recall(self) -> float:
        """The share of gold triples that were found; 1 when there is none to find."""
        return self.matched / self.gold if self.gold else 1.0

    @property
    def f1(self) -> float:
        """The harmonic mean of the two."""
        both = self.predicted + self.gold
        return 2 * self.matched / both if both else 1.0

    def __add__(self, other: Agreement) -> Agreement:
        """Of several documents together (micro average)."""
        return Agreement(
            matched=self.matched + other.matched,
            predicted=self.predicted + other.predicted,
            gold=self.gold + other.gold,
            hallucinated=self.hallucinated + other.hallucinated,
            similarity=self.similarity + other.similarity,
        )


def text_similarity(predicted: str, gold: str, text: str | None = None) -> float:
    """How like two short texts are, from 0 to 1; with `text`, 0 for a predicted one that it does not hold.

    >>> text_similarity("the Salt Guild", "Salt Guild"), text_similarity("Ora", "Perrick")
    (1.0, 0.0)
    >>> round(text_similarity("guild of salt rakers", "the salt rakers' guild"), 2)
    0.5
    >>> text_similarity("King Arthur", "King Arthur", text="Ora Venn founded the guild.")
    0.0
    """
    if text is not None and _holds_word(predicted) and not _held(predicted, text):
        return 0.0
    if not _holds_word(predicted) and not _holds_word(gold):
        return 1.0 if predicted.split() == gold.split() else 0.0  # signs: both empty, or the same
    return _likeness(_words(predicted), _words(gold))


def triple_similarity(
    predicted: Triple | Edge, gold: Triple | Edge, text: str | None = None, weights: Weights | None = None
) -> tuple[float, tuple[float, float, float]]:
    """The similarity of two triples, and of their heads, relations and tails; relations need not stand in the text."""
    weights = weights or Weights()
    parts = (
        text_similarity(predicted.head, gold.head, text),
        text_similarity(_spaced(predicted.relation), _spaced(gold.relation)),
        text_similarity(predicted.tail, gold.tail, text),
    )
    shares = np.array([weights.head, weights.relation, weights.tail])
    whole = float(np.clip(np.dot(parts, shares / shares.sum()), 0.0, 1.0))
    return whole, parts


def compare_triples(
    predicted: Sequence[Triple | Edge],
    gold: Sequence[Triple | Edge],
    text: str | None = None,
    weights: Weights | None = None,
) -> Agreement:
    """How far the triples predicted of one text agree with the gold ones, under the pairing that is best for them.

    The order of either list makes no difference. Cost: one comparison for each pair, and the cube of the longer list
    for the pairing; meant for documents, not for whole graphs.
    """
    unseen = 0 if text is None else sum(not (_held(one.head, text) and _held(one.tail, text)) for one in predicted)
    if not predicted or not gold:
        return Agreement(matched=0, predicted=len(predicted), gold=len(gold), hallucinated=unseen)
    whole = np.zeros((len(predicted), len(gold)))
    good = np.zeros_like(whole, dtype=bool)
    for row, one in enumerate(predicted):
        for column, other in enumerate(gold):
            whole[row, column], parts = triple_similarity(one, other, text, weights)
            good[row, column] = whole[row, column] >= OVERALL and _each_enough(parts, other)
    rows, columns = _best_pairs(whole, good)
    return Agreement(
        matched=int(good[rows, columns].sum()),
        predicted=len(predicted),
        gold=len(gold),
        hallucinated=unseen,
        similarity=math.fsum(whole[rows, columns]),
    )


def _best_pairs(whole: NDArray[np.float64], good: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    from scipy.optimize import linear_sum_assignment

    # Of pairings equally good the one with the most matches; without it the order of the lists would decide.
    smallest = 1e-9
    rows, columns = linear_sum_assignment(whole + smallest * good, maximize=True)
    return rows, columns


def least_similarity(gold: str) -> float:
    """What a part must reach to count, by the words of the gold one.

    >>> [least_similarity(text) for text in ("Ora Venn", "the old salt pans", "the chronicle of the bell founders")]
    [0.5, 0.6, 0.7]
    """
    length = len(words_of(gold))
    return next((least for most, least in FULL if length <= most), LONGER)


def _each_enough(parts: tuple[float, float, float], gold: Triple | Edge) -> bool:
    texts = (gold.head, _spaced(gold.relation), gold.tail)
    return all(part >= least_similarity(text) for part, text in zip(parts, texts, strict=True))


def _spaced(relation: str) -> str:
    return relation.replace("_", " ")


def _words(text: str) -> tuple[str, ...]:
    return tuple(singular(word) for word in words_of(text))


def _holds_word(text: str) -> bool:
    return bool(words_of(text))


def _held(name: str, text: str) -> bool:
    return not _holds_word(name) or contains_name(_track(text), name)


@functools.lru_cache(maxsize=8)
def _track(text: str) -> str:
    return word_track(text)


def _likeness(predicted: tuple[str, ...], gold: tuple[str, ...]) -> float:
    if not predicted or not gold:
        return 1.0 if predicted == gold else 0.0
    if not set(predicted) & set(gold):
        return 0.0
    bare = [tuple(word for word in words if word not in STOP_WORDS) for words in (predicted, gold)]
    if bare[0] and bare[0] == bare[1]:
        return 1.0
    common = _common(predicted, gold)
    return 2 * common / (len(predicted) + len(gold))


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """The length of the longest sequence of words that both have in order."""
    row = [0] * (len(other) + 1)
    for word in one:
        diagonal = 0
        for at, against in enumerate(other, start=1):
            diagonal, row[at] = row[at], diagonal + 1 if word == against else max(row[at], row[at - 1])
    return row[-1]
