r"""Triples from tab-separated lines: no quoting, so a name holds anything but a tab and a line's end.

``salt\tmade_by\tOra "the" Venn`` -> ``Row(1, "salt", "made_by", 'Ora "the" Venn')``
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kg.load_rows import FIELDS, Columns, Flaw, Row, lines_of, not_utf8, row_of


def tsv_rows(path: Path, columns: Columns) -> Iterator[Row | Flaw]:
    """The rows of a file; with ``header`` the first line names the columns, else they are head, relation, tail."""
    width, places = len(FIELDS), {name: at for at, name in enumerate(FIELDS)}
    wanted, head = f"three with tabs between: {', '.join(FIELDS)}", bool(columns.header)
    for number, line in lines_of(path):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            yield not_utf8(number, error)
            continue
        fields = [field.strip() for field in text.split("\t")]
        if fields == [""]:
            yield Flaw(number, "empty", "is empty")
        elif head:
            width, places, head = len(fields), columns.places(fields, path, number), False
            wanted = f"the {width} of the first line"
        elif len(fields) != width:
            yield Flaw(number, "ragged", f"has {len(fields)} columns; wanted {wanted}")
        else:
            yield row_of(number, {name: fields[at] for name, at in places.items()})
