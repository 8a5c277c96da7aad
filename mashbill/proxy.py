"""A proxy: a small model over embeddings that says of a text what a judge would have said, thousands of times faster.

Judged texts in, a model that labels others out, with how often it agrees with the judge where it saw no label:

>>> judged = [Judged(text=f"salt {at}", label="yes", source_id=f"s{at}") for at in range(20)]
>>> judged += [Judged(text=f"lamp {at}", label="no", source_id=f"l{at}") for at in range(20)]
>>> proxy = fit_proxy(judged)
>>> proxy.label(["salt 99", "lamp 99"]), proxy.report.accuracy
(['yes', 'no'], 1.0)

For two labels, for many, and for levels that have an order (`levels`: marks from 1 to 5). A few thousand judged rows
are enough; the judge is then asked about the doubtful ones alone, the *escalation band* (`Proxy.doubtful`), in the
manner of Falconer (arXiv 2510.01427). What it reports is of rows of other source documents than it was fitted on. How
strongly weights are held down, and the temperature that makes its probabilities honest (Guo et al., arXiv 1706.04599),
come from folds of the fitted rows, never from the held-out ones.
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mashbill.embedding import DEFAULT, VectorEmbedder, load_embedder
from mashbill.errors import ProxyError
from mashbill.fingerprint import content_id
from mashbill.logistic import Logistic, fit_logistic, fit_temperature, probabilities_of
from mashbill.proxy_report import ProxyReport, reported

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

VERSION = 1
"""Raised when the same judged rows give another proxy."""
FOLDS = 4
FOLD_STEPS = 60
"""Iterations of a fit on folds: enough to see which strength is best, a tenth of the time where nothing is learnt."""
STRENGTHS = (1e-2, 1e-3, 1e-4, 1e-5)
"""How strongly weights are held down, from strong to weak; the best on the folds is taken. Vectors have length one, so
useful weights are large."""
CHARACTERS = 20_000
"""Characters of a text that are looked at: a judge reads no more, and a text of 50 MB must not take gigabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A text, what was said of it, and the source document it goes back to."""

    text: str
    label: str
    source_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A fitted proxy; make one with `fit_proxy`, keep it with `mashbill.proxy_file`."""

    labels: tuple[str, ...]
    """What it can say; the levels from low to high where they have an order."""
    model: Logistic
    embedder: str
    """The embedder's name."""
    embedder_identity: str
    data: str
    """Digest of the judged rows, in whatever order they came."""
    report: ProxyReport
    judged: Floats
    """Its probabilities of the rows it was fitted on: where a selection that covers them starts (`k_centre`)."""

    @property
    def identity(self) -> str:
        """All that decides what it says: the embedder, the judged rows, and this module's version."""
        order = "levels" if self.model.ordinal else "labels"
        return f"proxy/{self.embedder_identity}/{len(self.labels)}-{order}@{self.data[:16]}.{VERSION}"

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """One row for each text, in the order of `labels`, each summing to 1."""
        return self.of_vectors(vectors_of(texts, self.embedder))

    def of_vectors(self, vectors: NDArray[np.float32]) -> Floats:
        """The same of texts that are embedded already; rounded, so that the last bits of a sum decide nothing."""
        return self.model.probabilities(vectors).round(6)

    def label(self, texts: Sequence[str]) -> list[str]:
        """What it says of each text: the likeliest label."""
        return [self.labels[at] for at in self.probabilities(texts).argmax(axis=1)] if len(texts) else []

    def at_least(self, probabilities: Floats, level: str) -> Floats:
        """The probability of this level or a higher one.

        Raises:
            ValueError: when the labels have no order, or the level is none of them.
        """
        if not self.model.ordinal or level not in self.labels:
            raise ValueError(f"{level!r} is no level of this proxy; its labels are {', '.join(self.labels)}")
        found: Floats = probabilities[:, self.labels.index(level) :].sum(axis=1)
        return found

    @staticmethod
    def doubtful(probabilities: Floats, sure: float) -> NDArray[np.bool_]:
        """The rows to ask the judge about: those whose likeliest label has less than this probability."""
        found: NDArray[np.bool_] = probabilities.max(axis=1) < sure
        return found


