"""Rows of worked answers made from a question: by a teacher, or of the rationale that the question came with.

A question with ``answer: "72"`` and ``rationale: "Natalia sold 48/2 = <<48/2=24>>24 clips in May. …"`` -> a row of
teacher ``gold`` with that rationale, the answer and gold ``"72"``, and the skeleton of its equations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from mashbill.errors import BadReply
from mashbill.exemplars import MARK
from mashbill.matching import Matcher
from mashbill.records import QA, Rationale
from synth.rationale_draws import GOLD
from synth.rationale_skeleton import skeleton_of


def rationale_of(record: QA, task: str, **fields: object) -> Rationale:
    """A row of a question, with what the question gives: its text, its options, its context, its gold answer."""
    return record.child(
        Rationale,
        task=task,
        question=record.question,
        options=record.options,
        context=record.context,
        gold=record.answer if record.answer.strip() else None,
        skeleton=skeleton_of(str(fields["rationale"])),
        **fields,
    )


def own_rationale(record: QA, task: str, step: str, **fields: object) -> Rationale | None:
    """The rationale that a question came with; None where it has none, or no answer."""
    if not (record.rationale.strip() and record.answer.strip()):
        return None
    return rationale_of(
        record,
        task,
        rationale=record.rationale.strip(),
        answer=record.answer,
        teacher=GOLD,
        made=dataclasses.replace(record.made, step=step),
        **fields,
    )


def without_repeats(made: Iterable[Rationale | BadReply], labels: Matcher | None = None) -> list[Rationale | BadReply]:
    """Reject a draw that an earlier one wrote word for word: it would be a second row with one id.

    With the matcher of `labels`, bare labels that are equal are one row too; how many draws gave it is its `pass_rate`.
    Neither reason counts as a fault of the teacher (`mashbill.runtime.NO_FAULT`).
    """
    unique: list[Rationale | BadReply] = []
    rows: list[Rationale] = []
    for one in made:
        if not isinstance(one, Rationale):
            unique.append(one)
            continue
        same, reason = _said_before(one, rows, labels)
        if same is None:
            unique.append(one)
            rows.append(one)
        else:
            subjects = (f"teacher:{one.teacher}", f"draw:{one.draw}", *(f"{MARK}{id}" for id in one.exemplars))
            text = f"{one.rationale}\n{one.answer}".strip()
            detail = f"row {same.id} says the same"
            unique.append(
                BadReply(reason, detail, text=text, asks=one.made.asks, subjects=subjects, verdicts=one.verdicts)
            )
    return unique


def _said_before(one: Rationale, rows: Sequence[Rationale], labels: Matcher | None) -> tuple[Rationale | None, str]:
    for row in rows:
        if labels is not None and not one.rationale and labels.compare(one.answer, row.answer, one.options).same:
            return row, "same_label"
        if row.id == one.id:
            return row, "repeats_a_draw"
    return None, ""


def counted_ways(made: Sequence[Rationale | BadReply]) -> list[Rationale | BadReply]:
    """The rows with how many ways of reasoning the kept draws have; the question's own rationale is no draw."""
    ways = {one.skeleton for one in made if isinstance(one, Rationale) and one.teacher != GOLD}
    return [dataclasses.replace(one, distinct=len(ways)) if isinstance(one, Rationale) else one for one in made]
