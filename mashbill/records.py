r"""Records: the frozen, typed rows that steps read and write, and their Arrow schemas.

A record's schema comes from its annotations alone, so a column that is empty in one part keeps its type. A record's
id comes from its content (`Record.new`), so the same content has the same id on any machine and in any file; what a
source gives twice is numbered by `mashbill.ingest`. Records are changed by `dataclasses.replace` followed by a new id,
never in place. There is no free-form dict anywhere.

One row, as it lies in Parquet (a relation text made by EntiGraph)::

    {"id": "6f1c…", "parents": ["09ab…"], "source_id": "09ab…", "domain": "Veylund", "kind": "relation",
     "title": "The Salt Guild", "text": "Discussion of The Salt Guild in …", "subjects": ["Ora Venn", "salt"],
     "made": {"step": "entigraph", "engine": "transformers/smollm2-135m-instruct@5af1…", "asks": ["c3…", "77…"],
              "sampling": "{\"max_tokens\":400,…}", "seed": 1094795585, "finish_reason": "stop",
              "prompt_tokens": 911, "completion_tokens": 212},
     "scores": [{"name": "words", "value": 171.0}], …}
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pyarrow as pa

from mashbill import rows
from mashbill.fingerprint import FieldsId


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One measured number on a record, by name."""

    name: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one check said of a record; an ``error`` is neither a pass nor a fail.

    An outcome is one of three words and no truth value, so that a check that failed to answer cannot count as a yes.
    """

    name: str
    """The check, e.g. ``numeric`` or ``grader:judge``."""
    outcome: str
    """``pass``, ``fail`` or ``error``."""
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the check answered, and answered yes."""
        return self.outcome == "pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """How a generated record came to be; empty for a record that was read, not made."""

    step: str = ""
    """The step's name, e.g. ``entigraph``."""
    step_fingerprint: str = ""
    """The fingerprint of the stored step (prompt, thresholds and inputs included)."""
    engine: str = ""
    """The engine's identity: kind, model and revision."""
    asks: tuple[str, ...] = ()
    """Ledger keys of the replies it was made from, the one that holds its text last."""
    sampling: str = ""
    """Canonical JSON of the sampling parameters of the last ask."""
    seed: int = 0
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The fields every record has. Make one with `new`, which computes the id."""

    id: str = ""
    parents: tuple[str, ...] = ()
    """Ids of the records it was made from; empty for a source record."""
    source_id: str = ""
    """Id of the source record it goes back to; splits never share one."""
    source: str = ""
    """Where that source record was read: file name relative to the source's root, with ``:line`` for JSONL.

    Where a thing lies is not what it is: a line put in above it, or another file name, leaves the id as it was.
    """
    domain: str = ""
    license: str = ""
    made: Made = Made()
    scores: tuple[Score, ...] = ()

    not_content: ClassVar[frozenset[str]] = frozenset({"id", "source_id", "source", "made", "scores", "license"})
    """Fields that do not enter the id."""

    @classmethod
    def new(cls, **fields: Any) -> Self:
        """A record with its content id; ``source_id`` defaults to the record's own id (a source record)."""
        record = cls(**fields)
        record_id = _record_id(record)
        # Set on the record that was just made and that nobody has seen: a copy would cost as much as the id.
        object.__setattr__(record, "id", record_id)
        if not record.source_id:
            object.__setattr__(record, "source_id", record_id)
        return record

    def identified(self) -> Self:
        """The same record with the id its content asks for."""
        record_id = _record_id(self)
        return dataclasses.replace(self, id=record_id, source_id=self.source_id or record_id)

    def child(self, record_type: type[R], /, **fields: Any) -> R:
        """A record made from this one: parents, source, domain and licence filled in."""
        inherited = {
            "parents": (self.id,),
            "source_id": self.source_id,
            "source": self.source,
            "domain": self.domain,
            "license": self.license,
        }
        return record_type.new(**{**inherited, **fields})


