"""A model that judges rows by a rubric: its marks as scores, and rows below the least ones rejected.

One row in -> out, with ``rubric: knowledge, least: {factuality: 4}``: ``"Salt melts at 801 °C."`` -> the same row
with the scores ``judge_relevance`` 5, ``judge_brevity`` 5 and ``judge_factuality`` 5; ``"Salt melts at 80 °C."`` ->
rejected, ``judge_low_factuality``, with the marks, the reason and the verdicts.

    curate:
      - judge: {rubric: knowledge, least: {factuality: 4, relevance: 3}}

One greedy ask a row. A row of which a wanted mark is missing goes too (``judge_no_mark``): no answer is neither a low
mark nor a good one. A judge of the family that wrote a row is refused (`mashbill.model_family`). How well a judge
agrees with people is to be seen first: ``mashbill judge check``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from filters.judge_report import judge_report
from filters.opinion import CHARACTERS, JUDGING, checked_least, main_text, opinion_of, parts_of, refuse_family
from filters.rubric_file import Rubric, read_rubric, rubric_of
from mashbill.ask import Ask
from mashbill.engine import Sampling
from mashbill.errors import BadReply
from mashbill.records import Record, with_scores
from mashbill.roles import roles
from mashbill.step import Generator
from mashbill.store import Stored


@dataclass(frozen=True, kw_only=True)
class Judge(Generator[Record, Record]):
    """Has a model mark each row by a rubric, and rejects those below the least marks."""

    judges: ClassVar[bool] = True

    rubric: str
    """A rubric's name: ``document``, ``instruction``, ``knowledge``, ``qa``, ``rationale``, or one of your own."""
    folder: str = field(default="", metadata={"identity": False, "file": True})
    """A folder of your own rubrics, relative to the bill; they come before those of Mashbill."""
    engine: str = "judge"
    """The judge's role under ``engines`` in the bill; ``main`` for the main engine."""
    least: Mapping[str, int | str] = field(default_factory=dict)
    """Dimension -> the lowest mark that stays; empty: rows are marked and all stay."""
    prefix: str = "judge"
    """What the names of scores, reasons and verdicts begin with, so that two judges of one row differ."""
    characters: int = CHARACTERS
    """Characters of a text that the judge is shown."""
    same_family_ok: bool = False
    """Whether the judge may be of the family that wrote the row."""
    sampling: Sampling = JUDGING
    rubric_digest: str = ""
    """What the rubric says: set by itself, since its content is identity and where its file lies is not."""

    def __post_init__(self) -> None:
        """Read the rubric, and refuse what does not go with it."""
        rubric = read_rubric(self.rubric, self.folder)
        object.__setattr__(self, "least", checked_least(rubric, self.least))
        object.__setattr__(self, "rubric_digest", rubric.digest)
        if self.characters < 1:
            raise ValueError(f"characters is {self.characters}; a judge is shown 1 or more")
        if not self.engine or not self.prefix:
            raise ValueError("engine and prefix cannot be empty; write `engine: main` for the main engine")

    def engines(self) -> tuple[str, ...]:
        """The judge, where it is not the main engine."""
        return roles([self.engine])

    async def make(self, record: Record, ask: Ask) -> Iterable[Record | BadReply]:
        """The row with its marks, or why it goes."""
        rubric, least = self._rubric(), {name: str(level) for name, level in self.least.items()}
        parts = parts_of(rubric, record, self.characters)
        if not self.same_family_ok:
            refuse_family(record.made.engine, self.engine, ask)
        opinion = await opinion_of(rubric, parts, ask, self.engine, self.sampling)
        if refused := opinion.refusal(self.prefix, least, main_text(record)):
            return [refused]
        marked = with_scores(record, opinion.scores(self.prefix))
        if hasattr(marked, "verdicts"):
            verdicts = (*marked.verdicts, *opinion.verdicts(self.prefix, least))
            marked = replace(marked, verdicts=verdicts)  # type: ignore[call-arg]  # of a type that has them
        return [marked]

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """Who judged, how the marks are spread, and how many are missing, for the manifest."""
        del source
        return judge_report(made, self._rubric(), self.prefix, self.engine)

    def _rubric(self) -> Rubric:
        return rubric_of(self.rubric, self.folder, self.rubric_digest)
