"""What can go wrong in a training step, said so that it can be mended.

A loss that is no number names its rows::

    the loss is nan at step 813 of 2,000, from 2 rows of that step: row 6,504 (stream made: 6f1c…, 09ab…), …
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from mashbill.errors import UserError
from mashbill.records import join_texts
from train.hardware import Hardware

if TYPE_CHECKING:
    from train.loop import Loop


def lost_rows(loop: Loop, step: int, loss: float, norm: float) -> UserError:
    """The error for a step whose loss or gradient is no number, with the rows whose own loss is none.

    Each process names the rows it had; where only the gradient overflowed, no row is to blame alone.
    """
    bad: list[int] = []
    for rows, losses in loop.row_losses:
        finite = torch.isfinite(losses).tolist()
        bad += [row for row, good in zip(rows, finite, strict=True) if row is not None and not good]
    named = join_texts([_row(loop, row) for row in bad], most=3)
    whose = f", from {len(bad)} rows of that step: {named}" if bad else ""
    return UserError(
        f"the loss is {loss} and the gradient norm {norm} at step {step + 1} of {loop.reader.steps}{whose}. The last "
        f"checkpoint is kept. Lower learning_rate ({loop.recipe.learning_rate}) or lengthen the warm-up, or look at "
        "those rows, and start in a new directory"
    )


def _row(loop: Loop, row: int) -> str:
    segments = loop.reader.segments_of(row)
    ids = join_texts([f"{one.stream}: {one.record_id}" for one in segments], most=3)
    return f"row {row:,} ({ids})"


@contextlib.contextmanager
def out_of_memory(hardware: Hardware, sequence_length: int) -> Iterator[None]:
    """Say which setting to lower when a step does not fit.

    Raises:
        UserError: in place of torch's own error.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _advice(hardware, sequence_length) from error
    except RuntimeError as error:
        # The CPU's allocator has no exception of its own.
        if "can't allocate memory" not in str(error):
            raise
        raise _advice(hardware, sequence_length) from error


def _advice(hardware: Hardware, sequence_length: int) -> UserError:
    ways: Sequence[str] = [
        *([f"lower micro_batch under [hardware], now {hardware.micro_batch}"] if hardware.micro_batch > 1 else []),
        *([] if hardware.gradient_checkpointing else ["set gradient_checkpointing = true there"]),
        f"shorten sequence_length in the bill, now {sequence_length:,}",
    ]
    return UserError(
        f"out of memory in a training step: {'; or '.join(ways)}. The first two change nothing that is learned; the "
        "run goes on from its last checkpoint"
    )
