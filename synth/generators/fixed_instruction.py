r"""The first baseline of TCIA: one instruction for every input.

A seed with its text -> `count` rows with that text, each to be paired with other inputs::

    {"text": "Sum up the meeting in five bullets. …", "operations": [{"name": "fixed", "constraint": "3"}], "hop": 0, …}

A seed without a text gets the plain one: its request and its constraints, one after the other. This is what task
data looks like when only the inputs vary (arXiv 2508.20374, section 4), and it asks no model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mashbill.ask import Ask
from mashbill.errors import BadReply
from mashbill.records import Instruction, Operation
from mashbill.step import Generator
from synth.instruction_checks import check_task

FIXED = "fixed"


@dataclass(frozen=True, kw_only=True)
class FixedInstruction(Generator[Instruction, Instruction]):
    """Repeats each seed's instruction."""

    count: int = 1
    """Rows for each seed; numbered, so that each is a row of its own and is paired with inputs of its own."""

    def __post_init__(self) -> None:
        """Refuse a count of nothing."""
        if self.count < 1:
            raise ValueError(f"count is {self.count}; it must be 1 or more")

    async def make(self, record: Instruction, ask: Ask) -> Iterable[Instruction | BadReply]:
        """The seed's instruction, `count` times."""
        del ask
        text = record.text.strip() or plain_text(record)
        return [
            replace(
                record,
                parents=(record.id,),
                text=text,
                operations=(*record.operations, Operation(name=FIXED, constraint=str(number))),
                made=replace(record.made, step=self.name),
            ).identified()
            for number in range(1, self.count + 1)
        ]


def plain_text(record: Instruction) -> str:
    r"""A request with its constraints, one after the other.

    >>> from mashbill.records import Constraint
    >>> short = Constraint(category="numerical", text="Use two sentences")
    >>> plain_text(Instruction(text="", base_query="Sum up the notes.", constraints=(short,)))
    'Sum up the notes. Use two sentences.'

    Raises:
        BadReply: for a row that says no request.
    """
    if record.constraints:
        check_task(record)
    elif not record.base_query.strip():
        raise BadReply("no_base_query", "the row has neither a text nor a request")
    parts = [record.base_query.strip(), *(one.text.strip() for one in record.constraints)]
    return " ".join(part if part.endswith((".", "!", "?", "}", "]")) else f"{part}." for part in parts if part)
