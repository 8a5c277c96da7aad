r"""Questions from anywhere made alike, and those that cannot be a seed sent out with a reason.

Rows in -> out::

    "12. Which burns?\nA) salt\nB) oil", answer "B"  ->  "Which burns?", options ["salt", "oil"], answer "oil"
    "which burns?",   options salt, oil, answer oil  ->  reject repeated_question, with the id that is kept
    "Who pays?" answer "Ora", and again "the guild"  ->  both rejected, contradicting_answers: nobody knows which holds

Seeds are read from files of questions, asked out of documents (`document_questions`), taken from instructions
(`instruction_questions`) or written of a graph's paths (`kg_path`); a stream of several takes them together. A question
that is nearly another one is `minhash_dedup`'s to find, one of an evaluation set `decontaminate`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mashbill.errors import BadReply
from mashbill.fingerprint import content_id
from mashbill.generator_run import reject_of
from mashbill.records import QA, Reject, from_table, to_table
from mashbill.step import DatasetStep, PartOutput, Parts
from synth.seed_text import question_key, same_answer, seed_of_question


@dataclass(frozen=True, kw_only=True)
class QuestionSeeds(DatasetStep[QA, QA]):
    """Makes questions of any source alike, and rejects those without an answer, with odd options or contradicted."""

    need_answer: bool = True
    """Whether a question without an answer is rejected: nobody can probe a student with it."""
    contradictions: bool = True
    """Whether questions that are asked alike and answered differently are rejected, all of them."""
    repeats: bool = True
    """Whether of questions that are asked and answered alike the one with the lowest id stays alone."""

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        asked = _Asked()
        for table in parts:
            asked.take(made for made, _ in self._seeds(from_table(table, QA)) if isinstance(made, QA))
        for table in parts:
            kept, rejects = list[QA](), list[Reject]()
            for made, row in self._seeds(from_table(table, QA)):
                bad = made if isinstance(made, BadReply) else self._against(made, asked)
                if isinstance(made, QA) and bad is None:
                    kept.append(made)
                elif bad is not None:
                    rejects.append(reject_of(bad, row, self.name))
            yield PartOutput(to_table(kept, QA), to_table(rejects, Reject))

    def _seeds(self, rows: Iterable[QA]) -> Iterator[tuple[QA | BadReply, QA]]:
        for row in rows:
            try:
                yield seed_of_question(row, need_answer=self.need_answer), row
            except BadReply as bad:
                yield bad, row

    def _against(self, seed: QA, asked: _Asked) -> BadReply | None:
        same = asked.like(seed)
        if self.contradictions and same.other:
            said = f"answered {same.answer[:60]!r} and {same.other[:60]!r}; nobody can say which holds"
            return BadReply("contradicting_answers", said, text=seed.question)
        if self.repeats and same.kept != seed.id:
            return BadReply("repeated_question", f"asks what {same.kept} asks", text=seed.question)
        return None


@dataclass(slots=True)
class _Same:
    """What is known of the questions that are asked alike."""

    kept: str
    """The lowest id."""
    answer: str
    other: str = ""
    """An answer that says something else."""


class _Asked:
    """Every question that was seen, by what it asks: a digest and an answer each, never a text."""

    def __init__(self) -> None:
        self._known: dict[str, _Same] = {}

    def take(self, seeds: Iterable[QA]) -> None:
        """Count these in."""
        for seed in seeds:
            same = self._known.setdefault(content_id(question_key(seed)), _Same(seed.id, seed.answer))
            same.kept = min(same.kept, seed.id)
            if seed.answer and not same.answer:
                same.answer = seed.answer
            if seed.answer and not same_answer(seed.answer, same.answer):
                same.other = same.other or seed.answer

    def like(self, seed: QA) -> _Same:
        """What is known of a question that was counted in."""
        return self._known[content_id(question_key(seed))]
