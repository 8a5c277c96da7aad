"""``mashbill show`` and ``mashbill card``: what a stored thing is, and how its rows read.

entigraph/5f0c11d2  Document  runs/entigraph/5f0c11d2…
made from  read_documents/09ab77c0
engine     transformers/smollm2-135m-instruct@5af1
counts     12 read, 274 tried, 241 kept, 33 rejected (truncated 30, refusal 3)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from flows.stored import Thing, find_thing_or_row, the_thing
from flows.terminal import console, date, excerpt, grid, number, plain, short, size, some
from mashbill.counts import Counts
from mashbill.errors import StoreError
from mashbill.lineage import Place, find_rows
from mashbill.release_manifest import ReleaseManifest, StreamCounts, opened_shard
from mashbill.store import Manifest, Stored

TEXT_FIELDS = ("text", "question", "prompt", "rationale", "evidence")
"""Columns shown as running text; the others are shown by name."""
COMMON = ("id", "parents", "source_id", "source", "domain", "license", "made", "scores", "title", "kind", "record")


def render_thing(said: str, root: Path, rows: int) -> None:
    """Print a stored step, a release, a student, or a row."""
    thing, out = find_thing_or_row(said, root), console()
    if thing is None:
        _row_places(find_rows(root, said), root, out)
    elif thing.sort == "release":
        _release(thing, rows, out)
    elif thing.sort == "student":
        out.print(Text(str(thing), "bold"), Text(str(thing.path)))
        out.print(plain(_student_text(thing)))
    else:
        _step(thing, root, rows, out)


def card_of(said: str, root: Path) -> str:
    """The data card of a release: as it was written, or rendered from its manifest."""
    place = the_thing(said, root, ["release"]).path
    written = place / "README.md"
    if written.is_file():
        return written.read_text(encoding="utf-8")
    from mashbill.card import render_card

    return render_card(ReleaseManifest.read(place))


def counts_line(counts: Counts) -> str:
    """The accounting on one line; read, tried, kept and rejected add up in sight."""
    reasons = ", ".join(f"{reason} {number(count)}" for reason, count in _by_count(counts.rejected))
    tried = f"{number(counts.attempts)} tried, " if counts.attempts != counts.read else ""
    line = f"{number(counts.read)} read, {tried}{number(counts.kept)} kept, {number(counts.rejects)} rejected"
    return line + (f" ({reasons})" if reasons else "")


def _by_count(rejected: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(rejected.items(), key=lambda one: (-one[1], one[0]))


def _facts(pairs: Iterable[tuple[str, str]]) -> RenderableType:
    table = grid(["", ""], ([name, value] for name, value in pairs if value), wide="")
    table.show_header = False
    table.columns[0].no_wrap = True
    return table


def _step(thing: Thing, root: Path, rows: int, out: Console) -> None:
    if not thing.finished:
        raise StoreError(
            f"{thing.path}: {thing} is unfinished: {some(len(thing.parts), 'part')} written but no manifest; run its "
            f"bill again to go on, or read what was rejected so far with `mashbill rejects {thing}`"
        )
    stored = Stored.open(thing.path)
    manifest = stored.manifest
    out.print(Text(str(thing), "bold"), manifest.kind)
    out.print(_facts(_step_facts(thing, manifest)))
    for one in manifest.identity.get("steps", []):
        out.print(_fields(one))
    if manifest.notes:
        out.print(
            Text("notes"),
            Padding(plain(json.dumps(manifest.notes, indent=2, ensure_ascii=False)), (0, 0, 0, 2), expand=False),
        )
    _rows(_first_rows(stored, rows), manifest.counts.kept, out)


def _step_facts(thing: Thing, manifest: Manifest) -> Iterable[tuple[str, str]]:
    counts = manifest.counts
    yield "stored", f"{thing.path}, {some(len(manifest.parts), 'part')}, {size(thing.bytes)}, {date(thing.written)}"
    yield "made from", ", ".join(_shortened(place) for place in manifest.inputs)
    yield "engine", manifest.engine
    if manifest.engines:
        yield "engines", ", ".join(f"{role}: {engine}" for role, engine in manifest.engines.items())
    yield "counts", counts_line(counts)
    if counts.asks:
        tokens = f"{number(counts.prompt_tokens)} prompt and {number(counts.completion_tokens)} completion tokens"
        worse = "".join(f"; {state} {number(count)}" for state, count in counts.states.items())
        yield "asks", f"{number(counts.asks)}, {tokens}{worse}"


def _shortened(place: str) -> str:
    name, _, fingerprint = place.rpartition("/")
    return f"{name}/{short(fingerprint)}" if name else place


def _fields(one: Mapping[str, Any]) -> RenderableType:
    fields = [(f"  {name}", excerpt(_setting(value), 100)) for name, value in one.get("fields", {}).items()]
    return Group(Text(f"{one['name']} version {one['version']}", "bold"), _facts(fields))


def _setting(value: Any) -> str:
    """A step's field: nested ones on one line.

    >>> _setting({"max_tokens": 60, "stop": []}), _setting(["easy"]), _setting(None)
    ('max_tokens=60, stop=[]', "['easy']", 'none')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={one}" for name, one in value.items())
    return "none" if value is None else str(value)


