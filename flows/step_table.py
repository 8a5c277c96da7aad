"""The table of steps in the README and the docs, made from the registry.

    python -m flows.step_table --write README.md docs/steps.md
    python -m flows.step_table --check README.md docs/steps.md     # exit code 1 when one is stale

It stands between ``<!-- steps:begin -->`` and ``<!-- steps:end -->``; the rest of a file is left as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from flows.field_schema import one_line
from flows.listing import role_of
from mashbill.card import table
from mashbill.errors import UserError
from mashbill.registry import Found, available, load
from mashbill.step import Source

BEGIN, END = "<!-- steps:begin -->", "<!-- steps:end -->"
ROLES = ("source", "generator", "dataset step", "filter")


def render_table(folders: Sequence[Path] = ()) -> str:
    """Steps in the order of a bill, then engines, as Markdown."""
    found = list(available("step", folders).values())
    rows = [_row(one, folders) for role in ROLES for one in found if role_of(one, folders) == role]
    engines = [[f"`{one.name}`", first_sentence(one.summary)] for one in available("engine").values()]
    steps = table(["step", "role", "reads → writes", "what it does"], rows)
    return f"{steps}\n\n{table(['engine', 'what it is'], engines)}"


def _row(one: Found, folders: Sequence[Path]) -> list[str]:
    cls: type[Any] = load("step", one.name, folders)
    reads = "files" if issubclass(cls, Source) else cls.reads.__name__
    return [f"`{one.name}`", role_of(one, folders), f"{reads} → {cls.writes.__name__}", first_sentence(one.summary)]


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence.

    >>> first_sentence("Gopher's rules, v. 1.1; as in the paper. Then more.")
    "Gopher's rules, v. 1.1; as in the paper."
    """
    line = one_line(text)
    for at, letter in enumerate(line):
        ends = letter == "." and line[at + 1 : at + 3].strip()[:1].isupper() and line[at + 1 : at + 2] == " "
        if ends:
            return line[: at + 1]
    return line


def with_table(text: str, made: str, path: Path) -> str:
    """A file's text with the table between its marks.

    Raises:
        UserError: when the marks are not there, once each and in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise UserError(f"{path}: needs the lines {BEGIN} and {END}, once each, where the table of steps belongs")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def stale(paths: Iterable[Path], *, write: bool) -> list[Path]:
    """The files whose table is not what the registry says; with `write` they are mended.

    Raises:
        UserError: for a file that is absent or has no marks.
    """
    made, old = render_table(), []
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such file; write it with {BEGIN} and {END} in it")
        text = path.read_text(encoding="utf-8")
        wanted = with_table(text, made, path)
        if text != wanted:
            old.append(path)
            if write:
                path.write_text(wanted, encoding="utf-8")
    return old


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the tables."""
    parser = argparse.ArgumentParser(prog="python -m flows.step_table", description="The table of steps in the docs.")
    sort = parser.add_mutually_exclusive_group(required=True)
    sort.add_argument("--write", nargs="+", type=Path, metavar="FILE", help="put the table into these files")
    sort.add_argument("--check", nargs="+", type=Path, metavar="FILE", help="exit 1 when one of these is stale")
    given = parser.parse_args(arguments)
    try:
        old = stale(given.write or given.check, write=bool(given.write))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path in old:
        said = "written" if given.write else "stale: run `python -m flows.step_table --write` with it"
        print(f"{path}: {said}", file=sys.stderr)
    return 1 if old and given.check else 0


if __name__ == "__main__":
    sys.exit(main())
