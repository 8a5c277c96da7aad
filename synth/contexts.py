r"""Inputs for instructions, from a file: what a placeholder stands for.

A line of JSONL is one context, an object of texts by the name of the placeholder they fill, or a text for any::

    {"transcript": "Ora: The pans leak. Venn: Mend two by Friday."}
    {"notes": "…", "attendees": "Ora Venn, Old Perrick"}
    {"text": "…"}

A Parquet file has one context a row, its columns of text. ``text`` fills an instruction's only placeholder, whatever
its name, and stands beside an instruction that has none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mashbill.errors import InputError
from mashbill.fingerprint import content_id
from synth.placeholders import placeholders_in

ANY = "text"
"""The name of a text that fits wherever one is wanted."""
Context = Mapping[str, str]


def read_contexts(path: Path) -> list[Context]:
    """The contexts of a file, in order.

    Raises:
        InputError: when it cannot be read, holds none, or a line is no object of texts; with the line.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; contexts are a .jsonl or .parquet file")
    rows = _parquet(path) if path.suffix == ".parquet" else _jsonl(path)
    found = list[Context]()
    for where, row in rows:
        texts = {str(name): value for name, value in row.items() if isinstance(value, str) and value.strip()}
        if not texts or len(texts) < sum(value is not None for value in row.values()):
            raise InputError(
                f"{where}: a context is an object whose values are texts that are not blank; found {row!r:.120}"
            )
        found.append(texts)
    if not found:
        raise InputError(f'{path}: holds no context; give one a line, such as {{"transcript": "…"}}')
    return found


def contexts_digest(contexts: Sequence[Context]) -> str:
    """What the contexts are, whatever file they lie in."""
    return content_id("contexts", *(text for one in contexts for pair in sorted(one.items()) for text in pair))


def name_of(place: str) -> str:
    """The name of a placeholder, as contexts are keyed.

    >>> name_of("{ Transcript }"), name_of("[INPUT TEXT]"), name_of("<notes>")
    ('transcript', 'input_text', 'notes')
    """
    return re.sub(r"[^\w]+", "_", place.strip("{}[]<> ").casefold())


def filled(text: str, context: Context) -> tuple[str, str] | None:
    r"""The text with its placeholders filled and what stands beside it; None where the context lacks one of them.

    >>> filled("Sum up.\n{notes}", {"notes": "Salt is low."})
    ('Sum up.\nSalt is low.', '')
    >>> filled("Sum up.", {"text": "Salt is low."})
    ('Sum up.', 'Salt is low.')
    """
    places = placeholders_in(text)
    if not places:
        return text, "\n\n".join(context[name] for name in sorted(context))
    values = {}
    for place in places:
        value = context.get(name_of(place)) or (
            context.get(ANY) if len({name_of(one) for one in places}) == 1 else None
        )
        if value is None:
            return None
        values[place] = value.strip()
    # In one pass: what a context says in braces is no placeholder.
    pattern = re.compile("|".join(re.escape(place) for place in sorted(places, key=len, reverse=True)))
    return pattern.sub(lambda match: values[match[0]], text), ""


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}:{number}: is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}:{number}: a context is an object of texts by placeholder; found {line[:80]!r}")
        yield f"{path}:{number}", row


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from error
    for number, row in enumerate(table.to_pylist(), 1):
        yield f"{path}: row {number}", {name: value for name, value in row.items() if value is not None}
