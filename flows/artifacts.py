"""What a run under Prefect shows in its server: tables of steps and arms, links to card and report, progress of a step.

    tolvarey-release   markdown   the release in a line, links to its card and manifest
    tolvarey-steps     table      {"stream": "entigraph", "step": "entigraph", "read": 12, "yield": 0.88, …}
    tolvarey-report    markdown   the lines of the report, a link to it
    tolvarey-arms      table      {"arm": "entigraph", "tokens": 40000, "final_loss": 2.91, "accuracy": 0.31, …}
    tolvarey-progress  progress   of the step at work, in percent

Artifacts of one key follow each other in the server as versions. They are for looking at: nothing reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)

from flows.budget import price_table
from flows.costs import step_costs
from flows.kitchen import Kitchen, released_line
from flows.report import READABLE, REPORT
from mashbill.prices import PriceTable
from mashbill.release_manifest import ReleaseManifest
from mashbill.store import MANIFEST

EVERY = 2.0
"""Seconds between two looks at how far a step is: each word to the server is a request."""


def key_of(bill: str, what: str) -> str:
    """An artifact's key, which is lower-case letters, digits and dashes alone.

    >>> key_of("Tolvarey_2.1", "steps")
    'tolvarey-2-1-steps'
    """
    return re.sub(r"[^a-z0-9]+", "-", f"{bill}-{what}".lower()).strip("-")


def step_rows(release: ReleaseManifest, prices: PriceTable | None = None) -> list[dict[str, Any]]:
    """A row for each step of each stream, from what the manifest counts; what it costs where there are prices."""
    money = {one.fingerprint: one.money(prices) for one in step_costs(release)}
    return [
        {
            "stream": name,
            "step": one.step,
            "read": one.counts.read,
            "kept": one.counts.kept,
            "rejected": one.counts.rejects,
            "yield": round(one.counts.kept / one.counts.attempts, 4) if one.counts.attempts else None,
            "top reasons": _top(one.counts.rejected),
            "asks": one.counts.asks,
            "prompt tokens": one.counts.prompt_tokens,
            "completion tokens": one.counts.completion_tokens,
            **({} if prices is None else {f"cost {prices.currency}".strip(): money.get(one.fingerprint)}),
        }
        for name, stream in release.streams.items()
        for one in stream.steps
    ]


def arm_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each arm of a report, and for the base student, which was not trained."""
    arms, evaluations = report.get("arms", {}), report.get("evaluations", {})
    return [
        {
            "arm": name,
            **{field: arms.get(name, {}).get("result", {}).get(field) for field in ("tokens", "final_loss")},
            **_scores(evaluations.get(name, {}).get("overall", {})),
        }
        for name in dict.fromkeys([*evaluations, *arms])
    ]


def _scores(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as they are, of intervals the estimate."""
    plain = {name: value["value"] if isinstance(value, dict) else value for name, value in evaluation.items()}
    return {name: value for name, value in plain.items() if value is not None}


def _top(rejected: Mapping[str, int]) -> str:
    ordered = sorted(rejected.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{reason} {count:,}" for reason, count in ordered[:3])


def _link(path: Path) -> str:
    return f"[{path.name}]({path.resolve().as_uri()})"


async def show_release(kitchen: Kitchen, folder: Path) -> None:
    """The release and its steps."""
    name, release = kitchen.bill.name, ReleaseManifest.read(folder)
    links = f"Card and counts: {_link(folder / 'README.md')}, {_link(folder / MANIFEST)}. Run {kitchen.run.id}."
    await acreate_markdown_artifact(
        key=key_of(name, "release"),
        markdown=f"{released_line(folder)}\n\n{links}",
    )
    await acreate_table_artifact(
        key=key_of(name, "steps"),
        table=step_rows(release, price_table(kitchen.settings)),
        description="What each step read, kept and asked.",
    )


async def show_report(kitchen: Kitchen, folder: Path) -> None:
    """The report and its arms."""
    report = json.loads((folder / REPORT).read_bytes())
    lines = "\n".join(f"    {line}" for line in report["lines"])
    link = f"{_link(folder / READABLE)}. Run {kitchen.run.id}."
    await acreate_markdown_artifact(
        key=key_of(kitchen.bill.name, "report"),
        markdown=f"{link}\n\n{lines}",
    )
    await acreate_table_artifact(
        key=key_of(kitchen.bill.name, "arms"), table=arm_rows(report), description="Each arm and what it scored."
    )


@contextlib.asynccontextmanager
async def shown_progress(kitchen: Kitchen, what: str) -> AsyncIterator[None]:
    """Show how far the step inside is, while it is at work."""
    key = key_of(kitchen.bill.name, "progress")
    artifact = await acreate_progress_artifact(progress=0.0, key=key, description=what)
    watch = asyncio.create_task(_watch(kitchen, artifact))
    try:
        yield
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
    await aupdate_progress_artifact(artifact, progress=100.0)


async def _watch(kitchen: Kitchen, artifact: Any) -> None:
    told = 0.0
    while True:
        await asyncio.sleep(EVERY)
        now = kitchen.run.step
        share = 100.0 * now.done / now.total if now is not None and now.total else told
        if share > told:
            told = min(share, 100.0)
            await aupdate_progress_artifact(artifact, progress=told)
