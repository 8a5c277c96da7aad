"""The kinds of step and the contract of each.

A step is a frozen, keyword-only dataclass. Its fields, the prompt included, are its identity; `version` is raised when
its code changes what it makes. It reads records of one type and writes records of another:

* `Source`: reads records from files.
* `Generator`: one async function that asks a model. Rows made from a record do not depend on any other record.
* `Filter`: named reasons as column expressions; a stack of filters runs as one query.
* `DatasetStep`: needs all parts at once (dedup, selection, graph building).
* `DatasetGenerator`: needs all parts at once and asks a model (entity resolution, a curriculum that follows what was
  accepted).

A file is named for its one step: ``gopher_quality.py`` holds ``GopherQuality``, known in a bill as ``gopher_quality``.
"""

from __future__ import annotations

import asyncio
import re
import typing
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

import polars as pl
import pyarrow as pa
from pydantic import BaseModel

from mashbill.engine import Message, Sampling
from mashbill.errors import BadReply, Unanswered
from mashbill.records import Record, Reject, schema_of

if TYPE_CHECKING:
    from mashbill.ask import Answer, Ask

In = TypeVar("In", bound=Record)
Out = TypeVar("Out", bound=Record)
T = TypeVar("T")

_VERDICTS = pl.List(pl.Struct({"name": pl.String, "outcome": pl.String, "detail": pl.String}))

Prompt = str | Message | Sequence[Message]
"""What can be asked: a user message's text, one message, or a whole conversation."""


