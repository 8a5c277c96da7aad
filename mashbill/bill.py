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

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mashbill.engine_env import engine_role
from mashbill.errors import ChainError, RegistryError
from mashbill.filter_stack import FilterStack
from mashbill.records import Record
from mashbill.registry import load, nearest
from mashbill.runtime import RejectPolicy
from mashbill.section import Section
from mashbill.step import Filter, Held, Source, Step, chain, held_steps

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
        cls = _loaded("engine", name, fields, self.folders)
        model = fields.value.get("model") if isinstance(fields.value, Mapping) else None
        if isinstance(model, str) and (self.folder / model / "config.json").is_file():
            # A checkpoint directory lies, like every path in a bill, relative to the bill.
            fields = replace(fields, value={**fields.value, "model": str((self.folder / model).resolve())})
        with engine_role(role):
            return fields.build(cls, hide=HOW_IT_RUNS)


def read_bill(path: Path) -> Bill:
    """Read and check a bill.

    Raises:
        BillError: with file, line, what was found and what was wanted.
    """
    whole = Section.load(path)
    if whole.value is None:
        whole.fail("is empty; a bill needs at least name, sources and streams (see `mashbill new bill`)")
    whole.only(TOP, required=("name", "sources", "streams"))
    folders = tuple(_folder(section) for section in whole.get("steps").list())
    seed = whole.at("seed").as_(int) if "seed" in whole else None
    sources = {name: _source(section, folders, seed) for name, section in whole.at("sources").items()}
    curate = [_step(section, folders, seed) for section in whole.get("curate").list()]
    policy = _policy(whole)
    streams: dict[str, Stream] = {}
    for name, section in whole.at("streams").items():
        streams[name] = _stream(name, section, sources, streams, curate, folders, seed, policy)
    bill = Bill(
        path=path,
        name=_name(whole.at("name")),
        version=_version(whole.get("version", "1")),
        description=whole.get("description", "").as_(str),
        license=whole.get("license", "").as_(str),
        language=whole.get("language", "en").as_(str),
        seed=seed or 0,
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
    if not name.strip(".") or not all(letter.isalnum() or letter in "-_." for letter in name):
        section.fail(
            f"is the name of a folder and a dataset: letters, digits, - _ . only, and not dots alone; found {name!r}"
        )
    return name


def _version(section: Section) -> str:
    if isinstance(section.value, bool) or not isinstance(section.value, str | int | float) or section.value == "":
        section.fail(f"must be text or a number, as 1 or '1.10'; found {section.value!r}")
    return str(section.value)


def _folder(section: Section) -> Path:
    folder = section.path.parent / section.as_(str)
    if not folder.is_dir():
        section.fail(f"{folder}: no such folder of steps; the path is taken relative to the bill")
    return folder


def _policy(section: Section) -> RejectPolicy | None:
    if "rejects" not in section:
        return None
    policy = section.at("rejects").build(RejectPolicy)
    if not 0 <= policy.share <= 1:
        section.at("rejects").get("share").fail(f"is a share of the attempts, from 0 to 1; found {policy.share:g}")
    return policy


def _loaded(sort: Any, name: str, section: Section, folders: Sequence[Path]) -> type[Any]:
    try:
        cls: type[Any] = load(sort, name, folders)
    except RegistryError as error:
        section.fail(str(error))
    return cls


def _built(section: Section, folders: Sequence[Path], seed: int | None) -> Step:
    name, fields = section.named()
    cls = _loaded("step", name, fields, folders)
    # A seed in the bill is every step's, unless the step's own is given.
    seeded = any(one.name == "seed" and one.init for one in dataclasses.fields(cls))
    if seeded and seed is not None and isinstance(fields.value, Mapping) and "seed" not in fields:
        fields = Section({**fields.value, "seed": seed}, fields.path, fields.where, fields.lines)
    made = {
        name: _held(fields.at(name), held, folders, seed) for name, held in held_steps(cls).items() if name in fields
    }
    step: Step = fields.build(cls, made=made)
    return step


def _held(section: Section, held: Held, folders: Sequence[Path], seed: int | None) -> Step:
    """The step that a field of another step holds."""
    step = _built(section, folders, seed)
    if refused := held.refuses(step):
        section.fail(refused)
    return step


def _source(section: Section, folders: Sequence[Path], seed: int | None) -> Source[Any]:
    step = _built(section, folders, seed)
    if not isinstance(step, Source):
        section.fail(f"{step.name} is not a source; a source reads files (read_documents)")
    return step


def _step(section: Section, folders: Sequence[Path], seed: int | None) -> Step:
    step = _built(section, folders, seed)
    if isinstance(step, Source):
        section.fail(f"{step.name} is a source; name it under `sources`")
    return step


def _stream(
    name: str,
    section: Section,
    sources: Mapping[str, Source[Any]],
    above: Mapping[str, Stream],
    curate: Sequence[Step],
    folders: Sequence[Path],
    seed: int | None,
    policy: RejectPolicy | None,
) -> Stream:
    section.only(("from", "generate", "curate", "accept", "rejects"), required=("from",))
    origins, reads = _origins(section.at("from"), sources, above)
    generate = [_step(one, folders, seed) for one in section.get("generate").list()]
    own = [_step(one, folders, seed) for one in section.at("curate").list()] if "curate" in section else curate
    steps = [*generate, *own]
    try:
        # A source is named where it does not fit; of several nobody is.
        alone = [sources[one] for one in origins if len(origins) == 1 and one in sources]
        writes = chain([*alone, *steps], reads=None if alone else reads)
    except ChainError as error:
        section.fail(str(error))
    rejects, accept = _policy(section) or policy, _accept(section)
    made = any(one not in sources and above[one].generates for one in origins)
    return Stream(
        name=name,
        origins=origins,
        steps=fused(steps),
        writes=writes or Record,
        accept=accept,
        rejects=rejects,
        from_made=made,
    )


def _accept(section: Section) -> Accept | None:
    if "accept" not in section:
        return None
    place = section.at("accept")
    if isinstance(place.value, int) and not isinstance(place.value, bool):
        place = replace(place, value={"rows": place.value})
    return place.build(Accept)


def _origins(
    section: Section, sources: Mapping[str, Source[Any]], above: Mapping[str, Stream]
) -> tuple[tuple[str, ...], type[Record]]:
    """The sources and streams that a stream takes its rows from, and the type of those rows."""
    kinds: dict[str, type[Record]] = {}
    for place in section.list():
        name = place.as_(str)
        if name in kinds:
            place.fail(f"{name!r} is named twice; its rows are taken once")
        if name not in sources and name not in above:
            known = [*sources, *above]
            place.fail(
                f"no source is called {name!r}{nearest(name, known)}; there are: {_all(sources)}"
                + (f"; and streams above this one: {_all(above)}" if above else "")
            )
        kinds[name] = sources[name].writes if name in sources else above[name].writes
    if not kinds:
        section.fail("names nothing; give a source, or a list of sources and of streams above this one")
    first, *others = kinds
    for other in others:
        if kinds[other] is not kinds[first]:
            section.fail(
                f"{other} gives {kinds[other].__name__} but {first} gives {kinds[first].__name__}: rows that are taken "
                "together are of one type; turn one into the other in a stream of its own"
            )
    return tuple(kinds), kinds[first]


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


def _all(names: Iterable[str]) -> str:
    return ", ".join(names)


def _check(bill: Bill) -> None:
    if not bill.streams:
        bill.whole.at("streams").fail("names no stream; give at least one, as raw: {from: SOURCE}")
    for name in bill.release.streams:
        if name not in bill.streams:
            place = bill.whole.at("release").at("streams").at(name)
            place.fail(f"no stream is called {name!r}{nearest(name, bill.streams)}; there are: {_all(bill.streams)}")
    if bill.release.shares_by == "tokens" and not bill.release.tokenizer and "student" not in bill.whole:
        bill.whole.at("release").at("shares_by").fail(
            "counts tokens, and there is no tokenizer: name one with `release.tokenizer` (a folder with "
            "tokenizer.json, or bytes), or add the `student` that is to learn them"
        )
    _one_type(bill)
    for name, stream in bill.streams.items():
        if stream.asks and "engine" not in bill.whole:
            place = bill.whole.at("streams").at(name)
            does = "generates" if stream.generates else "asks a judge"
            place.fail(f"{does}, so the bill needs an `engine` (transformers, openai or vllm)")
    bill.engine()
    _check_roles(bill)
    if "train" in bill.whole and "student" not in bill.whole:
        bill.whole.at("train").fail("needs a `student` to train")


_ROLE = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
"""What may name a role: it becomes part of the names of variables."""


def _check_roles(bill: Bill) -> None:
    for role in bill.roles:
        if not _ROLE.fullmatch(role):
            bill.whole.at("engines").at(role).fail(
                f"a role is lower-case letters, digits and _, beginning with a letter; found {role!r}"
            )
        bill.engine(role)
    for name, stream in bill.streams.items():
        for step in stream.steps:
            for role in step.engines():
                if role not in bill.roles:
                    known = ", ".join(bill.roles) or "none"
                    bill.whole.at("streams").at(name).fail(
                        f"{step.name} asks the engine {role!r}{nearest(role, bill.roles)}; under `engines` there are: "
                        f"{known}"
                    )


def _one_type(bill: Bill) -> None:
    first, *others = bill.released
    for name in others:
        here, there = bill.streams[name].writes, bill.streams[first].writes
        if here is not there:
            bill.whole.at("streams").at(name).fail(
                f"gives {here.__name__} but {first} gives {there.__name__}: a release holds one type of record; "
                "name the streams to publish under `release.streams`"
            )
