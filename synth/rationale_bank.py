r"""Accepted rationales as worked examples for a bank.

A kept row -> an example with the question as key and ``"Ora sells 3 bags …\n\n3 * 4 = 12\n#### 12"`` as text, in the
form that replies should have. Rows written with the answer in sight are no examples of how to find one: they never
enter.

To let a bank grow by a finished run::

    bank = counted(read_bank(path), stored)                    # who was shown, and whether it helped
    rows = [row for table in stored for row in from_table(table, Rationale)]
    write_bank(path, grown(bank, exemplars_of(rows), most=500))
"""

from __future__ import annotations

from collections.abc import Iterable

from mashbill.exemplars import Exemplar
from mashbill.records import Rationale
from synth.rationale_draws import GOLD
from synth.rationale_prompts import MARK, question_text


def exemplars_of(rows: Iterable[Rationale]) -> list[Exemplar]:
    """An example for each row that was not written with the answer in sight; people's where it came with its question.

    Whoever calls this gives it accepted rows: what a finished step or a filter after it kept.
    """
    return [_exemplar(row) for row in rows if not row.hinted and row.rationale.strip()]


def _exemplar(row: Rationale) -> Exemplar:
    question = question_text(row.question, row.options, row.context, letters=row.task != "classification")
    return row.child(
        Exemplar,
        parents=(row.id, *row.parents),
        keys=(question_text(row.question, (), row.context),),
        text=f"{question}\n\n{row.rationale.strip()}\n{MARK} {row.answer}",
        human=row.teacher == GOLD,
        made=row.made,
    )
