"""Running a dataset generator: one coroutine over all parts, that asks and yields parts of its own.

There is no input part to go with an output part, so nothing is taken over from an unfinished run: the step runs again
from the top on replies that the ledger already holds, and writes the same parts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.counts import Counts
from mashbill.errors import StepFailed, Unanswered, only_unanswered
from mashbill.filter_stack import label_of
from mashbill.generator_run import reject_of
from mashbill.records import Reject, from_table, to_table
from mashbill.step import DatasetGenerator, PartOutput, unanswered
from mashbill.step_run import StepRun
from mashbill.usage import Usage

TOLD_EVERY = 0.25
"""Seconds between two words to the watcher; terminals show four a second."""


class DatasetGeneratorRun(StepRun):
    """One execution of a dataset generator."""

    by_parts = False

    async def all_parts(self) -> None:
        """Make every part."""
        self.runtime.progress.begin(label_of(self.step), self.source.manifest.counts.kept, 0)
        await self.rest()

    async def rest(self) -> None:
        """Make every part, telling the watcher while asks are under way."""
        step = self.step
        assert isinstance(step, DatasetGenerator)
        if self.runtime.asker is None:
            raise StepFailed(f"{step.name} asks a model but the run has no engine")
        watch = asyncio.create_task(self._watch())
        try:
            await self._parts(step, self.runtime.asker)
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def _parts(self, step: DatasetGenerator[Any, Any], asker: Asker) -> None:
        # The step's own id stands for asks that belong to no record; a retry of some leaves the others as they were.
        ask = self.ask_for(asker, self.plain)
        paid = Usage()
        read = self.source.manifest.counts.kept
        index = 0
        async with contextlib.aclosing(self._yielded(step, ask)) as outputs:
            async for output in outputs:
                await self._write(index, output, read if index == 0 else 0, ask.usage, paid)
                paid, index = ask.usage.copy(), index + 1
                self.check(self.counts)
        if not index:
            nothing = PartOutput(kept=to_table([], self.kind), rejects=to_table([], Reject))
            await self._write(0, nothing, read, ask.usage, paid)
        if ask.missing:
            self.lacking[0] = Counter({state: len(owners) for state, owners in ask.missing.items()})

    async def _yielded(self, step: DatasetGenerator[Any, Any], ask: Ask) -> AsyncGenerator[PartOutput]:
        """What the step yields; where an ask that it cannot do without was left, what is open becomes rejects."""
        given = 0
        with self.named_failures():
            parts = step.make(self.source, ask)
            try:
                async for output in parts:
                    yield output
                    given += 1
            except (Unanswered, BaseExceptionGroup) as error:
                missing = only_unanswered(error)
                if missing is None:
                    raise
                for output in self._left(step, given, missing):
                    yield output
            finally:
                await _close(parts)

    def _left(self, step: DatasetGenerator[Any, Any], given: int, missing: Unanswered) -> Iterator[PartOutput]:
        """Rejects for what the step had still to do: the rows of each input part it gave nothing for, or one in all."""
        if not step.judges:
            said = f"{missing}; what the step had not yielded by then is not there"
            rest = Reject.new(kind=self.kind.__name__, step=step.name, reason=missing.state, detail=said)
            yield PartOutput(kept=to_table([], self.kind), rejects=to_table([rest], Reject))
            return
        for index in range(given, len(self.source)):
            records = from_table(self.source.table(index), self.source.kind)
            rejects = [reject_of(unanswered(missing), record, step.name) for record in records]
            yield PartOutput(kept=to_table([], self.kind), rejects=to_table(rejects, Reject))

    async def _write(self, index: int, output: PartOutput, read: int, usage: Usage, paid: Usage) -> None:
        new = usage - paid
        reasons = Counter(output.rejects.column("reason").to_pylist())
        counts = Counts(
            read=read,  # the whole input counts with the first part: no part of the output goes with one of the input
            attempts=output.kept.num_rows + output.rejects.num_rows,
            kept=output.kept.num_rows,
            rejected=dict(sorted(reasons.items())),
            asks=new.asks,
            prompt_tokens=new.prompt_tokens,
            completion_tokens=new.completion_tokens,
            states=new.states,
            roles=new.roles,
        )
        await asyncio.to_thread(self.write, index, output, counts)
        self.runtime.progress.advance(label_of(self.step), self.counts, self.runtime.usage())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY)
            self.runtime.progress.advance(label_of(self.step), self.counts, self.runtime.usage())


async def _close(parts: AsyncIterator[PartOutput]) -> None:
    # An async generator that is left in the middle closes its own tasks now, not when it is collected.
    close = getattr(parts, "aclose", None)
    if close is not None:
        await close()
