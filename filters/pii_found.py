r"""Personal data of a column of texts: which rows have some, of which kind and where, and texts with it replaced.

``["Write to ora@salt.org", "no"]`` -> row 0 has an ``email``; redacted it reads ``"Write to <EMAIL>"``.

Only texts with a candidate are looked at one by one: the hint of each kind is one pass of polars over all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from filters.pii_kinds import KINDS, Span, apart
from filters.pii_names import NameFinder

SPANS = {"row": pl.Int64, "kind": pl.String, "start": pl.Int64, "end": pl.Int64}


def found_in(texts: pl.Series, kinds: Sequence[str], names: NameFinder | None = None) -> dict[int, list[Span]]:
    """Row -> its spans, in order and apart."""
    text = texts.fill_null("")
    found: dict[int, list[Span]] = {}
    for name in (name for name in KINDS if name in kinds):
        candidates = text.str.contains(KINDS[name].hint).arg_true()
        for row, one in zip(candidates.to_list(), text.gather(candidates).to_list(), strict=True):
            if spans := list(KINDS[name].spans(one)):
                found.setdefault(row, []).extend(spans)
    if names is not None:
        for row, one in enumerate(text.to_list()):
            if spans := names.spans(one):
                found.setdefault(row, []).extend(spans)
    return {row: apart(spans) for row, spans in sorted(found.items())}


def redacted(text: str, spans: Sequence[Span], numbered: bool = False) -> str:
    """A text with a placeholder of its kind in place of each span.

    >>> spans = [Span("email", 0, 5), Span("email", 7, 12), Span("email", 14, 19)]
    >>> redacted("a@b.c, d@e.f, a@b.c", spans), redacted("a@b.c, d@e.f, a@b.c", spans, numbered=True)
    ('<EMAIL>, <EMAIL>, <EMAIL>', '<EMAIL_1>, <EMAIL_2>, <EMAIL_1>')
    """
    pieces, at, seen = list[str](), 0, dict[tuple[str, str], int]()
    for span in spans:
        said = (span.kind, text[span.start : span.end].strip().lower())
        if said not in seen:
            seen[said] = 1 + sum(kind == span.kind for kind, _ in seen)
        number = f"_{seen[said]}" if numbered else ""
        pieces += [text[at : span.start], f"<{span.kind.upper()}{number}>"]
        at = span.end
    return "".join([*pieces, text[at:]])
