r"""The solutions that questions came with, as rationales: to verify, choose among and train on, without any teacher.

A line of GSM8K, read with ``marker: "####"`` -> a row of teacher ``gold``::

    {"question": "Natalia sold clips to 48 …", "rationale": "Natalia sold 48/2 = <<48/2=24>>24 clips in May. …",
     "answer": "72", "gold": "72", "teacher": "gold", "skeleton": "48/2=24;24+48=72", "draws": 0, "pass_rate": None, …}

A question without a rationale is rejected, ``no_rationale``; one without an answer, ``no_answer``. Nothing is checked
here: `trace_arithmetic`, `answer_matches` and `trace_leaks` judge the rows like a teacher's. Where `pass_rate` measured
the questions before, the rows carry that rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from mashbill.records import QA, Rationale, from_table, to_table
from mashbill.step import DatasetStep, PartOutput, Parts, reject_table
from synth.rationale_prompts import Task
from synth.rationale_rows import own_rationale


@dataclass(frozen=True, kw_only=True)
class GoldRationales(DatasetStep[QA, Rationale]):
    """Takes the rationales that questions came with as worked answers."""

    task: Task = "question"
    """Written on the rows: what sort of question it is."""

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        for table in parts:
            rows = [own_rationale(one, self.task, self.name, pass_rate=one.pass_rate) for one in from_table(table, QA)]
            frame = pl.DataFrame(pl.from_arrow(table)).filter(
                pl.Series([row is None for row in rows], dtype=pl.Boolean)
            )
            bare = pl.col("rationale").str.strip_chars() == ""
            rejects = reject_table(
                frame,
                step=self.name,
                kind=QA,
                reason=pl.when(bare).then(pl.lit("no_rationale")).otherwise(pl.lit("no_answer")),
            )
            yield PartOutput(to_table([row for row in rows if row is not None], Rationale), rejects)