def fit_proxy(
    judged: Sequence[Judged],
    embedder: str = DEFAULT,
    *,
    levels: Sequence[str] = (),
    held_out: float = 0.2,
    seed: int = 0,
    vectors: NDArray[np.float32] | None = None,
) -> Proxy:
    """Fit a proxy on judged rows; the same rows give the same proxy, in whatever order they come.

    Args:
        judged: the rows; those of one source document stay together.
        embedder: an embedder's name (`mashbill.embedding`).
        levels: the labels from low to high, where they have an order; empty: they have none.
        held_out: the share of rows that is kept from fitting and that agreement is measured on, 0.2 as is common.
        seed: which documents these are.
        vectors: the texts' vectors, where the caller has them already.

    Raises:
        ProxyError: when the rows are of fewer than two source documents, have fewer than two labels, or a label that
            is no level.
    """
    order = sorted(range(len(judged)), key=lambda at: (judged[at].source_id, judged[at].text, judged[at].label))
    rows = [judged[at] for at in order]
    _usable(rows, levels, held_out)
    out = _held_out(rows, held_out, seed)
    kept = [row.label for row, away in zip(rows, out, strict=True) if not away]
    labels = tuple(level for level in levels if level in kept) if levels else tuple(sorted(set(kept)))
    if len(labels) < 2:
        raise ProxyError(
            f"without the {out.sum()} held-out rows all {len(kept)} judgements say {kept[0]!r}; judge more rows, or "
            "lower held_out"
        )
    known = vectors_of([row.text for row in rows], embedder) if vectors is None else vectors[order]
    codes = np.array([labels.index(row.label) if row.label in labels else -1 for row in rows], dtype=np.int64)
    sources = [row.source_id for row, away in zip(rows, out, strict=True) if not away]
    model, strength = _chosen(known[~out], codes[~out], _folds(sources, seed), len(labels), bool(levels))
    found = model.probabilities(known[out]).round(6)
    return Proxy(
        labels=labels,
        model=model,
        embedder=embedder,
        embedder_identity=_embedder(embedder).identity,
        data=content_id([(row.text, row.label, row.source_id) for row in rows], list(levels), held_out, seed),
        report=reported(found, codes[out], labels, fitted=len(kept), strength=strength, ordinal=bool(levels)),
        judged=model.probabilities(known[~out]).round(4),
    )


def vectors_of(texts: Sequence[str], embedder: str) -> NDArray[np.float32]:
    """The vectors of texts, of each its first `CHARACTERS`."""
    return _embedder(embedder).embed([text[:CHARACTERS] for text in texts])


@functools.cache
def _embedder(name: str) -> VectorEmbedder:
    # Kept: to find one reads the files of all.
    return load_embedder(name)


def _usable(rows: Sequence[Judged], levels: Sequence[str], held_out: float) -> None:
    if not 0 < held_out < 1:
        raise ProxyError(f"held_out is {held_out}; it is a share of the judged rows, between 0 and 1")
    said = Counter(row.label for row in rows)
    if strange := [label for label in said if levels and label not in levels]:
        raise ProxyError(f"a row is judged {strange[0]!r}, which is none of the levels {', '.join(levels)}")
    if len(said) < 2:
        raise ProxyError(
            f"{len(rows)} judged rows have {len(said)} label{'' if len(said) == 1 else 's'} "
            f"({', '.join(said) or 'none'}), and two are wanted: judge more rows, or ask what has several answers"
        )
    if len({row.source_id for row in rows}) < 2:
        raise ProxyError(
            "all judged rows go back to one source document, so none can be held out; judge rows of two or more"
        )


def _held_out(rows: Sequence[Judged], share: float, seed: int) -> NDArray[np.bool_]:
    """Which rows are held out: whole source documents, in an order of their own, until the share is reached."""
    sizes = Counter(row.source_id for row in rows)
    room, taken = share * len(rows), set[str]()
    for source in sorted(sizes, key=lambda one: _drawn("held out", one, seed)):
        if sizes[source] <= room:
            taken.add(source)
            room -= sizes[source]
    if not taken:  # every document is larger than the share
        taken = {min(sizes, key=lambda one: (sizes[one], one))}
    return np.array([row.source_id in taken for row in rows])


def _folds(sources: Sequence[str], seed: int) -> Ints:
    """The fold of each row: whole documents, the larger ones first, each to the fold that has the fewest rows."""
    sizes, filled, fold = Counter(sources), [0] * FOLDS, dict[str, int]()
    for source in sorted(sizes, key=lambda one: (-sizes[one], _drawn("fold", one, seed))):
        fold[source] = filled.index(min(filled))
        filled[fold[source]] += sizes[source]
    return np.array([fold[source] for source in sources], dtype=np.int64)


def _drawn(what: str, source: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{what}/{seed}/{source}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _chosen(
    vectors: NDArray[np.float32], codes: Ints, folds: Ints, labels: int, ordinal: bool
) -> tuple[Logistic, float]:
    """The model of the strength that says the rows of a fold best when fitted on the others, made honest by them."""
    rows, best = vectors.astype(np.float64), (np.inf, STRENGTHS[0], 1.0)
    if len(set(folds.tolist())) > 1:
        for strength in STRENGTHS:
            scores = _out_of_fold(rows, codes, folds, labels, ordinal, strength)
            temperature = fit_temperature(scores, codes, ordinal=ordinal)
            chosen = probabilities_of(scores / temperature, ordinal)[np.arange(len(codes)), codes]
            best = min(best, (float(-np.log(np.maximum(chosen, 1e-12)).mean()), strength, temperature))
    _, strength, temperature = best
    model = fit_logistic(rows, codes, labels, ordinal=ordinal, strength=strength)
    return Logistic(model.weights, model.offsets, ordinal, temperature), strength


def _out_of_fold(rows: Floats, codes: Ints, folds: Ints, labels: int, ordinal: bool, strength: float) -> Floats:
    scores = np.zeros((len(rows), labels - 1 if ordinal else labels))
    for fold in sorted(set(folds.tolist())):
        inside = folds == fold
        model = fit_logistic(
            rows[~inside], codes[~inside], labels, ordinal=ordinal, strength=strength, steps=FOLD_STEPS
        )
        scores[inside] = model.scores(rows[inside])
    return scores
