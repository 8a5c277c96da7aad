"""The data card: numbers from manifests, prose from the bill and the template, nothing from anywhere else.

Its YAML header is what the Hub reads: licence, language, size, tags, and which files make which split.
"""

from __future__ import annotations

import importlib.resources
import re
import string
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from mashbill.ask_state import by_state
from mashbill.costs import SOURCE_HEADS, STEP_HEADS, source_costs, source_rows, step_costs, step_rows
from mashbill.counts import Counts
from mashbill.records import RECORD_TYPES, schema_of
from mashbill.release_manifest import ReleaseManifest, StepCounts, StreamCounts

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
    (10_000_000_000, "1B<n<10B"),
)
"""The Hub's own size classes."""
_LICENSES = frozenset(
    [
        "apache-2.0",
        "mit",
        "openrail",
        "bigscience-openrail-m",
        "creativeml-openrail-m",
        "bigscience-bloom-rail-1.0",
        "bigcode-openrail-m",
        "openrail++",
        "afl-3.0",
        "artistic-2.0",
        "bsl-1.0",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsd-3-clause-clear",
        "c-uda",
        "cc",
        "cc0-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nd-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cdla-sharing-1.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "wtfpl",
        "ecl-2.0",
        "epl-1.0",
        "epl-2.0",
        "etalab-2.0",
        "eupl-1.1",
        "eupl-1.2",
        "agpl-3.0",
        "gfdl",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "lgpl",
        "lgpl-2.1",
        "lgpl-3.0",
        "isc",
        "lppl-1.3c",
        "ms-pl",
        "mpl-2.0",
        "odc-by",
        "odbl",
        "osl-3.0",
        "postgresql",
        "ofl-1.1",
        "ncsa",
        "unlicense",
        "zlib",
        "pddl",
        "lgpl-lr",
        "llama2",
        "llama3",
        "llama3.1",
        "llama3.2",
        "llama3.3",
        "llama4",
        "gemma",
        "unknown",
        "other",
    ]
)
"""Licences the Hub knows by these names; it refuses a header with another, unless it says `other` and a name."""
_TASKS = {"Document": ["text-generation"], "QA": ["question-answering"], "Rationale": ["text-generation"]}

NOT_MEASURED = (
    "Not measured: the bill that made it trains no student. A dataset is judged by what it does to one; add `student`, "
    "`train` and `evaluate` to the bill."
)


