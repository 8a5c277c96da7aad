"""A project whose sources change from date to date, and what its dated releases hold."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from flows.refresh import refresh_bill
from mashbill.progress import Silent
from mashbill.release_manifest import ReleaseManifest
from mashbill.settings import Settings
from tests.flows.fake_kitchen import Project, project

NO_STUDENT: dict[str, Any] = {"student": None, "train": None, "evaluate": None}
RAW: dict[str, Any] = {
    **NO_STUDENT,
    "engine": None,
    "sources": {"almanac": {"read_documents": {"path": "corpus", "part_rows": 3}}},
    "streams": {"raw": {"from": "almanac", "curate": ["exact_dedup"]}},
    "release": {"splits": {"validation": 0.3}},
}
"""A bill that asks no model."""


@dataclass(frozen=True)
class Series:
    """A project and the dated releases under its root."""

    project: Project

    @property
    def releases(self) -> Path:
        return self.project.root / "releases"

    def settings(self, **more: Any) -> Settings:
        return replace(Settings(root=self.project.root), **more)

    def refresh(self, date: str, *, full: bool = False) -> str:
        """What a refresh says."""
        return refresh_bill(self.project.bill, self.settings(), Silent(), date=date, full=full).summary

    def write(self, name: str, text: str) -> None:
        path = self.project.folder / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def remove(self, name: str) -> None:
        (self.project.folder / "corpus" / name).unlink()

    def names(self) -> list[str]:
        """The dated releases there are, by name."""
        return sorted(one.name for one in self.releases.iterdir()) if self.releases.is_dir() else []

    def manifest(self, name: str) -> ReleaseManifest:
        return ReleaseManifest.read(self.releases / name)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """A release's rows, each with its split."""
        files = sorted((self.releases / name / "data").glob("*.parquet"))
        return [{**row, "split": file.name.split("-")[0]} for file in files for row in pq.read_table(file).to_pylist()]


def series(folder: Path, **sections: Any) -> Series:
    """A series that is not begun: a project with an empty folder of documents."""
    made = Series(project(folder, **{**NO_STUDENT, **sections}))
    shutil.rmtree(folder / "corpus")
    (folder / "corpus").mkdir()
    return made
