"""What a student gets wrong, cell by cell, and how much is to be written for each.

Labelled seeds, some of them tried by the student -> a budget::

    mathematics  difficulty 4  seeds 120  probed 40  right 0.21 [0.11, 0.36]  -> 310 rows
    mathematics  difficulty 1  seeds 200  probed 61  right 0.93 [0.84, 0.97]  ->  27 rows

A cell is a discipline at one difficulty. Rows with a `pass_rate` were tried: they are held out, and their mean is the
cell's accuracy. Rows without one are the seeds that new questions are written from. Where every row was tried, as
`pass_rate` leaves a stream and `probe` does not, every row is a seed too, and a note says that none was held out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from mashbill.errors import BillError
from mashbill.intervals import wilson
from mashbill.records import join_texts
from mashbill.registry import nearest
from mashbill.step import Parts
from synth.allocation import Claim, allocate
from synth.taxonomy import field_of

READS = ("discipline", "is_stem", "difficulty", "pass_rate")
"""The columns of QA rows that a budget is made from."""


@dataclass(frozen=True, kw_only=True)
class BudgetSpec:
    """How a total is shared out over cells; a field of a step."""

    total: int = 1000
    """Rows, or tokens, to be accepted in all."""
    unit: Literal["rows", "tokens"] = "rows"
    by: Literal["weakness", "uniform"] = "weakness"
    """``uniform`` gives every cell its prior's share whatever the student can: the baseline to measure against."""
    level: Literal["field", "sub_field"] = "field"
    """Whether a cell's discipline is the upper level or the whole ``field/sub-field``."""
    gamma: float = 1.0
    """How sharply weakness counts: a cell's weight is (1 - accuracy) ** gamma times its prior."""
    prior: Mapping[str, float] = field(default_factory=dict)
    """How much a discipline matters, by field or ``field/sub-field``; 1 for those that are not named."""
    non_stem: float = 0.2
    """The least share of the total for cells that are not STEM, together: a budget by weakness alone would go where
    students are weakest, which is STEM. 0 where the seeds have nothing else."""
    least: int = 0
    """The least for each cell, in the unit of the total."""
    most: float = 4.0
    """The most for a cell, in multiples of an equal share; gives way to `non_stem`."""
    smoothing: float = 1.0
    """Tried questions of overall accuracy that are added to each cell, so that a cell of one question proves little.
    0 takes each cell's accuracy as it was measured."""

    def __post_init__(self) -> None:
        """Refuse what shares out nothing."""
        if self.total < 1:
            raise ValueError(f"total is {self.total}; a budget is 1 row or token, or more")
        if not 0 <= self.gamma < math.inf or not 0 <= self.smoothing < math.inf:
            raise ValueError(f"gamma is {self.gamma} and smoothing {self.smoothing}; both are 0 or more")
        if not 0 <= self.non_stem <= 1:
            raise ValueError(f"non_stem is a share of the total, from 0 to 1; found {self.non_stem}")
        if self.least < 0 or not 1 <= self.most < math.inf:
            raise ValueError(f"least is {self.least}, 0 or more, and most {self.most}, 1 (an equal share) or more")
        if bad := {name: one for name, one in self.prior.items() if not 0 < one < math.inf}:
            raise ValueError(f"prior must be above 0; found {bad}: to leave a discipline out, leave its seeds out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One discipline at one difficulty: what there is, what the student can, what is to be written."""

    discipline: str
    difficulty: int
    is_stem: bool
    seeds: int
    """Rows to write from."""
    probed: int
    """Rows that the student tried."""
    accuracy: float | None
    """Their mean pass rate; None where none was tried."""
    low: float | None
    high: float | None
    """Wilson's 95 % interval over the questions tried: the tries of one question count as one."""
    budget: int


@dataclass(frozen=True, kw_only=True)
class Budget:
    """All cells, with what is to be accepted in each; kept in the manifest of the step that spends it."""

    unit: str
    total: int
    by: str
    level: str
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know of it: cells without seeds, rows without labels, a student without weakness."""

    def cell_of(self, discipline: str, difficulty: int | None) -> tuple[str, int]:
        """The cell that a row belongs to; difficulty 0 for a row that has none."""
        return _upper(discipline, self.level), difficulty or 0

    def wanted(self) -> dict[tuple[str, int], int]:
        """Cell -> budget, for the cells that get any."""
        return {(one.discipline, one.difficulty): one.budget for one in self.cells if one.budget}

    def plain(self) -> dict[str, Any]:
        """As plain values, for a manifest."""
        return {**dataclasses.asdict(self), "cells": [dataclasses.asdict(one) for one in self.cells]}

    @classmethod
    def from_plain(cls, value: Mapping[str, Any]) -> Budget:
        """Back from a manifest."""
        cells = tuple(Cell(**one) for one in value["cells"])
        return cls(**{**value, "cells": cells, "notes": tuple(value["notes"])})


def columns_of(parts: Parts) -> pa.Table:
    """The columns that a budget is made from, of all parts of a stored input."""
    return pa.concat_tables([parts.table(index, READS) for index in range(len(parts))])


def budget_of(rows: pa.Table, spec: BudgetSpec) -> Budget:
    """The budget that labelled and partly tried QA rows ask for.

    Raises:
        BillError: when no row is labelled, a prior names what no cell has, or floors and caps cannot be met.
    """
    frame = pl.DataFrame(rows.select(list(READS)))
    labelled = frame.filter((pl.col("discipline") != "") & pl.col("difficulty").is_not_null())
    if not len(labelled):
        raise BillError(f"none of {len(frame):,} rows has a discipline and a difficulty; put `annotate` before")
    _check_prior(spec, labelled["discipline"].unique().to_list())
    tried = pl.col("pass_rate").is_not_null()
    held_out = not labelled.select(tried.all()).item()
    cells = _measured(labelled, spec, held_out)
    with_seeds = [one for one in cells if one.seeds]
    floor = _non_stem_floor(with_seeds, spec)
    shares = allocate(
        _claims(with_seeds, spec, _overall(cells), floor),
        spec.total,
        gamma=spec.gamma if spec.by == "weakness" else 0.0,
        protected_floor=floor,
    )
    budgets = {id(one): share for one, share in zip(with_seeds, shares, strict=True)}
    return Budget(
        unit=spec.unit,
        total=spec.total,
        by=spec.by,
        level=spec.level,
        cells=tuple(dataclasses.replace(one, budget=budgets.get(id(one), 0)) for one in cells),
        notes=tuple(_notes(cells, len(frame) - len(labelled), held_out, spec)),
    )


def _upper(discipline: str, level: str) -> str:
    return field_of(discipline) if level == "field" else discipline


def _check_prior(spec: BudgetSpec, disciplines: Iterable[str]) -> None:
    known = sorted({name for one in disciplines for name in (field_of(one), _upper(one, spec.level))})
    for name in spec.prior:
        if name not in known:
            raise BillError(
                f"prior names {name!r}{nearest(name, known)}, which is no discipline of a cell; with level: "
                f"{spec.level} there are {join_texts(known, 20)}"
            )


def _measured(labelled: pl.DataFrame, spec: BudgetSpec, held_out: bool) -> list[Cell]:
    """The cells without a budget, by discipline and difficulty."""
    upper = pl.col("discipline").str.split("/").list.first() if spec.level == "field" else pl.col("discipline")
    tried = pl.col("pass_rate").is_not_null()
    found = (
        labelled.group_by(upper.alias("discipline"), "difficulty")
        .agg(
            # A field is STEM when most of its rows are: sub-fields may say otherwise.
            is_stem=pl.col("is_stem").fill_null(False).mean() > 0.5,
            seeds=(~tried).sum() if held_out else pl.len(),
            probed=tried.sum(),
            right=pl.col("pass_rate").sum(),
        )
        .sort("discipline", "difficulty")
    )
    return [_cell(row) for row in found.iter_rows(named=True)]


def _cell(row: Mapping[str, Any]) -> Cell:
    sure = wilson(row["right"], row["probed"]) if row["probed"] else None
    return Cell(
        discipline=row["discipline"],
        difficulty=row["difficulty"],
        is_stem=row["is_stem"],
        seeds=row["seeds"],
        probed=row["probed"],
        accuracy=None if sure is None else round(sure.value, 6),
        low=None if sure is None else round(sure.low, 6),
        high=None if sure is None else round(sure.high, 6),
        budget=0,
    )


def _overall(cells: list[Cell]) -> float:
    """The accuracy over all questions that were tried; 0 where none was, so that only the priors count."""
    tried = [one for one in cells if one.accuracy is not None]
    right = sum(one.accuracy * one.probed for one in tried if one.accuracy is not None)
    return right / sum(one.probed for one in tried) if tried else 0.0


def _claims(cells: list[Cell], spec: BudgetSpec, overall: float, non_stem: int) -> list[Claim]:
    cap = max(spec.least, math.ceil(spec.most * spec.total / len(cells)))
    # What is promised to a few cells together goes before the cap of each.
    promised = math.ceil(non_stem / max(1, sum(not one.is_stem for one in cells)))
    return [
        Claim(
            accuracy=_smoothed(one, spec, overall),
            prior=_prior(one, spec),
            floor=spec.least,
            cap=cap if one.is_stem else max(cap, promised),
            protected=not one.is_stem,
        )
        for one in cells
    ]


def _smoothed(cell: Cell, spec: BudgetSpec, overall: float) -> float:
    """The accuracy that counts; a cell that nobody tried has the overall one."""
    if cell.accuracy is None or cell.probed + spec.smoothing == 0:
        return overall
    return (cell.accuracy * cell.probed + overall * spec.smoothing) / (cell.probed + spec.smoothing)


def _prior(cell: Cell, spec: BudgetSpec) -> float:
    return spec.prior.get(cell.discipline, spec.prior.get(field_of(cell.discipline), 1.0))


def _non_stem_floor(cells: list[Cell], spec: BudgetSpec) -> int:
    floor = math.ceil(spec.non_stem * spec.total - 1e-9)
    if floor and all(one.is_stem for one in cells):
        raise BillError(
            f"non_stem promises {floor:,} of {spec.total:,} to disciplines that are not STEM, and no seed is of one; "
            "add such seeds, or set non_stem: 0"
        )
    return floor


def _notes(cells: list[Cell], unlabelled: int, held_out: bool, spec: BudgetSpec) -> Iterable[str]:
    if unlabelled:
        yield f"rows without discipline or difficulty, which count in no cell: {unlabelled:,}"
    tried = [one for one in cells if one.probed]
    if not tried:
        yield "no row was tried by a student, so the budget follows the priors alone"
    elif not held_out:
        yield "every row was tried and none is held out: the student is measured on what is written from"
    elif untried := [one for one in cells if one.seeds and not one.probed]:
        yield f"not tried, and taken to be of overall accuracy: {_named(untried)}"
    if empty := [one for one in cells if not one.seeds]:
        yield f"no seed to write from, so nothing is written: {_named(empty)}"
    if tried and spec.by == "weakness" and all(one.accuracy == 1 for one in tried):
        yield "the student got everything right: there is no weakness to follow, only the priors"
    if tried and spec.by == "weakness" and all(one.accuracy == 0 for one in tried):
        yield "the student got nothing right: all cells are equally weak, so the budget follows the priors"


def _named(cells: list[Cell]) -> str:
    return join_texts([f"{one.discipline} {one.difficulty}" for one in cells], 8)
