"""Read a bill: from the YAML file to checked sources, streams and release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mashbill.bill import TOP, Accept, Bill, Release, Stream, fused
from mashbill.chain import chain
from mashbill.check_bill import check_bill
from mashbill.errors import ChainError
from mashbill.read_steps import StepReader
from mashbill.records import Record
from mashbill.registry import nearest
from mashbill.runtime import RejectPolicy
from mashbill.section import Section
from mashbill.step import Source, Step


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
    steps_of = StepReader(folders, seed)
    sources = {name: steps_of.source(section) for name, section in whole.at("sources").items()}
    curate = [steps_of.step(section) for section in whole.get("curate").list()]
    policy = _policy(whole)
    streams: dict[str, Stream] = {}
    for name, section in whole.at("streams").items():
        streams[name] = _stream(name, section, sources, streams, curate, steps_of, policy)
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
    check_bill(bill)
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


def _stream(
    name: str,
    section: Section,
    sources: Mapping[str, Source[Any]],
    above: Mapping[str, Stream],
    curate: Sequence[Step],
    steps_of: StepReader,
    policy: RejectPolicy | None,
) -> Stream:
    section.only(("from", "generate", "curate", "accept", "rejects"), required=("from",))
    origins, reads = _origins(section.at("from"), sources, above)
    generate = [steps_of.step(one) for one in section.get("generate").list()]
    own = [steps_of.step(one) for one in section.at("curate").list()] if "curate" in section else curate
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
                f"no source is called {name!r}{nearest(name, known)}; there are: {', '.join(sources)}"
                + (f"; and streams above this one: {', '.join(above)}" if above else "")
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
