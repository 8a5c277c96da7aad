"""The bill: one YAML file that names sources, generators, filters, shares and a student.

::

    name: tolvarey
    license: Apache-2.0
    sources:
      almanac: {read_documents: {path: corpus, domain: Tolvarey}}
      general: {read_documents: {path: replay}}
    engine: {transformers: {model: smollm2-135m-instruct}}
    engines: {judge: {openai: {model: qwen3-8b}}}      # others, by role, for the steps that ask them
    streams:
      raw:       {from: almanac}
      entigraph: {from: almanac, generate: [{entigraph: {max_pairs: 20}}]}
    curate: [gopher_quality, exact_dedup, {minhash_dedup: {threshold: 0.75}}]
    release: {streams: {entigraph: 1}, splits: {validation: 0.1}}
    student: {model: smollm2-135m-instruct}
    train:
      tokens: 40000
      replay: {from: general, share: 0.1}
      arms: {raw: {raw: 1}, entigraph: {entigraph: 1}}
    evaluate: {questions: questions.jsonl}

It is checked whole before any work: unknown names, wrong values and steps that do not fit stop with file and line.
There is no programming in it: a name is a step's, a value is a field's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mashbill.engine_env import engine_role
from mashbill.filter_stack import FilterStack
from mashbill.read_steps import loaded
from mashbill.records import Record
from mashbill.runtime import RejectPolicy
from mashbill.section import Section
from mashbill.step import Filter, Source, Step

TOP = (
    "name",
    "version",
    "description",
    "license",
    "language",
    "seed",
    "steps",
    "sources",
    "engine",
    "engines",
    "streams",
    "curate",
    "rejects",
    "release",
    "student",
    "train",
    "star",
    "loop",
    "evaluate",
)

HOW_IT_RUNS = ("run", "_open")
"""Fields of an engine that are no identity: they come from the settings, never from the bill."""

_SPLIT = re.compile(r"\w+(\.\w+)*", re.ASCII)
"""What may name a split: it is part of a file's name, and the `datasets` library takes no other."""


