"""Labels on the questions that no annotator saw, learnt from those that it labelled.

Of 5,000 questions `annotate` with ``share: 0.1`` labelled 500; this fits three proxies over embeddings on them
(discipline, difficulty, grade) and labels the other 4,500 in seconds::

    {"question": "A train …", "discipline": ""}  ->  {"question": "A train …", "discipline": "mathematics/arithmetic",
        "is_stem": True, "difficulty": 2, "grade": "middle", "scores": [{"name": "discipline_sure", "value": 0.83},
        {"name": "difficulty_sure", "value": 0.47}, {"name": "grade_sure", "value": 0.52}], …}

How often each proxy agrees with the annotator, on questions of sources that it was not fitted on, is in the manifest's
notes, beside what always saying the commonest label would have got. Rows that a proxy labelled are those with these
scores. Question type and knowledge points are not guessed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mashbill.embedding import DEFAULT
from mashbill.errors import BadReply, BillError
from mashbill.generator_run import reject_of
from mashbill.proxy import Judged, Proxy, fit_proxy, vectors_of
from mashbill.qa_text import stem_and_options
from mashbill.records import QA, Reject, from_table, to_table, with_scores
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored
from synth.annotation import GRADES, LEVELS

LABELS: Mapping[str, tuple[str, ...]] = {
    "discipline": (),
    "difficulty": tuple(str(level) for level in LEVELS),
    "grade": GRADES,
}
"""What is learnt, with its levels from low to high where they have an order."""


@dataclass(frozen=True, kw_only=True)
class AnnotateRest(DatasetStep[QA, QA]):
    """Labels questions that have no discipline by a small model fitted on those that have one."""

    embedder: str = DEFAULT
    """By name (`mashbill.embedding`); ``minilm`` knows meanings and not only letters."""
    least_sure: float = 0.0
    """A question whose discipline is less probable than this is rejected, `unsure_label`; 0 labels all."""
    held_out: float = 0.2
    """The share of the labelled questions that agreement is measured on."""
    seed: int = 42

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        if not 0 <= self.least_sure < 1 or not 0 < self.held_out < 1:
            raise ValueError(
                f"least_sure is {self.least_sure}, from 0 to below 1, and held_out {self.held_out}, between 0 and 1"
            )

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        learnt = self._learnt(parts)
        for table in parts:
            rows = from_table(table, QA)
            guesses = iter(learnt.said([one for one in rows if not one.discipline]) if learnt else ())
            kept, rejects = list[QA](), list[Reject]()
            for row in rows:
                if row.discipline:
                    kept.append(row)
                    continue
                guess = next(guesses)
                if guess["discipline"][1] < self.least_sure:
                    rejects.append(reject_of(_unsure(guess["discipline"]), row, self.name))
                else:
                    kept.append(self._labelled(row, guess, learnt))
            yield PartOutput(to_table(kept, QA), to_table(rejects, Reject))

    def report(self, source: Stored, stored: Stored) -> dict[str, Any]:
        """How often each proxy agrees with the annotator where it saw no label."""
        del stored
        learnt = self._learnt(source)
        if learnt is None:
            return {"proxies": {}}
        return {"proxies": {name: one.report() for name, one in learnt.proxies.items()}}

    def _learnt(self, parts: Parts) -> _Learnt | None:
        """What was learnt; None where no question is left to be labelled.

        Raises:
            BillError: when no question has labels.
        """
        judged, left = list[_Seen](), 0
        for index in range(len(parts)):
            rows = from_table(parts.table(index), QA)
            judged += [_Seen.of(one) for one in rows if one.discipline]
            left += sum(not one.discipline for one in rows)
        if not left:
            return None
        if not judged:
            raise BillError(f"none of {left:,} questions has labels to learn from; put `annotate` before")
        return _fitted(tuple(judged), self.embedder, self.held_out, self.seed)

    def _labelled(self, row: QA, guess: Mapping[str, tuple[str, float]], learnt: _Learnt | None) -> QA:
        assert learnt is not None
        discipline, difficulty, grade = (guess[name][0] for name in LABELS)
        labelled = dataclasses.replace(
            row,
            parents=(row.id,),
            discipline=discipline,
            is_stem=learnt.stem[discipline],
            difficulty=int(difficulty) if difficulty else None,
            grade=grade,
        )
        return with_scores(labelled.identified(), {f"{name}_sure": guess[name][1] for name in LABELS})


@dataclass(frozen=True, slots=True)
class _Seen:
    """A labelled question, as far as it is learnt from."""

    text: str
    source_id: str
    is_stem: bool | None
    labels: tuple[str, ...]
    """In the order of `LABELS`; empty where there is none."""

    @classmethod
    def of(cls, qa: QA) -> _Seen:
        labels = (qa.discipline, "" if qa.difficulty is None else str(qa.difficulty), qa.grade)
        return cls(text_of(qa), qa.source_id, qa.is_stem, labels)


@dataclass(frozen=True, slots=True)
class _One:
    """What says one of the labels: a proxy, or the only label that there is."""

    proxy: Proxy | None
    only: str

    def said(self, vectors: Any) -> list[tuple[str, float]]:
        """For each row the label and how probable it is."""
        if self.proxy is None:
            return [(self.only, 1.0)] * len(vectors)
        found = self.proxy.of_vectors(vectors)
        best = found.argmax(axis=1)
        return [(self.proxy.labels[at], float(row[at])) for at, row in zip(best.tolist(), found, strict=True)]

    def report(self) -> dict[str, Any]:
        """For the manifest."""
        if self.proxy is None:
            return {"only": self.only}
        return {"identity": self.proxy.identity, **dataclasses.asdict(self.proxy.report)}


@dataclass(frozen=True)
class _Learnt:
    embedder: str
    proxies: Mapping[str, _One]
    stem: Mapping[str, bool | None]

    def said(self, rows: Sequence[QA]) -> list[dict[str, tuple[str, float]]]:
        """For each question each label with its probability."""
        if not rows:
            return []
        vectors = vectors_of([text_of(one) for one in rows], self.embedder)
        columns = [one.said(vectors) for one in self.proxies.values()]
        return [dict(zip(self.proxies, row, strict=True)) for row in zip(*columns, strict=True)]


@functools.lru_cache(maxsize=2)
def _fitted(judged: tuple[_Seen, ...], embedder: str, held_out: float, seed: int) -> _Learnt:
    """The proxies; remembered, since the report asks for what the run has fitted."""
    vectors = vectors_of([one.text for one in judged], embedder)
    proxies = {}
    for at, (name, levels) in enumerate(LABELS.items()):
        own = [row for row, one in enumerate(judged) if one.labels[at]]
        rows = [Judged(text=judged[r].text, label=judged[r].labels[at], source_id=judged[r].source_id) for r in own]
        said = sorted({one.label for one in rows})
        if len(said) < 2:
            proxies[name] = _One(None, said[0] if said else "")
            continue
        chosen = vectors[np.array(own)]
        fit = fit_proxy(rows, embedder, levels=levels, held_out=held_out, seed=seed, vectors=chosen)
        proxies[name] = _One(fit, "")
    return _Learnt(embedder, proxies, _stem(judged))


def _stem(judged: Iterable[_Seen]) -> dict[str, bool | None]:
    return {one.labels[0]: one.is_stem for one in judged}


def text_of(qa: QA) -> str:
    """What a proxy reads: the question as it is asked, and its answer."""
    return f"{stem_and_options(qa)}\n\n{qa.answer}"


def _unsure(guess: tuple[str, float]) -> BadReply:
    return BadReply("unsure_label", f"{guess[0]} is likeliest, with {guess[1]:.2f}")
