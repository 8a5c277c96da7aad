"""Running what judges stored rows: a stack of filters part by part, a dataset step over all parts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import polars as pl

from mashbill.counts import Counts
from mashbill.errors import StepFailed
from mashbill.filter_stack import FilterStack, apply_filters, label_of
from mashbill.step import DatasetStep, PartOutput
from mashbill.step_run import StepRun
from mashbill.usage import Usage


class JudgeRun(StepRun):
    """Filters and dataset steps, on a thread: polars and hashing must not hold the event loop."""

    async def rest(self) -> None:
        """Judge the parts that are left."""
        if isinstance(self.step, FilterStack):
            await asyncio.to_thread(self._filter, self.step)
        elif isinstance(self.step, DatasetStep):
            await asyncio.to_thread(self._dataset, self.step)
        else:
            raise StepFailed(f"{self.step.name} is neither a Generator, a stack of Filters nor a DatasetStep")

    def _filter(self, stack: FilterStack) -> None:
        for index in range(len(self.source)):
            if index not in self.parts:
                table = self.source.table(index)
                self._judged(index, table.num_rows, apply_filters(stack.filters, table, self.kind))

    def _dataset(self, step: DatasetStep[Any, Any]) -> None:
        outputs = self._guarded(step)
        index = -1
        for index, output in enumerate(outputs):
            if index >= len(self.source):
                raise StepFailed(f"{step.name} yielded more parts than the {len(self.source)} it read")
            if index not in self.parts:
                self._judged(index, self.source.manifest.parts[index].counts.kept, output, step.accounts_for_rows)
        if index + 1 != len(self.source):
            raise StepFailed(f"{step.name} yielded {index + 1} parts for the {len(self.source)} it read")

    def _guarded(self, step: DatasetStep[Any, Any]) -> Iterator[PartOutput]:
        with self.named_failures():
            yield from step.run(self.source)

    def _judged(self, index: int, read: int, output: PartOutput, accounts_for_rows: bool = True) -> None:
        reasons = pl.Series(output.rejects.column("reason").to_pylist(), dtype=pl.String)
        tried = read if accounts_for_rows else output.kept.num_rows + output.rejects.num_rows
        counts = Counts(
            read=read,
            attempts=tried,
            kept=output.kept.num_rows,
            rejected=dict(sorted(Counter(reasons.to_list()).items())),
            barren=output.rejects.num_rows if accounts_for_rows else 0,
        )
        self.write(index, output, counts)
        self.runtime.progress.advance(label_of(self.step), self.counts, Usage())