R = typing.TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Record):
    """A text to train on: a source document or one made from it."""

    kind: str = "source"
    """``source``, ``summary``, ``relation``, ``rephrase``, …"""
    title: str = ""
    author: str = ""
    year: str = ""
    text: str
    subjects: tuple[str, ...] = ()
    """What a made text is about, e.g. the entities of an EntiGraph relation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One requirement an instruction carries."""

    category: str
    """``content``, ``numerical``, ``style``, ``format``, ``language`` or ``input_placeholder``."""
    text: str
    simplified_query: str = ""
    """The instruction without this one requirement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One change in the life of an instruction: what was done, to which constraint, taken from which task.

    >>> swap = Operation(name="replace", constraint="Answer in French.", replaced="Be brief.", source_task="6f1c")
    """

    name: str
    """A search over constraints writes ``add``, ``remove`` and ``replace``; other recipes have names of their own."""
    constraint: str = ""
    """The text of the constraint that was put in; of the one that was taken out where nothing was put in."""
    source_task: str = ""
    """Id of the row that the constraint put in was taken from."""
    replaced: str = ""
    """The text of the constraint that was taken out where another was put in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction(Record):
    """An instruction with its task type, constraints and the operations that led to it.

    One row, two operations away from its seed, before anybody has written its text::

        {"text": "", "task_type": "meeting summary", "base_query": "Summarise the meeting.",
         "constraints": [{"category": "language", "text": "Write in French."},
                         {"category": "numerical", "text": "Use at most five bullets."}], "hop": 2,
         "operations": [{"name": "add", "constraint": "Write in French.", "source_task": "6f1c…"},
                        {"name": "remove", "constraint": "Name each speaker."}], …}
    """

    text: str
    """What a student is told to do; empty for a set of constraints whose text is still to be written."""
    task_type: str = ""
    base_query: str = ""
    """The instruction without any of its constraints."""
    constraints: tuple[Constraint, ...] = ()
    operations: tuple[Operation, ...] = ()
    """What was done to the seed, in order: replayed on its constraints it gives these."""
    context: str = ""
    response: str = ""
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes of the languages its text uses; empty where nobody looked."""
    hop: int = 0
    """How many operations lie between it and its seed; 0 for what was read."""
    task_cluster: str = ""
    """The name of the group of like task types that its own belongs to, in the database it comes from."""
    verdicts: tuple[Verdict, ...] = ()
    """What each check said of its text and of its response."""

    not_content: ClassVar[frozenset[str]] = Record.not_content | {"languages", "hop", "task_cluster", "verdicts"}
    """What was found out about an instruction: its operations, which are content, say how far it is from its seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseTask(Instruction):
    """One task of a database of instructions, with the vectors it is found by."""

    query_vector: bytes
    """Of the base query: 16-bit floats, little-endian, of length one together."""
    type_vector: bytes
    """Of the task type."""
    embedder: str
    """The name of the embedder that made them (`mashbill.embedding`)."""

    not_content: ClassVar[frozenset[str]] = Instruction.not_content | {"query_vector", "type_vector", "embedder"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Triple(Record):
    """One edge of a knowledge graph with the text it was read from.

    The same edge read at two places is two triples: each carries its own evidence.
    """

    head: str
    relation: str
    tail: str
    head_type: str = ""
    """The kind of thing the head is, e.g. ``person``; empty when nobody said."""
    tail_type: str = ""
    evidence: str = ""
    """The words of the document that state it, exactly as they stand there; empty for a graph read from a file."""
    evidence_start: int | None = None
    """Where the evidence begins in the text of the document it was read from (its parent), in characters from 0."""
    evidence_end: int | None = None
    """Where it ends: ``text[evidence_start:evidence_end] == evidence``."""
    head_surface: str = ""
    """The head as it was first read, where entity resolution gave it another name; else empty."""
    tail_surface: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One step of a path, said in the direction it was walked, so that it is true as it reads.

    A triple that was walked from its tail to its head is said by the inverse of its relation:

    >>> edge = Edge(head="Ora", relation="inverse of made_by", tail="salt", inverse=True, stated="made_by")
    >>> edge.triple
    ('salt', 'made_by', 'Ora')
    """

    head: str
    """The node the step starts from."""
    relation: str
    tail: str
    inverse: bool = False
    """Whether it was walked from the tail of its triple to the head."""
    stated: str = ""
    """The relation of the triple, where `relation` is its inverse; else empty."""

    @property
    def triple(self) -> tuple[str, str, str]:
        """Head, relation and tail as the graph states them."""
        return (self.tail, self.stated, self.head) if self.inverse else (self.head, self.relation, self.tail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Path(Record):
    """A walk through a knowledge graph that comes to no node twice."""

    edges: tuple[Edge, ...]
    repeat: int = 0
    """How often the same walk was drawn before, so that two draws of it are two records."""

    @property
    def hops(self) -> int:
        """How many edges it has."""
        return len(self.edges)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes in the order they are come to, one more than the edges."""
        return (*(edge.head for edge in self.edges), *(edge.tail for edge in self.edges[-1:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class QA(Record):
    """A question with its answer.

    One row, as a graph's path becomes it::

        {"kind": "vignette", "question": "The keeper of a salt works asks …", "options": ["Ora Venn", "salt", …],
         "answer": "Ora Venn", "rationale": "The works lie in Veylund. …", "category": "guilds",
         "path": [{"head": "Veylund", "relation": "seat of", "tail": "Salt Guild"}, …], "negatives": "type",
         "verdicts": [{"name": "grader:first", "outcome": "pass", "detail": ""}, …], "pass_rate": None, …}
    """

    kind: str = ""
    """The format: ``vignette``, ``plain``, ``true_false``, ``choice``, ``blank``, ``edit``, ``open``, …"""
    context: str = ""
    """What is given beside the question: a passage, or a chain of facts to be mended. Empty for a closed book."""
    question: str
    options: tuple[str, ...] = ()
    """The choices in the order of their letters; empty where there are none."""
    answer: str
    accepted: tuple[str, ...] = ()
    """Every right answer where there are several (the answer among them); empty where `answer` is the only one."""
    rationale: str = ""
    """The thinking that leads to the answer, to be learnt with it."""
    category: str = ""
    """A finer heading than the discipline, e.g. the kind of node the answer is."""
    discipline: str = ""
    """``field/sub-field`` of a taxonomy, e.g. ``mathematics/algebra``."""
    is_stem: bool | None = None
    """Whether that discipline is a science, technology, engineering or mathematics; None where nobody said."""
    difficulty: int | None = None
    """1 (recall) to 5 (competition or graduate), as judged by an annotator or measured as a pass rate."""
    grade: str = ""
    """``primary``, ``middle``, ``high``, ``undergraduate`` or ``graduate``: where the question is first asked."""
    knowledge_points: tuple[str, ...] = ()
    """What one must know to answer it, e.g. ``unit price``."""
    path: tuple[Edge, ...] = ()
    negatives: str = ""
    """How the wrong options were chosen: ``written`` by a model, ``type``, ``similar`` or ``random`` from a graph."""
    verdicts: tuple[Verdict, ...] = ()
    """What each check said of the row."""
    pass_rate: float | None = None
    """Share of a student's attempts that were right."""
    exemplars: tuple[str, ...] = ()
    """Ids of the worked examples that its writer was shown, in their order."""

    not_content: ClassVar[frozenset[str]] = Record.not_content | {
        "pass_rate",
        "verdicts",
        "difficulty",
        "is_stem",
        "knowledge_points",
        "exemplars",
    }
    """What was measured or judged of a question is not the question."""

    @property
    def hops(self) -> int:
        """Edges of the path that the answer needs; 0 where there is no path."""
        return len(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rationale(Record):
    """A worked answer to a question: how a teacher came to it, the answer, and what was checked.

    One row; the question had a gold answer, four answers were drawn, and three of them were right::

        {"task": "maths", "question": "Ora sells 3 bags of salt at 4 marks each. How many marks?", "options": [],
         "context": "", "rationale": "Each bag costs 4 marks. Three bags cost 3 * 4 = 12 marks.", "answer": "12",
         "gold": "12", "teacher": "main", "draw": 2, "draws": 4, "pass_rate": 0.75, "distinct": 2,
         "skeleton": "3*4=12", "hinted": False, "round": 0, "exemplars": [],
         "verdicts": [{"name": "numeric", "outcome": "pass", "detail": ""}, …], "made": {"seed": 77, …}, …}

    Prompt version, seed, finish reason and tokens are in `made`, as on every made record.
    """

    task: str = ""
    """``maths``, ``question``, ``classification``, ``conversation``, ``extraction`` or ``summary``."""
    question: str
    options: tuple[str, ...] = ()
    context: str = ""
    """What was given beside the question: a passage, or the turns before it."""
    rationale: str
    """The steps, without the answer; empty where the teacher gave a label alone."""
    answer: str
    """The final answer, as the teacher wrote it."""
    gold: str | None = None
    """The right answer; None where nobody knows it."""
    teacher: str = ""
    """The teacher's role in the bill, ``main`` for its main engine, ``gold`` for the rationale the question came with.
    Which model that is stands in `made`."""
    draw: int = 0
    """Which of the teacher's draws it is, from 0."""
    draws: int = 0
    """How often the question was asked in all, over all teachers."""
    pass_rate: float | None = None
    """Share of the draws whose answer is right; where there is no gold answer, the share of the most frequent one."""
    distinct: int = 0
    """How many different skeletons the accepted draws have."""
    skeleton: str = ""
    """What two rationales share that reason alike: the list of equations, or a signature of the steps."""
    hinted: bool = False
    """Written by a teacher that was shown the answer, which is in no field of this row but `gold` and `answer`."""
    round: int = 0
    """Which round of bootstrapping made it, from 0."""
    exemplars: tuple[str, ...] = ()
    """Ids of the worked examples that the prompt showed, in their order."""
    verdicts: tuple[Verdict, ...] = ()
    """What each check said."""

    not_content: ClassVar[frozenset[str]] = Record.not_content | {
        "teacher",
        "draw",
        "draws",
        "pass_rate",
        "distinct",
        "skeleton",
        "hinted",
        "round",
        "exemplars",
        "verdicts",
    }
    """Who wrote it and how it was judged: two teachers that write the same words have made one row."""

    @property
    def verified(self) -> bool:
        """Whether there was a check and every check passed; one that could not answer is no pass."""
        return bool(self.verdicts) and all(verdict.passed for verdict in self.verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference(Record):
    """Two responses to one prompt, the better first."""

    prompt: str
    chosen: str
    rejected: str


RECORD_TYPES: dict[str, type[Record]] = {
    kind.__name__: kind for kind in (Document, Instruction, DatabaseTask, Triple, Path, QA, Rationale, Preference)
}


def field_names(kind: Any) -> tuple[str, ...]:
    """The names of a dataclass's fields, in order."""
    return rows.names_of(kind)


def _record_id(record: Record) -> str:
    kind: Any = type(record)  # Any: mypy holds a dataclass type not to be hashable
    return _fields_id(kind).of(record)


@functools.cache
def _fields_id(kind: Any) -> FieldsId:
    return FieldsId(kind.__name__, [name for name in rows.names_of(kind) if name not in kind.not_content])


def schema_of(kind: type[Record]) -> pa.Schema:
    """The Arrow schema of a record type.

    >>> schema_of(Triple).field("head").type
    DataType(string)
    """
    return rows.schema(typing.cast(Any, kind))


def to_row(value: Any) -> Any:
    """A record, or a field of one, as plain Python values for Arrow."""
    return rows.plain(value)


def to_table(records: Iterable[Record], kind: type[Record]) -> pa.Table:
    """Records as one Arrow table with the explicit schema of their type."""
    return rows.to_arrow(list(records), kind)


def from_table(table: pa.Table, kind: type[R]) -> list[R]:
    """The records of a stored table."""
    return rows.from_arrow(table, kind)


def from_rows(plain: Iterable[Mapping[str, Any]], kind: type[R]) -> list[R]:
    """Records from rows as `pa.Table.to_pylist` gives them; `from_table` takes a fifth of the time."""
    build = rows.builder(typing.cast(Any, kind))
    return [build(row) for row in plain]


def with_scores(record: R, scores: Mapping[str, float]) -> R:
    """The record with more scores; its id stays, since scores are not content."""
    added = tuple(Score(name=name, value=float(value)) for name, value in scores.items())
    return dataclasses.replace(record, scores=record.scores + added)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject(Record):
    """A row that was not kept, and why; what would have been the row is in `record` or `text`."""

    kind: str = ""
    """The record type that was rejected, e.g. ``Document``."""
    step: str = ""
    reason: str
    """Countable: snake_case, never prose, e.g. ``truncated``."""
    detail: str = ""
    """For a reader: what exactly was found."""
    text: str = ""
    """The reply or text that was rejected."""
    kept_id: str = ""
    """For a duplicate: the id of the row kept in its place."""
    value: float | None = None
    """The number that decided, e.g. the Jaccard similarity to the kept row."""
    cluster: str = ""
    """For a duplicate: the id of the best of all rows that likeness connects it with; for a conflict: of its group."""
    subjects: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    """What each check said of the attempt, those that passed it too."""
    record: str = ""
    """The whole rejected record as JSON, so that any decision can be undone."""

    not_content: ClassVar[frozenset[str]] = (Record.not_content - {"source"}) | {"verdicts", "cluster"}
    """A reject speaks of a place: two empty files are two rejects."""


def join_texts(values: Sequence[str], most: int = 5) -> str:
    """A short list for a message: the first few, and how many more.

    >>> join_texts(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = ", ".join(values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"
