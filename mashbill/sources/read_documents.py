"""Text files, JSON lines or Parquet in; documents out.

``corpus/salt.md`` with front matter becomes one row::

    ---
    title: The Salt Guild
    author: Ora Venn
    year: 412
    ---
    The guild was founded …

    {"title": "The Salt Guild", "author": "Ora Venn", "year": "412", "text": "The guild was founded …",
     "source": "salt.md", "domain": "Veylund", …}

JSON lines and Parquet give one document a row, from the columns named by `text_field`, `title_field` and, where they
are there, ``author`` and ``year``.

A block between lines of ``---`` is front matter when it is a mapping with a name of `FRONT_MATTER` in it; otherwise it
is text, as a rule between paragraphs is. One that names such a field and is no YAML is an error, not text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mashbill.errors import InputError
from mashbill.records import Document, join_texts
from mashbill.sources.row_files import decoded, rows_of
from mashbill.step import BadInput, Source

TEXT = (".md", ".txt", ".rst")
ROWS = (".jsonl", ".ndjson", ".parquet")
FRONT_MATTER = ("title", "author", "year", "domain", "license", "source", "date", "tags", "description")
"""Names that tell front matter from text between two rules."""
_BLOCK = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_NAMED = re.compile(rf"^(?:{'|'.join(FRONT_MATTER)})[ \t]*:", re.MULTILINE)
_HEADING = re.compile(r"\A\s*# +(.+)\n")


@dataclass(frozen=True, kw_only=True)
class ReadDocuments(Source[Document]):
    """Reads documents from text, Markdown, JSON lines or Parquet."""

    version: ClassVar[int] = 2

    glob: str = "**/*"
    """Which files of a folder; of those, the ones whose suffix is known."""
    domain: str = ""
    license: str = ""
    text_field: str = "text"
    title_field: str = "title"
    max_bytes: int = 32 * 1024 * 1024
    """The largest document: one that is larger is a dump, not a document, and no engine's context holds it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_bytes < 1:
            raise ValueError(f"max_bytes is {self.max_bytes}; a document has 1 byte or more")
        if not self.glob.strip():
            raise ValueError("glob is empty; it says which files of the folder are read, as '**/*' for all of them")
        if PurePosixPath(self.glob).is_absolute() or PureWindowsPath(self.glob).anchor:
            raise ValueError(f"glob is {self.glob!r}; it is taken relative to `path`, as '**/*.md'")

    def files(self, root: Path) -> list[Path]:
        """Every file of a known kind, by name."""
        if not root.exists():
            raise InputError("no such file or folder; `path` is taken relative to the bill", path=root)
        if root.is_file():
            if not _known(root):
                raise InputError(f"is {_unread(root)}; convert it to one of these", path=root)
            return [root]
        there = self._there(root)
        files = [path for path in there if _known(path)]
        if not files:
            others = join_texts(sorted({p.suffix or p.name for p in there})) or "nothing"
            raise InputError(
                f"has no documents: looked for {', '.join((*TEXT, *ROWS))} matching {self.glob!r} and found {others}",
                path=root,
            )
        return files

    def skipped(self, root: Path) -> list[Path]:
        """Every file of another kind that `glob` names."""
        return [] if root.is_file() else [path for path in self._there(root) if not _known(path)]

    def _there(self, root: Path) -> list[Path]:
        found = [path for path in root.glob(self.glob) if path.is_file() and not _hidden(path.relative_to(root))]
        return sorted(found, key=lambda path: path.relative_to(root).as_posix())

    def read(self, path: Path, name: str) -> Iterator[Document | BadInput]:
        """The documents of one file."""
        suffix = path.suffix.lower()
        if suffix == ".parquet":
            yield from self._parquet(path, name)
        elif suffix in ROWS:
            yield from self._json_lines(path, name)
        else:
            yield self._text(path, name)

    def _text(self, path: Path, name: str) -> Document | BadInput:
        size = path.stat().st_size
        if size > self.max_bytes:
            return self._too_large(name, size)
        text = decoded(path.read_bytes(), name, None)
        if isinstance(text, BadInput):
            return text
        text = text.replace("\r\n", "\n")
        head: Mapping[str, Any] = {}
        if match := _BLOCK.match(text):
            try:
                found = yaml.safe_load(match[1])
            except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2020-13-45
                if _NAMED.search(match[1]):
                    return BadInput(name, "broken_front_matter", f"the front matter is not YAML: {error}")
                found = None
            if isinstance(found, Mapping) and not found.keys().isdisjoint(FRONT_MATTER):
                head, text = found, text[match.end() :]
        elif path.suffix.lower() == ".md" and (match := _HEADING.match(text)):
            head, text = {"title": match[1].strip()}, text[match.end() :]
        return self._document({"title": path.stem, **head, "text": text}, "text", "title", name, None)

    def _json_lines(self, path: Path, name: str) -> Iterator[Document | BadInput]:
        for row in rows_of(path, name, max_bytes=self.max_bytes):
            if isinstance(row, BadInput):
                yield row
            else:
                yield self._document(row.values, self.text_field, self.title_field, row.where, row.line)

    def _parquet(self, path: Path, name: str) -> Iterator[Document | BadInput]:
        try:
            file = pq.ParquetFile(path)
            wanted = {self.text_field, self.title_field, "author", "year", "domain", "license"}
            if self.text_field not in file.schema_arrow.names:
                columns = join_texts(file.schema_arrow.names, 20)
                yield BadInput(name, "no_text", f"has no column {self.text_field!r}; its columns are {columns}")
                return
            number = 0
            for batch in file.iter_batches(1024, columns=[c for c in file.schema_arrow.names if c in wanted]):
                for row in batch.to_pylist():
                    number += 1
                    yield self._document(row, self.text_field, self.title_field, f"{name}:{number}", number)
        except (pa.ArrowException, OSError) as error:
            yield BadInput(name, "broken_parquet", f"cannot be read as Parquet: {error}")

    def _document(
        self, row: Mapping[str, Any], text_field: str, title_field: str, where: str, line: int | None
    ) -> Document | BadInput:
        text = row.get(text_field)
        if text is None and text_field not in row:
            found = join_texts(sorted(row), 20)
            return BadInput(where, "no_text", f"has no field {text_field!r}; its fields are {found}", line)
        if text is not None and not isinstance(text, str):
            return BadInput(where, "no_text", f"the field {text_field!r} is {type(text).__name__}, not text", line)
        if text is None or not text.strip():
            return BadInput(where, "empty", "holds no text", line)
        return Document.new(
            title=_plain(row.get(title_field)),
            author=_plain(row.get("author")),
            year=_plain(row.get("year")),
            text=text.replace("\r\n", "\n").strip("\n"),
            source=where,
            domain=self.domain or _plain(row.get("domain")),
            license=self.license or _plain(row.get("license")),
        )

    def _too_large(self, where: str, size: int) -> BadInput:
        found = f"{size:,} bytes in one document; the most is `max_bytes` ({self.max_bytes:,}): split it, or raise it"
        return BadInput(where, "too_large", found, None)


def _plain(value: object) -> str:
    return "" if value is None else str(value).strip()


def _known(path: Path) -> bool:
    return path.suffix.lower() in (*TEXT, *ROWS)


def _unread(path: Path) -> str:
    kind = f"a {path.suffix} file" if path.suffix else "a file without a suffix"
    return f"{kind}, which is not read; what is: {', '.join((*TEXT, *ROWS))}"


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
