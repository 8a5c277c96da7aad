r"""Questions from anywhere made alike, and those that cannot be a seed sent out with a reason.

Rows in -> out::

    "12. Which burns?\nA) salt\nB) oil", answer "B"  ->  "Which burns?", options ["salt", "oil"], answer "oil"
    "Which is wet?", options "the sea", "sea"        ->  reject repeated_option

Seeds are read from files of questions, asked out of documents (`document_questions`), taken from instructions
(`instruction_questions`) or written of a graph's paths (`kg_path`); a stream of several takes them together. Once they
are alike, `exact_dedup` finds those asked twice and those answered differently, `minhash_dedup` those that are nearly
one, and `decontaminate` those of an evaluation set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mashbill.errors import BadReply
from mashbill.generator_run import reject_of
from mashbill.records import QA, Reject, from_table, to_table
from mashbill.step import DatasetStep, PartOutput, Parts
from synth.seed_text import seed_of_question


@dataclass(frozen=True, kw_only=True)
class QuestionSeeds(DatasetStep[QA, QA]):
    """Makes questions of any source alike, and rejects those without an answer or with odd options."""

    version = 3

    need_answer: bool = True
    """Whether a question without an answer is rejected: nobody can probe a student with it."""

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        for table in parts:
            kept, rejects = list[QA](), list[Reject]()
            for row in from_table(table, QA):
                try:
                    kept.append(seed_of_question(row, need_answer=self.need_answer))
                except BadReply as bad:
                    rejects.append(reject_of(bad, row, self.name))
            yield PartOutput(to_table(kept, QA), to_table(rejects, Reject))
