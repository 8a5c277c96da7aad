"""Triples in files become rows: tab- or comma-separated, N-Triples, GraphML or Parquet.

``alga<TAB>isa<TAB>entity`` on line 3 of ``umls.tsv`` becomes one row::

    {"head": "alga", "relation": "isa", "tail": "entity", "source": "umls.tsv:3", "domain": "medicine", …}

A line that says what an earlier one said is a row too: a graph makes one edge of both, and knows the places of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kg.load import READERS, rows_of, triple_of
from kg.load_rows import Columns, Flaw
from mashbill.errors import InputError
from mashbill.records import Triple, join_texts
from mashbill.step import BadInput, Source


@dataclass(frozen=True, kw_only=True)
class ReadTriples(Source[Triple]):
    """Reads the triples of a knowledge graph from files."""

    glob: str = "**/*"
    """Which files of a folder; of those, the ones whose suffix is known."""
    domain: str = ""
    license: str = ""
    part_rows: int = 50_000
    """Rows per stored part."""
    head: str = "head"
    """The column of the head, in files whose columns have names."""
    relation: str = "relation"
    """The column of the relation; in GraphML an attribute of edges."""
    tail: str = "tail"
    """The column of the tail."""
    evidence: str = ""
    """The column of the text that states a triple; empty: there is none."""
    head_type: str = ""
    """The column of the kind of thing the head is; in GraphML an attribute of nodes."""
    tail_type: str = ""
    header: bool | None = None
    """Whether the first line names the columns; by itself CSV has such a line and tab-separated lines have none."""

    def __post_init__(self) -> None:
        """Refuse a file pattern or a column that means nothing."""
        super().__post_init__()
        if not self.glob.strip() or Path(self.glob).is_absolute():
            raise ValueError(f"glob is {self.glob!r}; it is taken relative to `path`, as '**/*.tsv'")
        for name in ("head", "relation", "tail"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name} is empty; it names a column")

    def files(self, root: Path) -> list[Path]:
        """Every file of a known kind, by name."""
        if not root.exists():
            raise InputError("no such file or folder; `path` is taken relative to the bill", path=root)
        if root.is_file():
            return [root]
        there = self._there(root)
        files = [path for path in there if path.suffix.lower() in READERS]
        if not files:
            others = join_texts(sorted({path.suffix or path.name for path in there})) or "nothing"
            raise InputError(
                f"has no triples: looked for {', '.join(READERS)} matching {self.glob!r} and found {others}", path=root
            )
        return files

    def skipped(self, root: Path) -> list[Path]:
        """Every file of another kind that `glob` names."""
        return [] if root.is_file() else [path for path in self._there(root) if path.suffix.lower() not in READERS]

    def _there(self, root: Path) -> list[Path]:
        found = [
            path
            for path in root.glob(self.glob)
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
        ]
        return sorted(found, key=lambda path: path.relative_to(root).as_posix())

    def read(self, path: Path, name: str) -> Iterator[Triple | BadInput]:
        """The triples of one file."""
        columns = Columns(
            head=self.head,
            relation=self.relation,
            tail=self.tail,
            evidence=self.evidence,
            head_type=self.head_type,
            tail_type=self.tail_type,
            header=self.header,
        )
        for piece in rows_of(path, columns):
            if isinstance(piece, Flaw):
                where = name if piece.line is None else f"{name}:{piece.line}"
                yield BadInput(where, piece.reason, piece.detail, piece.line)
            else:
                yield triple_of(piece, name, domain=self.domain, license=self.license)