@dataclass(frozen=True, kw_only=True)
class Accept:
    """How much is to come of a stream: its source is asked about until so many curated rows, or tokens, stand."""

    rows: int = 0
    tokens: int = 0

    def __post_init__(self) -> None:
        """Refuse what says nothing."""
        if (self.rows > 0) == (self.tokens > 0) or min(self.rows, self.tokens) < 0:
            raise ValueError(f"wants rows or tokens, one of them and 1 or more; found {self.rows} and {self.tokens}")

    @property
    def amount(self) -> int:
        """Rows, or tokens."""
        return self.rows or self.tokens


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One way from a source, or from streams above it, to curated rows."""

    name: str
    origins: tuple[str, ...]
    """Where its rows come from: sources, and streams that stand above it in the bill; several are taken together."""
    steps: tuple[Step, ...]
    """Generators and dataset steps, then curation; neighbouring filters are one stack."""
    writes: type[Record] = Record
    """The record type of its curated rows."""
    accept: Accept | None = None
    """How much is to come of it; None takes what its source gives."""
    rejects: RejectPolicy | None = None
    """None takes each kind of step's own default."""
    from_made: bool = False
    """Whether a model makes rows of a stream that it takes."""

    @property
    def generates(self) -> bool:
        """Whether a model makes its rows."""
        return self.from_made or any(step.asks and not step.judges for step in self.steps)

    @property
    def asks(self) -> bool:
        """Whether a model is asked, be it only to judge rows."""
        return any(step.asks for step in self.steps)


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is published: streams by shares of text, and the splits."""

    streams: Mapping[str, float] = field(default_factory=dict)
    """Stream -> share by bytes of text; empty takes all streams that generate, whole."""
    splits: Mapping[str, float] = field(default_factory=dict)
    """Held-out split -> share of the source documents; the rest is ``train``."""
    shares_by: Literal["bytes", "tokens"] = "bytes"
    """What shares are counted in: bytes of text, or tokens of `tokenizer` (the student's where that is not given)."""
    tokenizer: str = ""
    """What counts tokens: a folder with tokenizer.json, relative to the bill; ``bytes``; or the embedded model."""

    def __post_init__(self) -> None:
        for name, share in self.streams.items():
            if not 0 < share < math.inf:
                raise ValueError(f"the share of {name} is {share:g}; it must be above 0: leave a stream out instead")
        if "train" in self.splits:
            raise ValueError("train is what the other splits leave; give only those")
        for name, share in self.splits.items():
            # "all" would mean every split to the `datasets` library.
            if not _SPLIT.fullmatch(name) or name == "all":
                raise ValueError(f"a split cannot be called {name!r}; use letters, digits and _, and not `all`")
            if not 0 < share < 1:
                raise ValueError(f"the split {name} is {share:g}; it must lie between 0 and 1")
        if sum(self.splits.values()) >= 1:
            raise ValueError(f"the splits take {sum(self.splits.values()):g} together; leave something for train")


@dataclass(frozen=True, kw_only=True)
class Bill:
    """A checked bill. Sections of packages above the kernel (engine, student, train, evaluate) keep their lines."""

    path: Path
    name: str
    version: str
    description: str
    license: str
    language: str
    seed: int
    sources: Mapping[str, Source[Any]]
    streams: Mapping[str, Stream]
    release: Release
    folders: tuple[Path, ...]
    whole: Section = field(repr=False)

    @property
    def folder(self) -> Path:
        """What paths in the bill are relative to."""
        return self.path.parent

    @property
    def released(self) -> Mapping[str, float]:
        """Stream -> share of the released text, not normalised; 0 takes the stream whole."""
        if self.release.streams:
            return self.release.streams
        taken = {origin for stream in self.streams.values() for origin in stream.origins if origin not in self.sources}
        ends = [name for name in self.streams if name not in taken]
        generating = [name for name in ends if self.streams[name].generates]
        return dict.fromkeys(generating or ends, 0.0)

    def source_path(self, name: str) -> Path:
        """Where a source's files lie."""
        return (self.folder / self.sources[name].path).resolve()

    def section(self, name: str) -> Section | None:
        """A top-level section, or None when the bill has none."""
        return self.whole.at(name) if name in self.whole else None

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the engines besides the main one."""
        return tuple(name for name, _ in self.whole.at("engines").items()) if "engines" in self.whole else ()

    def _engine_section(self, role: str) -> Section | None:
        if not role:
            return self.section("engine")
        return self.whole.at("engines").at(role) if role in self.roles else None

    def engine(self, role: str = "") -> Any | None:
        """The main engine, or that of a role, with the bill's fields and not started; None when the bill names none.

        Raises:
            BillError: for an unknown or wrong field; how an engine is reached is not the bill's to say.
        """
        section = self._engine_section(role)
        if section is None:
            return None
        name, fields = section.named()
        cls = loaded("engine", name, fields, self.folders)
        model = fields.value.get("model") if isinstance(fields.value, Mapping) else None
        if isinstance(model, str) and (self.folder / model / "config.json").is_file():
            # A checkpoint directory lies, like every path in a bill, relative to the bill.
            fields = replace(fields, value={**fields.value, "model": str((self.folder / model).resolve())})
        with engine_role(role):
            return fields.build(cls, hide=HOW_IT_RUNS)


def fused(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps with neighbouring filters made one stack."""
    result: list[Step] = []
    for step in steps:
        if isinstance(step, Filter):
            last = result.pop() if result and isinstance(result[-1], FilterStack) else FilterStack(filters=())
            assert isinstance(last, FilterStack)
            result.append(FilterStack(filters=(*last.filters, step)))
        else:
            result.append(step)
    return tuple(result)