def _first_rows(stored: Stored, rows: int) -> Iterable[Mapping[str, Any]]:
    for index in range(len(stored)):
        if rows <= 0:
            return
        first = stored.table(index).slice(0, rows).to_pylist()
        rows -= len(first)
        yield from first


def _rows(rows: Iterable[Mapping[str, Any]], of: int, out: Console) -> None:
    for index, row in enumerate(rows, start=1):
        out.print()
        out.print(Text(f"row {index} of {number(of)}  {row['id']}", "bold"), Text(_title(row)))
        out.print(Padding(row_body(row), (0, 0, 0, 2), expand=False))


def _title(row: Mapping[str, Any]) -> str:
    return "  ".join(plain(str(row[name])) for name in ("kind", "title") if row.get(name))


def row_body(row: Mapping[str, Any], most: int = 400) -> RenderableType:
    """A row for a reader: its texts, then its other columns; `most` characters of a text, 0 for all."""
    texts = [(name, row[name]) for name in TEXT_FIELDS if row.get(name)]
    others = [(name, excerpt(_value(value), 200)) for name, value in row.items() if name not in (*COMMON, *TEXT_FIELDS)]
    scores = ", ".join(f"{score['name']} {score['value']:g}" for score in row.get("scores") or [])
    facts = [*others, ("scores", scores), ("source", plain(_source(row)))]
    shown = [Text(excerpt(text, most) if most else plain(text)) for _, text in texts]
    return Group(*shown, _facts([(name, value) for name, value in facts if value]))


def _value(value: Any) -> str:
    if isinstance(value, bytes):
        return size(len(value)) if value else ""
    if isinstance(value, list):
        return "; ".join(_value(one) for one in value)
    if isinstance(value, dict):
        return " – ".join(_value(one) for one in value.values() if one not in ("", None))
    return "" if value is None else str(value)


def _source(row: Mapping[str, Any]) -> str:
    return ", ".join(str(row[name]) for name in ("source", "domain", "license") if row.get(name))


def _row_places(places: list[Place], root: Path, out: Console) -> None:
    # The place with most scores is the furthest along: it shows what was judged, too.
    place = max(places, key=lambda one: (not one.rejected, len(one.row["scores"])))
    out.print(Text(place.row["id"], "bold"), Text(_title(place.row)))
    out.print(Padding(row_body(place.row, most=0), (0, 0, 0, 2), expand=False))
    for one in places:
        out.print(f"in {one.folder.relative_to(root).as_posix()}/{one.file}")
    out.print(f"`mashbill trace {short(place.row['id'])}` shows what it was made from")


def _release(thing: Thing, rows: int, out: Console) -> None:
    manifest = ReleaseManifest.read(thing.path)
    out.print(Text(str(thing), "bold"), f"version {manifest.version}", manifest.kind, Text(manifest.license))
    out.print(_facts([("stored", f"{thing.path}, {size(thing.bytes)}, {date(thing.written)}")]))
    heads = ["ROWS", "SOURCES", "TEXT", "SHARDS"]
    splits = (
        [name, number(one.rows), number(one.sources), size(one.text_bytes), number(len(one.shards))]
        for name, one in manifest.splits.items()
    )
    out.print(grid(["SPLIT", *heads], splits, right=heads))
    heads = ["RELEASED", "OVER SHARE"]
    streams = ([name, *_stream(one)] for name, one in manifest.streams.items())
    out.print(grid(["STREAM", *heads, "WAY"], streams, right=heads, wide="WAY"))
    shards = [shard for split in manifest.splits.values() for shard in split.shards if shard.rows]
    if shards and rows:
        with opened_shard(thing.path, shards[0]) as file:
            first = next(file.iter_batches(rows)).to_pylist()
        _rows(first, manifest.rows, out)


def _stream(one: StreamCounts) -> list[str]:
    way = " → ".join(f"{step.step} {number(step.counts.kept)}" for step in one.steps)
    return [number(one.released), number(one.over_share), way]


def _student_text(thing: Thing) -> str:
    if not thing.finished:
        return "unfinished: run its bill again to go on"
    return (thing.path / "result.json").read_text(encoding="utf-8").rstrip()
