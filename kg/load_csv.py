r"""Triples from comma-separated values: a line of column names, and quotes where a field needs them (RFC 4180).

``"salt, grey",made_by,"Ora ""the"" Venn"`` -> ``Row(2, "salt, grey", "made_by", 'Ora "the" Venn')``
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from kg.load_rows import FIELDS, Columns, Flaw, Row, lines_of, not_utf8, row_of


def csv_rows(path: Path, columns: Columns) -> Iterator[Row | Flaw]:
    """The rows of a file; one that spans lines is numbered by its first. Without a header: head, relation, tail."""
    # What is not UTF-8 is let through as lone surrogates and found again in its row: a line that fails in the decoder
    # would end the whole file.
    reader = csv.reader((line.decode(errors="surrogateescape") for _, line in lines_of(path)), strict=True)
    width, places, head = len(FIELDS), {name: at for at, name in enumerate(FIELDS)}, columns.header is not False
    while True:
        number = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Flaw(number, "broken_csv", f"is not CSV: {error}")
            continue
        if flaw := _not_text(number, fields):
            yield flaw
        elif not any(field.strip() for field in fields) and len(fields) <= 1:
            yield Flaw(number, "empty", "is empty")
        elif head:
            fields = [field.strip() for field in fields]
            width, places, head = len(fields), columns.places(fields, path, number), False
        elif len(fields) != width:
            yield Flaw(number, "ragged", f"has {len(fields)} columns; wanted {width}")
        else:
            yield row_of(number, {name: fields[at] for name, at in places.items()})


def _not_text(number: int, fields: list[str]) -> Flaw | None:
    try:
        ",".join(fields).encode(errors="surrogateescape").decode()
    except UnicodeDecodeError as error:
        return not_utf8(number, error)
    return None