def snake_case(name: str) -> str:
    """A class name as a file, bill and directory name.

    >>> snake_case("MinhashDedup"), snake_case("TCIA"), snake_case("KGPath")
    ('minhash_dedup', 'tcia', 'kg_path')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


@dataclass(frozen=True, kw_only=True)
class Step:
    """What every step has: a name and the record types it reads and writes, all taken from its class."""

    name: ClassVar[str] = ""
    reads: ClassVar[type[Record]] = Record
    writes: ClassVar[type[Record]] = Record
    version: ClassVar[int] = 1
    """Part of the step's identity: raise it when the same fields make other rows."""
    asks: ClassVar[bool] = False
    """Whether it asks a model."""
    judges: ClassVar[bool] = False
    """Whether, where it asks, it judges rows that are there and makes none: then most of them may go, and a stream with
    nothing but that is no generated one."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Name the step and read its record types from ``Generator[In, Out]`` or ``Filter[T]``."""
        super().__init_subclass__(**kwargs)
        cls.name = snake_case(cls.__name__)
        for base in getattr(cls, "__orig_bases__", ()):
            kinds = [kind for kind in typing.get_args(base) if isinstance(kind, type) and issubclass(kind, Record)]
            if kinds:
                cls.reads, cls.writes = kinds[0], kinds[-1]

    def engines(self) -> Sequence[str]:
        """The names, under ``engines`` in the bill, of those it asks besides the main one; from its fields."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Generator(Step, Generic[In, Out]):
    r"""Makes records by asking a model.

    Write `make`; or, for a recipe of one question, `prompt` and `parse`, and `make` comes for free::

        @dataclass(frozen=True, kw_only=True)
        class Summarise(Generator[Document, Document]):
            def prompt(self, record: Document) -> Prompt:
                return user(record.text, "\n\nSummarise the text above in three sentences.")

            def parse(self, record: Document, answer: Answer[Any]) -> Iterable[Document]:
                yield record.child(Document, kind="summary", title=record.title, text=answer.text, made=answer.made())

    The contract:

    * What `make` returns depends on the record, the fields and the replies, never on order, clock or other records.
      Randomness comes from `mashbill.fingerprint.seed_of(record.id, self.name, k)`.
    * A reply that cannot be used is a `BadReply`: raised, it rejects the whole record; returned among the rows (see
      `settle`), it rejects that one attempt. Any other exception is a bug and stops the run.
    * After a crash `make` runs again from the top; replies already in the ledger come back at no cost.
    """

    asks: ClassVar[bool] = True
    sampling: Sampling = Sampling()
    returns: ClassVar[type[BaseModel] | None] = None
    """For the shorthand: the shape the reply must have; None takes it as text."""

    async def make(self, record: In, ask: Ask) -> Iterable[Out | BadReply]:
        """The records made from one record, in a fixed order, with the attempts that failed."""
        answer: Answer[Any]
        if self.returns is None:
            answer = await ask(self.prompt(record), sampling=self.sampling)
        else:
            answer = await ask(self.prompt(record), sampling=self.sampling, returns=self.returns)
        return list(self.parse(record, answer))

    def prompt(self, record: In) -> Prompt:
        """The question of a one-question recipe."""
        raise TypeError(f"{type(self).__name__} has neither `make` nor `prompt`; a generator needs one of them")

    def parse(self, record: In, answer: Answer[Any]) -> Iterable[Out]:
        """The records in the reply of a one-question recipe; raise `BadReply` for a reply that cannot be used."""
        raise TypeError(f"{type(self).__name__} has `prompt` but not `parse`; a one-question recipe needs both")


async def settle(attempts: Iterable[Awaitable[T]], *, apart: bool = False) -> list[T | BadReply]:
    """Await attempts together; a `BadReply` becomes a value in its place, anything else stops them all.

    The order is that of the attempts, so the rows made do not depend on which reply came first.

    With `apart`, each attempt makes rows of its own that are right without the others: one that was not answered in
    this run (`Unanswered`: over the budget) becomes a `BadReply` in its place too, and the rows of the others stay.
    Never for draws that are counted together, as votes and pass rates are: there the whole record waits.
    """

    async def one(attempt: Awaitable[T]) -> T | BadReply:
        try:
            return await attempt
        except BadReply as bad:
            return bad
        except Unanswered as missing:
            if not apart:
                raise
            return unanswered(missing)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(attempt)) for attempt in attempts]
    except BaseExceptionGroup as several:
        # A bug is told before what a later run mends by itself.
        first = next((one for one in several.exceptions if not isinstance(one, Unanswered)), several.exceptions[0])
        raise first from first.__cause__
    return [task.result() for task in tasks]


def unanswered(missing: Unanswered) -> BadReply:
    """The reject of what was not answered in this run."""
    return BadReply(missing.state, str(missing))


@dataclass(frozen=True, kw_only=True)
class Filter(Step, Generic[In]):
    """Rejects rows by named reasons.

    `reasons` maps a reason to an expression over the columns of the record type that is True where the row must go;
    null counts as False. A row keeps the first reason that hit, in the order of the stack and then of the mapping.
    `scores` maps a score's name to a number per row; scores are added to every row, kept or rejected.

    ::

        @dataclass(frozen=True, kw_only=True)
        class MinWords(Filter[Document]):
            words: int = 50

            def reasons(self) -> dict[str, pl.Expr]:
                return {"too_few_words": word_count("text") < self.words}

    The contract: a filter looks at one row at a time, so filtering twice is filtering once, and order does not matter.
    """

    def columns(self) -> Sequence[str]:
        """The columns it reads that its record type does not promise; checked before any work."""
        return ()

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        raise TypeError(f"{type(self).__name__} has no `reasons`")

    def scores(self) -> dict[str, pl.Expr]:
        """Score name -> a number for each row."""
        return {}


@dataclass(frozen=True, slots=True)
class BadInput:
    """A piece of a source that cannot be a record: where it stands, a countable reason, and what was found."""

    where: str
    """File name relative to the source's root, with ``:line`` where there are lines."""
    reason: str
    detail: str
    line: int | None = None


@dataclass(frozen=True, kw_only=True)
class Source(Step, Generic[Out]):
    """Reads records from files of the user's.

    The files' names (relative to `path`) and contents are the identity, with the fields that shape the rows; where the
    files lie is not. What cannot be a record is a `BadInput`: it stops the run, or with ``bad_input: reject`` becomes
    a reject row. Empty pieces never stop a run; they are always counted.
    """

    path: str = field(metadata={"identity": False})
    """A file or folder, relative to the bill."""
    bad_input: Literal["stop", "reject"] = "stop"
    part_rows: int = 1000
    """Rows per stored part: the unit of parallelism and of retry."""

    def __post_init__(self) -> None:
        if self.part_rows < 1:
            raise ValueError(f"part_rows is {self.part_rows}; a part holds 1 row or more")

    def skipped(self, root: Path) -> list[Path]:
        """The files under the resolved path that are of no kind it reads: each becomes a reject, `unknown_kind`."""
        del root
        return []

    def files(self, root: Path) -> list[Path]:
        """The files to read under the resolved path, in a fixed order."""
        raise TypeError(f"{type(self).__name__} has no `files`")

    def read(self, path: Path, name: str) -> Iterator[Out | BadInput]:
        """The records of one file, in order; `name` is its name relative to the source."""
        raise TypeError(f"{type(self).__name__} has no `read`")


