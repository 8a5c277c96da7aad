"""What a dated release says of its place in a series: what it took, what came before, and how to tell that it is whole.

In the manifest of ``releases/tolvarey@2026-12-01``::

    "refreshed": {"date": "2026-12-01", "number": 1, "before": "tolvarey@2026-11-30", "before_seal": "5f0c…",
                  "earlier_rows": 240, "changed_sections": [],
                  "sources": {"almanac": {"new": 2, "changed": 1, "gone": 0, "moved": 0, "unchanged": 11, "taken": 3}},
                  "files": {"README.md": "09ab…", "seen/files.parquet": "77c0…", …}, "seal": "11d2…", …}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class SourceNews(BaseModel):
    """What became of a source's files since the release before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    new: int = 0
    """Files with a new name and new bytes."""
    changed: int = 0
    """Files that hold other bytes than they did."""
    gone: int = 0
    """Files that were there and are not."""
    moved: int = 0
    """Files with a new name whose bytes were read before: a copy, or another name for one that is gone."""
    unchanged: int = 0
    taken: int = 0
    """Records that no release of the series had taken."""

    def __str__(self) -> str:
        told = [(self.new, "new"), (self.changed, "changed"), (self.gone, "gone"), (self.moved, "moved or copied")]
        files = [f"{count:,} {what}" for count, what in told if count] or ["none new"]
        return f"{', '.join(files)}, {self.unchanged:,} as before; {self.taken:,} records taken"


class Refreshed(BaseModel):
    """The place of a dated release in its series."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: str
    number: int = 1
    """Which release of its date it is, from 1."""
    before: str = ""
    """The release before it; empty for the first of a series."""
    before_seal: str = ""
    series: int = 1
    """How many releases the series has with it."""
    earlier_rows: int = 0
    """Rows of the releases before it in the series, which its own were held against."""
    sources: dict[str, SourceNews]
    sections: dict[str, str]
    """A digest of each section of the bill that shapes the rows."""
    changed_sections: tuple[str, ...] = ()
    """Those that differ from the release before."""
    files: dict[str, str] = {}
    """The sha256 of every file besides the shards and the manifest."""
    seal: str = ""
    """The sha256 of the manifest with this field empty."""

    def sentences(self) -> Iterator[str]:
        """What the card says of it."""
        if self.before:
            yield (
                f"Release {self.series} of a series, of {self.date}: it has only what is new since `{self.before}`. "
                f"Its rows were held against the {self.earlier_rows:,} rows before them where the bill removes "
                "duplicates."
            )
        else:
            yield f"The first release of a series, of {self.date}: it takes all that its sources hold."
        for name, news in self.sources.items():
            yield f"Files of `{name}`: {news}."
        if self.changed_sections:
            names = ", ".join(f"`{name}`" for name in self.changed_sections)
            yield f"The bill has changed since `{self.before}`, in {names}: rows of then and now are made differently."


def seal_of(manifest: Mapping[str, Any]) -> str:
    """The seal that a manifest must have, given as plain JSON values.

    >>> seal_of({"refreshed": {"seal": "x"}}) == seal_of({"refreshed": {"seal": ""}})
    True
    """
    bare = {**manifest, "refreshed": {**manifest["refreshed"], "seal": ""}}
    return hashlib.sha256(json.dumps(bare, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
