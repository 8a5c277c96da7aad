"""Reject questions that nobody solves, and all but a share of those that everybody does.

Rows in -> out: pass rate 0 -> rejected, ``never_solved``; 1.0 -> kept for as long as such questions are no more than
``max_easy`` of those kept, then rejected, ``too_easy``; 0.25 or unmeasured -> kept.

A question that no attempt solves is likelier wrong than hard, and to a policy that is rewarded for right answers it
gives no signal (rollout-based instance filtering, arXiv 2507.05386); one that every attempt solves teaches little, and
there are many of them. Which of the easy ones stay is drawn by the question's content, so a question's rows stay or go
together. Works on questions and on rationales. A rationale written with the answer in sight (`hinted`) is of a question
that no draw solved; that is what it is for, so it stays. So does the rationale that a question came with: no teacher
wrote it, and RFT (arXiv 2308.01825) always keeps the original data. `keep_gold: false` judges it like the others, as
where a data set may hold wrong answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from filters.rationale_groups import GOLD, question_keys
from filters.removal import frame_of
from mashbill.errors import BillError
from mashbill.fingerprint import seed_of
from mashbill.records import QA, Rationale, Record
from mashbill.step import DatasetStep, PartOutput, Parts, reject_table


@dataclass(frozen=True, kw_only=True)
class PassRateBand(DatasetStep[Record, Record]):
    """Keeps questions whose pass rate lies in a band, and caps the share of the easiest."""

    above: float = 0.0
    """Questions with this pass rate or a lower one go."""
    easy: float = 1.0
    """From this pass rate on a question counts as easy."""
    max_easy: float = 0.2
    """Easy questions among those kept, as a share; ours, to be set by what the student can do already. Questions of
    which only the rationale they came with is left do not count."""
    keep_gold: bool = True
    """Whether rationales that came with their question stay whatever its pass rate is."""
    unmeasured: bool = True
    """Whether a row without a pass rate stays."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a band that holds nothing."""
        if not 0 <= self.above < self.easy <= 1:
            raise ValueError(f"above is {self.above} and easy {self.easy}; they are pass rates, 0 <= above < easy <= 1")
        if not 0 <= self.max_easy <= 1:
            raise ValueError(f"max_easy is {self.max_easy}; it is a share, from 0 to 1")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        judged = [self._judged(parts, index) for index in range(len(parts))]
        easy = self._easy_that_stay(judged)
        for index, rows in enumerate(judged):
            table = parts.table(index)
            reason = (
                pl.when(pl.col("verdict") == "easy")
                .then(pl.when(pl.col("question key").is_in(easy)).then(None).otherwise(pl.lit("too_easy")))
                .otherwise(pl.when(pl.col("verdict").is_in(["stays", "gold"])).then(None).otherwise(pl.col("verdict")))
            )
            frame = pl.concat([frame_of(table), rows.with_columns(reason.alias("why"))], how="horizontal")
            stays = frame["why"].is_null()
            rejects = reject_table(
                frame.filter(~stays),
                step=self.name,
                kind=_kind(table.schema.names),
                reason=pl.col("why"),
                value=pl.col("rate"),
            )
            yield PartOutput(table.filter(stays.to_arrow()), rejects)

    def _judged(self, parts: Parts, index: int) -> pl.DataFrame:
        """For each row of a part its question, its pass rate, and whether it stays, goes, is easy, or gold."""
        table = parts.table(index)
        frame = frame_of(table)
        if "pass_rate" not in frame.columns:
            raise BillError(f"{self.name} judges pass rates, and the rows it read have none; it takes QA and Rationale")
        rate = pl.col("pass_rate")
        hinted = pl.col("hinted") if "hinted" in frame.columns else pl.lit(False)
        gold = pl.col("teacher") == GOLD if self.keep_gold and "teacher" in frame.columns else pl.lit(False)
        verdict = (
            pl.when(gold)
            .then(pl.lit("gold"))
            .when(hinted)
            .then(pl.lit("stays"))
            .when(rate.is_null())
            .then(pl.lit("stays" if self.unmeasured else "unmeasured"))
            .when(rate <= self.above)
            .then(pl.lit("never_solved"))
            .when(rate >= self.easy)
            .then(pl.lit("easy"))
            .otherwise(pl.lit("stays"))
        )
        keys = pl.Series("question key", [key.hex() for key in question_keys(table)], dtype=pl.String)
        return frame.select(rate.alias("rate"), verdict.alias("verdict")).with_columns(keys)

    def _easy_that_stay(self, judged: Sequence[pl.DataFrame]) -> list[str]:
        rows = pl.concat([pl.DataFrame(schema=_JUDGED), *judged])
        easy = rows.filter(pl.col("verdict") == "easy")["question key"].unique().to_list()
        others = rows.filter(pl.col("verdict") == "stays")["question key"].n_unique()
        # easy / (easy + others) <= max_easy, solved for easy; the small number forgives the division's last digit.
        room = math.inf if self.max_easy == 1 else math.floor(self.max_easy * others / (1 - self.max_easy) + 1e-9)
        drawn = sorted(easy, key=lambda question: (seed_of(self.seed, self.name, question), question))
        return drawn if room >= len(drawn) else drawn[: int(room)]


_JUDGED = {"rate": pl.Float64, "verdict": pl.String, "question key": pl.String}


def _kind(names: Sequence[str]) -> type[Record]:
    return Rationale if "rationale" in names and "teacher" in names else QA
