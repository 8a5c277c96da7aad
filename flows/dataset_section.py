"""The dataset in a run's report: what each stream read, made, kept and released, and what it asked for that.

One row::

    {"stream": "entigraph", "records": 12, "made": 274, "curated": 197, "released": 197, "yield": 0.72,
     "asks": 286, "prompt_tokens": 41200, "completion_tokens": 12040}

The card has the same step by step, with every reason.
"""

from __future__ import annotations

from typing import Any

from mashbill.card import table
from mashbill.release_manifest import ReleaseManifest, StreamCounts

HEAD = "## The dataset"
"""Where the section begins in a report."""


def dataset_rows(release: ReleaseManifest) -> list[dict[str, Any]]:
    """A row for each stream of a release."""
    return [{"stream": name, **_row(stream)} for name, stream in release.streams.items()]


def dataset_section(release: ReleaseManifest) -> str:
    """The rows as Markdown, under their heading."""
    heads = ["stream", "records read", "rows made", "curated", "released", "yield", "asks", "tokens read", "written"]
    rows = [[_shown(value) for value in row.values()] for row in dataset_rows(release)]
    said = [f"* **{name}**: {line}" for name, stream in release.streams.items() for line in _said(stream)]
    return "\n\n".join(
        [
            HEAD,
            f"{release.name} {release.version}: {release.rows:,} rows. *Yield* is the share of the rows made that "
            "curation left; what each step rejected, and why, is on the card.",
            table(heads, rows),
            *(["\n".join(said)] if said else []),
        ]
    )


def _row(stream: StreamCounts) -> dict[str, Any]:
    counts = [one.counts for one in stream.steps]
    # What the last step that asked a model kept; where none did, the rows are the source's own.
    made = next((one for one in reversed(counts) if one.asks), counts[0]).kept
    curated = stream.released + stream.over_share
    return {
        "records": counts[0].kept,
        "made": made,
        "curated": curated,
        "released": stream.released,
        "yield": round(curated / made, 4) if made else None,
        "asks": sum(one.asks for one in counts),
        "prompt_tokens": sum(one.prompt_tokens for one in counts),
        "completion_tokens": sum(one.completion_tokens for one in counts),
    }


def _said(stream: StreamCounts) -> list[str]:
    return [line for step in stream.steps if step.step == "take_first" for line in step.said]


def _shown(value: object) -> object:
    return "–" if value is None else value
