"""Labels on questions: discipline, difficulty, grade, type and knowledge points, by a model.

A question -> the same with its labels::

    {"question": "Ora sells 3 bags of salt at 4 marks each. How many marks?", "answer": "12"}

    {"question": "Ora sells …", "answer": "12", "discipline": "mathematics/arithmetic", "is_stem": True,
     "difficulty": 2, "grade": "primary", "kind": "calculation", "knowledge_points": ["unit price"], …}

With ``share: 0.1`` a tenth of the questions is labelled, by their source so that it is the same tenth on any machine;
the others pass as they are, and `annotate_rest` labels them from the embeddings of those. What the labels mean is said
in `synth.annotation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mashbill.ask import Ask
from mashbill.records import QA
from mashbill.step import Generator
from synth.annotation import Annotator
from synth.held_out import drawn


@dataclass(frozen=True, kw_only=True)
class Annotate(Generator[QA, QA]):
    """Labels questions with discipline, difficulty, grade, type and knowledge points."""

    annotator: Annotator = Annotator()
    share: float = 1.0
    """The share of the sources whose questions are labelled; the others pass unlabelled."""
    seed: int = 42

    def __post_init__(self) -> None:
        """Refuse a share that labels nothing."""
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share}; it must be above 0 and at most 1")

    def engines(self) -> Sequence[str]:
        """The annotator's, if it is not the main one."""
        return self.annotator.roles()

    async def make(self, record: QA, ask: Ask) -> Iterable[QA]:
        """The question with its labels, or as it is where it was not drawn."""
        if not drawn(record.source_id, self.share, self.seed, "annotate"):
            return [record]
        return [(await self.annotator.annotate(record, ask)).on(record)]
