"""Instructions that have a short answer, as questions.

An instruction -> a question of kind ``open``::

    {"text": "Name the capital of Norway.", "context": "", "response": "Oslo"}  ->  {"question": "Name the …",
     "answer": "Oslo", "kind": "open", …}

A response that is long is no answer that a student's could be compared with: `answer_too_long`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mashbill.errors import BadReply
from mashbill.generator_run import reject_of
from mashbill.records import QA, Instruction, Reject, from_table, to_table
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.words import words


@dataclass(frozen=True, kw_only=True)
class InstructionQuestions(DatasetStep[Instruction, QA]):
    """Takes instructions with short responses as questions with answers."""

    most_words: int = 30
    """Words of an answer; 0 for no limit."""

    def __post_init__(self) -> None:
        """Refuse a limit that no answer meets."""
        if self.most_words < 0:
            raise ValueError(f"most_words is {self.most_words}; it must be 0 (no limit) or more")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        for table in parts:
            kept, rejects = list[QA](), list[Reject]()
            for row in from_table(table, Instruction):
                bad = self._refused(row)
                if bad is None:
                    fields = {"kind": "open", "question": row.text, "context": row.context, "answer": row.response}
                    kept.append(row.child(QA, **fields))
                else:
                    rejects.append(reject_of(bad, row, self.name))
            yield PartOutput(to_table(kept, QA), to_table(rejects, Reject))

    def _refused(self, row: Instruction) -> BadReply | None:
        if not row.text.strip():
            return BadReply("empty_question", "the instruction holds no text")
        if not row.response.strip():
            return BadReply("no_answer", "the instruction has no response, so there is no answer", text=row.text)
        count = len(words(row.response))
        if self.most_words and count > self.most_words:
            found = f"the response has {count:,} words; the most is most_words ({self.most_words})"
            return BadReply("answer_too_long", found, text=row.text)
        return None