def render_card(release: ReleaseManifest, benefit: str = NOT_MEASURED) -> str:
    """The card of a release as Markdown; `benefit` is a section made by whoever measured it."""
    template = string.Template((importlib.resources.files("data_cards") / "template.md").read_text(encoding="utf-8"))
    return template.substitute(
        header=_header(release),
        name=release.name,
        description=release.description or f"A dataset made by the bill `{release.name}`.",
        summary="\n\n".join([_summary(release), *release.series_sentences()]),
        making="\n".join(_making(release)),
        counts="\n\n".join(
            [
                table(["stream", "step", "read", "tried", "kept", "rejected", "reasons"], _count_rows(release)),
                *_said(release),
                *_costs(release),
            ]
        ),
        released=_released(release),
        splits=table(
            ["split", "rows", "source documents", "text bytes", "shards"],
            [[k, s.rows, s.sources, s.text_bytes, len(s.shards)] for k, s in release.splits.items()],
        ),
        benefit=benefit,
        columns=table(["column", "type"], _columns(release)),
        fingerprint=release.fingerprint,
        seed=release.seed,
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers right-aligned and with thousands separated.

    >>> print(table(["a", "n"], [["x", 1200]]))
    | a | n |
    | --- | ---: |
    | x | 1,200 |
    """
    rows = [list(row) for row in rows]
    numeric = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(heads))]
    lines = [_row(heads), _row("---:" if number else "---" for number in numeric)]
    return "\n".join([*lines, *(_row(_cell(value) for value in row) for row in rows)])


def _columns(release: ReleaseManifest) -> Iterable[Sequence[object]]:
    yield from ([_code(one.name), _code(str(one.type))] for one in schema_of(RECORD_TYPES[release.kind]))
    yield [_code("stream"), _code("string")]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    # A backslash before a pipe would undo the one that keeps the pipe in its cell.
    return " ".join(re.sub(r"\\*\|", lambda found: "\\" * (2 * len(found[0]) - 1) + "|", str(value)).splitlines())


def _code(text: str) -> str:
    """A code span, whatever it holds: elsewhere ``<think>`` would be a tag and ``*`` emphasis."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{text}{fence}" if len(fence) == 1 else f"{fence} {text} {fence}"


def _header(release: ReleaseManifest) -> str:
    size = next((name for most, name in _SIZES if release.rows < most), "10B<n<100B")
    files = [{"split": name, "path": f"data/{name}-*.parquet"} for name, split in release.splits.items() if split.rows]
    header: dict[str, Any] = {
        "pretty_name": release.name,
        **({"language": [release.language]} if release.language else {}),
        **_license(release.license),
        "size_categories": [size],
        "task_categories": _TASKS.get(release.kind, ["text-generation"]),
        "tags": ["mashbill", *(["synthetic"] if _engines(release) else [])],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True).strip()


def _license(name: str) -> dict[str, str]:
    if not name or name.lower() in _LICENSES:
        return {"license": name.lower()} if name else {}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") or "other"}


def _engines(release: ReleaseManifest) -> list[str]:
    steps = [step for stream in release.streams.values() for step in stream.steps]
    others = {engine for step in steps for engine in step.identity.get("engines", {}).values()}
    return sorted({step.engine for step in steps if step.engine} | others)


def _summary(release: ReleaseManifest) -> str:
    engines = ", ".join(_code(engine) for engine in _engines(release)) or "no model (the rows are the source's own)"
    sources = sum(split.sources for split in release.splits.values())
    return (
        f"Version {release.version}: {release.rows:,} rows of type {release.kind} from {sources:,} source documents, "
        f"written by {engines}."
    )


def _making(release: ReleaseManifest) -> Iterable[str]:
    for name, stream in release.streams.items():
        way = " → ".join(step.step for step in stream.steps)
        yield f"* **{name}**: {way}"
        for step in stream.steps:
            yield from (f"  * {line}" for line in _fields(step))


def _fields(step: StepCounts) -> Iterable[str]:
    for one in step.identity.get("steps", []):
        plain = {key: value for key, value in one["fields"].items() if not _long(value)}
        shown = ", ".join(_code(f"{key}={value!r}") for key, value in plain.items())
        yield f"{_code(one['name'])} version {one['version']}{': ' + shown if shown else ''}"


def _long(value: object) -> bool:
    # Prompts and pattern lists would bury the numbers; they are in the step's manifest, whose fingerprint is here.
    return len(repr(value)) > 160


def _count_rows(release: ReleaseManifest) -> Iterable[list[object]]:
    for name, stream in release.streams.items():
        for step in stream.steps:
            yield [name, step.step, *_counts(step.counts)]


def _said(release: ReleaseManifest) -> Iterable[str]:
    """What steps report of themselves, each once: streams share steps."""
    found: dict[str, list[str]] = {}
    for name, stream in release.streams.items():
        for step in stream.steps:
            for sentence in (*step.said, *_asks(step)):
                found.setdefault(f"* `{step.step}`, %s: {_cell(sentence)}", []).append(f"**{name}**")
    if found:
        yield "\n".join(line.replace("%s", ", ".join(names), 1) for line, names in found.items())


def _asks(step: StepCounts) -> Iterable[str]:
    """How asks ended that did not end ``ok``, and how many were asked otherwise since."""
    if step.counts.states:
        asks = by_state(step.counts.asks, step.counts.states)
        worse = ", ".join(f"{state} {count:,}" for state, count in step.counts.states.items())
        yield f"of {sum(asks.values()):,} asks {sum(step.counts.states.values()):,} did not end ok: {worse}"
    if retries := step.identity.get("retries"):
        yield f"asked otherwise after they had not ended well: {retries['asks']:,} asks"


def _costs(release: ReleaseManifest) -> Iterable[str]:
    """Yield, asks and tokens by step and by source, where a model was asked; never money, which is no part of it."""
    steps = step_costs(release)
    if steps:
        yield "What it took of a model, by step and by source; a reply that several rows share counts with each."
        yield table(STEP_HEADS, step_rows(steps))
        yield table(SOURCE_HEADS, source_rows(source_costs(release)))


def _counts(counts: Counts) -> list[object]:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts.rejected.items())
    return [counts.read, counts.attempts, counts.kept, counts.rejects, reasons or "–"]


def _released(release: ReleaseManifest) -> str:
    heads = ["stream", "curated rows", "over share", "released", "text bytes", "share asked"]
    rows = list(_released_rows(release))
    if release.shares_by == "bytes":
        return table(heads, rows)
    heads.insert(5, release.shares_by)
    for row, stream in zip(rows, release.streams.values(), strict=True):
        row.insert(5, stream.size or 0)
    return f"{table(heads, rows)}\n\nShares are by {release.shares_by} of the tokenizer `{release.tokenizer[:12]}`."


def _released_rows(release: ReleaseManifest) -> Iterable[list[object]]:
    for name, stream in release.streams.items():
        yield [name, stream.released + stream.over_share, stream.over_share, *_share(stream)]


def _share(stream: StreamCounts) -> list[object]:
    return [stream.released, stream.text_bytes, f"{stream.share_asked:g}" if stream.share_asked else "whole"]
