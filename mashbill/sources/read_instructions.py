"""Instructions from JSON lines, Parquet, or a data set that `datasets` saved.

A line of self-instruct's seed tasks with ``instances: instances`` becomes one row for each instance::

    {"instruction": "What is the relation between the given pairs?", "instances": [{"input": "Night : Day", "output":
     "They are opposites."}]}

    {"text": "What is the relation between the given pairs?", "context": "Night : Day", "response": "They are
     opposites.", "source": "self_instruct_seed_tasks.jsonl:2", …}

Chats (``messages``, as the Tulu mixtures have them) give their first exchange. A corpus that somebody has taken apart
already (``task_type``, ``base_query``, ``constraints``) is read as it is, so that no model has to be asked again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mashbill.constraint_sets import CATEGORIES, canonical, category_of
from mashbill.records import Constraint, Instruction
from mashbill.sources.row_files import Row, rows_of
from mashbill.sources.row_values import (
    BadRow,
    check_glob,
    optional_text,
    other_files,
    row_files,
    shown,
    text_of,
    value_of,
)
from mashbill.step import BadInput, Source


@dataclass(frozen=True, kw_only=True)
class ReadInstructions(Source[Instruction]):
    """Reads instructions, with their inputs and responses where there are any."""

    glob: str = "**/*"
    """Which files of a folder; of those, the ones whose suffix is known."""
    instruction: str = "instruction"
    """The column of the instruction; empty where `messages` has it."""
    context: str = ""
    """The column of the input the instruction is about."""
    response: str = ""
    """Columns that need not be there; empty names none. A column that is named must be."""
    instances: str = ""
    """A column with a list of ``{"input": …, "output": …}``, as self-instruct has it: contexts and responses."""
    each_instance: bool = True
    """Whether each instance is a row; else the first alone is."""
    messages: str = ""
    """A column with a chat, ``[{"role": "user", "content": …}, …]``: its first exchange is the instruction and its
    response, a system message before it the context."""
    task_type: str = ""
    base_query: str = ""
    constraints: str = ""
    """Columns of an instruction that was taken apart: constraints are a list of ``{"category": …, "text": …}``. With a
    `base_query` the column of the instruction may be empty."""
    repeats: Literal["keep", "refuse"] = "refuse"
    """Whether an instruction that stands twice in one file (with the same context) is a bad input."""
    limit: int = 0
    """How many rows of each file are read, from its beginning; 0 for all."""
    domain: str = ""
    license: str = ""
    max_bytes: int = 32 * 1024 * 1024
    """The longest line of JSON."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_glob(self.glob)
        if self.max_bytes < 1 or self.limit < 0:
            raise ValueError(f"max_bytes is {self.max_bytes}, 1 or more, and limit {self.limit}, 0 (for all) or more")
        if self.messages and (self.instances or self.context or self.response):
            raise ValueError("messages holds instruction, context and response; leave out the columns of these")
        if self.instances and (self.context or self.response):
            raise ValueError("instances hold contexts and responses; leave out the columns of these")
        if not (self.messages or self.instruction or self.base_query):
            raise ValueError("instruction is empty; it names the column of the instruction")
        if bool(self.constraints) != bool(self.base_query):
            raise ValueError("constraints and base_query go together: an instruction taken apart has both")

    def files(self, root: Path) -> list[Path]:
        """Every file of rows, by name."""
        return row_files(root, self.glob, "instructions")

    def skipped(self, root: Path) -> list[Path]:
        """Every file of another kind that `glob` names, but for what `datasets` writes beside the rows."""
        return other_files(root, self.glob)

    def read(self, path: Path, name: str) -> Iterator[Instruction | BadInput]:
        """The instructions of one file."""
        first = dict[tuple[object, ...], str]()
        count = 0
        for count, row in enumerate(rows_of(path, name, max_bytes=self.max_bytes), start=1):
            if isinstance(row, BadInput):
                yield row
            else:
                yield from self._rows(row, first)
            if count == self.limit:
                return
        if not count:
            yield BadInput(name, "empty", "holds no rows")

    def _rows(self, row: Row, first: dict[tuple[object, ...], str]) -> Iterator[Instruction | BadInput]:
        try:
            made = [self._instruction(row, *said) for said in self._said(row)]
        except BadRow as bad:
            yield bad.at(row)
            return
        for number, one in enumerate(made):
            key = (one.text, one.context, one.base_query, one.constraints)
            place = f"{row.where} instance {number + 1}" if len(made) > 1 else row.where
            before = first.setdefault(key, place)
            if before != place and self.repeats == "refuse":
                found = f"says what {before} says; to read both, set `repeats: keep`"
                yield BadInput(row.where, "repeated", found, row.line)
            else:
                yield one

    def _instruction(self, row: Row, text: str, context: str, response: str) -> Instruction:
        return Instruction.new(
            text=text,
            context=context,
            response=response,
            task_type=optional_text(row, self.task_type),
            base_query=optional_text(row, self.base_query),
            constraints=constraints_of(value_of(row, self.constraints)) if self.constraints else (),
            source=row.where,
            domain=self.domain,
            license=self.license,
        )

    def _said(self, row: Row) -> list[tuple[str, str, str]]:
        """Instruction, context and response, once or for each instance."""
        if self.messages:
            return [_exchange(value_of(row, self.messages), self.messages)]
        if self.base_query:
            text = optional_text(row, self.instruction) if self.instruction in row.values else ""
        else:
            text = text_of(row, self.instruction, "instruction")
        if self.instances:
            pairs = _instances(value_of(row, self.instances), self.instances)
            return [(text, *pair) for pair in (pairs if self.each_instance else pairs[:1])]
        return [(text, optional_text(row, self.context), optional_text(row, self.response))]


