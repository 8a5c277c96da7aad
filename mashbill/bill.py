"""The bill: one YAML file that names sources, generators, filters, shares and a student.

::

    name: tolvarey
    license: Apache-2.0
    sources:
      almanac: {read_documents: {path: corpus, domain: Tolvarey}}
      general: {read_documents: {path: replay}}
    engine: {transformers: {model: smollm2-135m-instruct}}
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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mashbill.errors import ChainError, RegistryError
from mashbill.execute import RejectPolicy
from mashbill.filter_stack import FilterStack
from mashbill.registry import load, nearest
from mashbill.section import Section
from mashbill.step import Filter, Generator, Source, Step, chain

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
    "streams",
    "curate",
    "rejects",
    "release",
    "student",
    "train",
    "evaluate",
)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One way from a source to curated rows."""

    name: str
    source: str
    steps: tuple[Step, ...]
    """Generators and dataset steps, then curation; neighbouring filters are one stack."""
    rejects: RejectPolicy | None = None
    """None takes each kind of step's own default."""

    @property
    def generates(self) -> bool:
        """Whether a model makes its rows."""
        return any(isinstance(step, Generator) for step in self.steps)


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is published: streams by shares of tokens, and the splits."""

    streams: Mapping[str, float] = field(default_factory=dict)
    """Stream -> share by tokens; empty takes all streams that generate, whole."""
    splits: Mapping[str, float] = field(default_factory=dict)
    """Held-out split -> share of the source documents; the rest is ``train``."""

    def __post_init__(self) -> None:
        if any(share <= 0 for share in self.streams.values()):
            raise ValueError("shares must be above 0; leave a stream out instead")
        if any(not 0 < share < 1 for share in self.splits.values()) or sum(self.splits.values()) >= 1:
            raise ValueError("splits must each lie between 0 and 1 and leave something for train")
        if "train" in self.splits:
            raise ValueError("train is what the other splits leave; give only those")


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
        """Stream -> share of the released tokens, not normalised; 0 takes the stream whole."""
        if self.release.streams:
            return self.release.streams
        generating = [name for name, stream in self.streams.items() if stream.generates]
        return dict.fromkeys(generating or self.streams, 0.0)

    def source_path(self, name: str) -> Path:
        """Where a source's files lie."""
        return (self.folder / self.sources[name].path).resolve()

    def section(self, name: str) -> Section | None:
        """A top-level section, or None when the bill has none."""
        return self.whole.at(name) if name in self.whole else None

    def engine_cls(self) -> tuple[type[Any], Section] | None:
        """The engine's class and its fields, or None when the bill names none."""
        if "engine" not in self.whole:
            return None
        name, fields = self.whole.at("engine").named()
        return _loaded("engine", name, fields, self.folders), fields


def read_bill(path: Path) -> Bill:
    """Read and check a bill.

    Raises:
        BillError: with file, line, what was found and what was wanted.
    """
    whole = Section.load(path)
    if whole.value is None:
        whole.fail("is empty; a bill needs at least name, sources and streams (see `mashbill new bill`)")
    whole.only(TOP, required=("name", "sources", "streams"))
    folders = tuple(path.parent / section.as_(str) for section in whole.get("steps").list())
    seed = whole.get("seed", 0).as_(int)
    sources = {name: _source(section, folders, seed) for name, section in whole.at("sources").items()}
    curate = [_step(section, folders, seed) for section in whole.get("curate").list()]
    policy = whole.at("rejects").build(RejectPolicy) if "rejects" in whole else None
    streams = {
        name: _stream(name, section, sources, curate, folders, seed, policy)
        for name, section in whole.at("streams").items()
    }
    bill = Bill(
        path=path,
        name=_name(whole.at("name")),
        version=str(whole.get("version", "1").value),
        description=whole.get("description", "").as_(str),
        license=whole.get("license", "").as_(str),
        language=whole.get("language", "en").as_(str),
        seed=seed,
        sources=sources,
        streams=streams,
        release=whole.get("release", {}).build(Release),
        folders=folders,
        whole=whole,
    )
    _check(bill)
    return bill


def _name(section: Section) -> str:
    name = section.as_(str)
    if not name or not all(letter.isalnum() or letter in "-_." for letter in name):
        section.fail(f"is the name of a folder and a dataset: letters, digits, - _ . only; found {name!r}")
    return name


def _loaded(sort: Any, name: str, section: Section, folders: Sequence[Path]) -> type[Any]:
    try:
        cls: type[Any] = load(sort, name, folders)
    except RegistryError as error:
        section.fail(str(error))
    return cls


def _built(section: Section, folders: Sequence[Path], seed: int) -> Step:
    name, fields = section.named()
    cls = _loaded("step", name, fields, folders)
    step: Step = fields.build(cls)
    # The bill's seed is every step's, unless the step's own is given.
    if "seed" in getattr(cls, "__dataclass_fields__", {}) and "seed" not in fields:
        step = Section({**fields.value, "seed": seed}, fields.path, fields.where, fields.lines).build(cls)
    return step


def _source(section: Section, folders: Sequence[Path], seed: int) -> Source[Any]:
    step = _built(section, folders, seed)
    if not isinstance(step, Source):
        section.fail(f"{step.name} is not a source; a source reads files (read_documents)")
    return step


def _step(section: Section, folders: Sequence[Path], seed: int) -> Step:
    step = _built(section, folders, seed)
    if isinstance(step, Source):
        section.fail(f"{step.name} is a source; name it under `sources`")
    return step


def _stream(
    name: str,
    section: Section,
    sources: Mapping[str, Source[Any]],
    curate: Sequence[Step],
    folders: Sequence[Path],
    seed: int,
    policy: RejectPolicy | None,
) -> Stream:
    section.only(("from", "generate", "curate", "rejects"), required=("from",))
    origin = section.at("from").as_(str)
    if origin not in sources:
        section.at("from").fail(f"no source is called {origin!r}{nearest(origin, sources)}; there are: {_all(sources)}")
    generate = [_step(one, folders, seed) for one in section.get("generate").list()]
    own = [_step(one, folders, seed) for one in section.at("curate").list()] if "curate" in section else curate
    steps = [*generate, *own]
    try:
        chain(steps, reads=sources[origin].writes)
    except ChainError as error:
        section.fail(str(error))
    rejects = section.at("rejects").build(RejectPolicy) if "rejects" in section else policy
    return Stream(name=name, source=origin, steps=fused(steps), rejects=rejects)


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


def _all(names: Mapping[str, Any]) -> str:
    return ", ".join(names)


def _check(bill: Bill) -> None:
    for name in bill.release.streams:
        if name not in bill.streams:
            place = bill.whole.at("release").at("streams").at(name)
            place.fail(f"no stream is called {name!r}{nearest(name, bill.streams)}; there are: {_all(bill.streams)}")
    if any(stream.generates for stream in bill.streams.values()) and "engine" not in bill.whole:
        bill.whole.fail("a stream generates, so it needs an `engine` (transformers, openai or vllm)")
    if "engine" in bill.whole:
        bill.engine_cls()
    if "train" in bill.whole and "student" not in bill.whole:
        bill.whole.at("train").fail("needs a `student` to train")
