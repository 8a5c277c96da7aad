"""How often a student of ours solves each question of a stream, as the column `pass_rate` of its rows.

A row of kind QA, eight samples of which two are right -> the same row, its id too, with ``"pass_rate": 0.25``.

Curricula sort by it, and rollout-based instance filtering (2507.05386) drops what is never solved: there is nothing to
learn from such a question by one's own attempts (the filter `pass_rate_band` does that). The step `pass_rate` measures
the same with any engine, by its chat template; this asks a checkpoint in the very tokens it was trained on.
"""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa

from mashbill.records import QA, schema_of
from train.generate_eval import evaluate_written
from train.hardware import Hardware
from train.intervals import Z95
from train.questions import question_of
from train.student import Student
from train.supervision import Supervision
from train.write_measures import by_question
from train.write_spec import WriteSpec

ROLLOUTS = WriteSpec(greedy=False, samples=8, temperature=1.0)
"""The student's own distribution, not a sharper one; the paper does not say its number of rollouts."""


def with_pass_rates(
    student: Path | Student,
    rows: pa.Table,
    *,
    spec: WriteSpec = ROLLOUTS,
    supervision: Supervision | None = None,
    hardware: Hardware | None = None,
) -> pa.Table:
    """Rows of kind QA with the share of a student's samples that are right; greedy answers do not count.

    Raises:
        InputError: for a question whose right answer its matcher cannot read.
        ValueError: when the spec draws no samples.
    """
    if not spec.samples:
        raise ValueError("pass rates are shares of samples, and the spec draws none; say samples=8")
    questions = [question_of(row) for row in rows.to_pylist()]
    written = evaluate_written(student, questions, spec=spec, supervision=supervision, hardware=hardware).rows
    rates = {
        name: sum(row.right for row in own if row.draw >= 0) / spec.samples
        for name, own in by_question(written).items()
    }
    at = rows.schema.get_field_index("pass_rate")
    column = pa.array([rates[name] for name in rows.column("id").to_pylist()], schema_of(QA).field("pass_rate").type)
    return rows.set_column(at, rows.schema.field(at), column)


def never_solved_at(samples: int) -> float:
    """The highest true pass rate that still gives no right answer in so many samples one time in forty.

    A pass rate of 0 out of 8 does not say 0: it is the upper end of a 95 % interval (Clopper and Pearson), 0.37.

    >>> round(never_solved_at(8), 2), round(never_solved_at(64), 2)
    (0.37, 0.06)
    """
    tail = math.erfc(Z95 / math.sqrt(2)) / 2
    return 1 - float(tail ** (1 / samples))