def constraints_of(found: object) -> tuple[Constraint, ...]:
    """The constraints of a plain list, in canonical order; a text alone is one of content.

    >>> constraints_of(["Be kind.", {"category": "Language", "text": "Answer in French."}])[0]
    Constraint(category='language', text='Answer in French.', simplified_query='')

    Raises:
        BadRow: ``bad_constraints``, where it is no such list.
    """
    if found is None:
        return ()
    if not isinstance(found, list | tuple):
        raise BadRow("bad_constraints", f"constraints must be a list; found {shown(found)}")
    made = list[Constraint]()
    for one in found:
        said: Mapping[str, Any] = {"category": "content", "text": one} if isinstance(one, str) else one
        text = said.get("text") if isinstance(said, Mapping) else None
        category = category_of(str(said.get("category", ""))) if isinstance(said, Mapping) else ""
        if not isinstance(text, str) or not text.strip() or category not in CATEGORIES:
            wanted = f"text, or {{category, text}} with a category of {', '.join(CATEGORIES)}"
            raise BadRow("bad_constraints", f"a constraint must be {wanted}; found {shown(one)}")
        query = said.get("simplified_query") or ""
        made.append(Constraint(category=category, text=text.strip(), simplified_query=str(query).strip()))
    return canonical(made)


def _instances(found: object, column: str) -> list[tuple[str, str]]:
    if not isinstance(found, list | tuple) or not found or not all(isinstance(one, Mapping) for one in found):
        wanted = 'a list of {"input": …, "output": …}, one or more'
        raise BadRow("bad_instances", f"the field {column!r} must be {wanted}; found {shown(found)}")
    return [(_plain(one.get("input")), _plain(one.get("output"))) for one in found]


def _exchange(found: object, column: str) -> tuple[str, str, str]:
    turns = found if isinstance(found, list | tuple) else []
    if not all(isinstance(turn, Mapping) and isinstance(turn.get("content"), str) for turn in turns):
        turns = []
    at = next((at for at, turn in enumerate(turns) if turn.get("role") == "user" and turn["content"].strip()), None)
    if at is None:
        wanted = 'a list of {"role": …, "content": text} with a turn of the user'
        raise BadRow("no_instruction", f"the field {column!r} must be {wanted}; found {shown(found)}")
    before = "\n\n".join(_plain(turn["content"]) for turn in turns[:at] if turn.get("role") == "system")
    after = next((_plain(turn["content"]) for turn in turns[at + 1 : at + 2] if turn.get("role") == "assistant"), "")
    return _plain(turns[at]["content"]), before, after


def _plain(value: object) -> str:
    return "" if value is None else str(value).replace("\r\n", "\n").strip()
