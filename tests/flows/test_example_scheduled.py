"""The example of dated releases, over three dates, with a teacher by rule in the place of the embedded model."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from flows.refresh import refresh_bill
from mashbill.progress import Silent
from mashbill.release_manifest import ReleaseManifest
from mashbill.settings import Settings
from tests.flows.by_rule import engine_by_rule

EXAMPLES = Path(__file__).parents[2] / "examples"
RULE = engine_by_rule(
    "A teacher that tells every second or third word of a document again.",
    r"""
import re


def said(request, model):
    asked = request.messages[-1].content
    title = re.search(r'Rewrite "(.+?)"', asked)[1]
    words = asked.split()[20:200]
    return f"{title} tells of {' '.join(words[:: 2 + request.seed % 2])}."
""",
)


def test_each_date_releases_what_came_in_and_nothing_twice(tmp_path: Path) -> None:
    folder = tmp_path / "scheduled"
    shutil.copytree(EXAMPLES / "scheduled", folder)
    (folder / "steps").mkdir()
    (folder / "steps" / "by_rule.py").write_text(RULE, encoding="utf-8")
    bill = yaml.safe_load((folder / "bill.yaml").read_text(encoding="utf-8"))
    (folder / "bill.yaml").write_text(
        yaml.safe_dump(bill | {"steps": "steps", "engine": {"by_rule": {}}}, sort_keys=False)
    )
    settings = dataclasses.replace(Settings(), root=tmp_path / "runs")

    def refreshed(date: str) -> Path | None:
        return refresh_bill(folder / "bill.yaml", settings, Silent(), date=date).releases

    def released(place: Path | None) -> list[tuple[str, str]]:
        assert place is not None
        assert ReleaseManifest.read(place).rows
        tables = [pq.read_table(file, columns=["source", "kind"]) for file in (place / "data").iterdir()]
        return sorted({(row["source"], row["kind"]) for table in tables for row in table.to_pylist()})

    first = released(refreshed("2026-12-01"))
    assert first == [(name, kind) for name in ("ferry.md", "harbour.md") for kind in ("rephrase", "source")]
    shutil.copy(EXAMPLES / "tolvarey-small" / "corpus" / "salt-pans.md", folder / "inbox")
    harbour = (folder / "inbox" / "harbour.md").read_text(encoding="utf-8")
    (folder / "inbox" / "harbour-copy.md").write_text(harbour, encoding="utf-8")
    assert released(refreshed("2026-12-02")) == [("salt-pans.md", "rephrase"), ("salt-pans.md", "source")]
    assert refreshed("2026-12-03") is None
    assert sorted(one.name for one in (settings.root / "releases").iterdir()) == [
        "inbox@2026-12-01",
        "inbox@2026-12-02",
    ]
