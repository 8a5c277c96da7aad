"""The pages of the documentation and what stands in them: code blocks, tables of fields, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"^# ([\w./-]+\.(?:py|yaml|toml))$")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file it is, where its first line says so: ``# steps/ask_why.py``."""
        found = _FILE.match(self.text.split("\n", 1)[0])
        return found[1] if found else None

    @property
    def place(self) -> str:
        """For a message."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [Block(page, text.count("\n", 0, one.start()) + 1, one[1], one[2]) for one in _FENCE.finditer(text)]
    return [one for one in found if not languages or one.language in languages]


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#{1,6} (.+)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", head.lower()) for head in heads)
    return {head.strip().replace(" ", "-") for head in plain}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """File and anchor of each link of a page that stays in the repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


def field_tables(page: Path) -> dict[str, dict[str, str]]:
    """Class -> field -> default, of each table that follows ``<!-- fields: module.Class -->``."""
    tables = re.findall(r"<!-- fields: ([\w.]+) -->\n((?:\|.*\n)+)", page.read_text(encoding="utf-8"))
    return {name: dict(row for line in lines.splitlines()[2:] for row in _fields(line)) for name, lines in tables}


def _fields(line: str) -> Iterator[tuple[str, str]]:
    names, _, default, *_ = (cell.strip() for cell in line.strip("|").split(" | "))
    for name in names.split(", "):
        yield name.strip("`"), default