class Parts(Protocol):
    """The parts of a stored input, readable as often as needed and never all in memory at once."""

    def __len__(self) -> int:
        """How many parts there are."""
        ...

    def table(self, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        """One part, or some of its columns."""
        ...

    def __iter__(self) -> Iterator[pa.Table]:
        """Each part in order."""
        ...


@dataclass(frozen=True, slots=True)
class PartOutput:
    """What a step made of one input part: rows kept or made, and reject rows (see `reject_table`).

    What a step counts besides rows (pairs left undecided, draws that were not wanted) goes into `noted`: the counters
    of all parts are summed in the manifest's counts, where the step's `report` finds them as
    ``stored.manifest.counts.noted``. They are stored with the part, so they survive a crash.
    """

    kept: pa.Table
    rejects: pa.Table
    noted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DatasetStep(Step, Generic[In, Out]):
    """A step that must see all parts before it can say anything of one.

    `run` yields one `PartOutput` for each input part, in order. With `accounts_for_rows`, kept plus rejected must be
    what was read, and the runtime checks it; a step that builds something else from its rows sets it to False.
    """

    accounts_for_rows: ClassVar[bool] = True

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part, in order."""
        raise TypeError(f"{type(self).__name__} has no `run`")


@dataclass(frozen=True, kw_only=True)
class DatasetGenerator(Step, Generic[In, Out]):
    """A step that asks a model and must see all parts before it knows what to ask.

    `make` yields any number of parts, in an order that its input and the replies alone decide. Each `PartOutput` holds
    rows kept and reject rows, as for a `DatasetStep` that does not account for each row it read. The asks of one record
    belong to ``ask.of(record.id)``, so that their seeds come from that record and not from its neighbours::

        async def make(self, parts: Parts, ask: Ask) -> AsyncIterator[PartOutput]:
            for table in parts:
                for pair in doubtful(table):
                    answer = await ask.of(pair.id)(self.question(pair), returns=Same)

    After a crash it runs again from the top; replies already in the ledger come back at no cost, and parts that were
    written are written again with the same bytes.
    """

    asks: ClassVar[bool] = True

    def make(self, parts: Parts, ask: Ask) -> AsyncIterator[PartOutput]:
        """The parts made of the whole input, in order."""
        raise TypeError(f"{type(self).__name__} has no `make`")


def reject_table(
    rows: pl.DataFrame,
    *,
    step: str,
    kind: type[Record],
    reason: pl.Expr,
    detail: pl.Expr | None = None,
    kept_id: pl.Expr | None = None,
    value: pl.Expr | None = None,
    cluster: pl.Expr | None = None,
    by: pl.Expr | None = None,
) -> pa.Table:
    """Reject rows for the rows of a record table, made column-wise.

    `rows` has the columns of `kind`, and any others that the expressions use. The whole row goes into the reject's
    `record` column as JSON. `by` names the step row by row where several judged together.
    """
    names = schema_of(kind).names
    text = pl.col("text").fill_null("") if "text" in names else pl.lit("")
    empty = pl.lit("")
    frame = rows.select(
        pl.col("id", "parents", "source_id", "source", "domain", "license", "made", "scores"),
        kind=pl.lit(kind.__name__),
        step=pl.lit(step) if by is None else by,
        reason=reason,
        detail=empty if detail is None else detail,
        text=text,
        kept_id=empty if kept_id is None else kept_id,
        value=(pl.lit(None) if value is None else value).cast(pl.Float64),
        cluster=empty if cluster is None else cluster,
        subjects=pl.col("subjects") if "subjects" in names else pl.lit([], dtype=pl.List(pl.String)),
        verdicts=pl.col("verdicts") if "verdicts" in names else pl.lit([], dtype=_VERDICTS),
        record=pl.struct(names).struct.json_encode(),
    )
    return conform(frame, Reject)


def conform(frame: pl.DataFrame, kind: type[Record]) -> pa.Table:
    """A polars frame as an Arrow table with exactly the schema of a record type."""
    schema = schema_of(kind)
    return frame.select(schema.names).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema)
