r"""Triples from N-Triples, the line format of RDF.

``<http://ex/salt> <http://ex/label> "sel\u00e9"@fr .`` -> ``Row(1, "http://ex/salt", "http://ex/label", "selé@fr")``

An IRI's name is the IRI, a blank node's is ``_:b1``, and a literal's is its value: with its language behind it, so that
``chat@fr`` and ``chat@en`` are two, and without its datatype. The grammar is that of the W3C's recommendation of 2014,
with its escapes; no library is needed for a language of one line, and none that we know gives its lines' numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kg.load_rows import Columns, Flaw, Row, lines_of, not_utf8, row_of

_U = r"\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}"
_IRI = rf"<(?:[^\x00-\x20<>\"{{}}|^`\\]|{_U})*>"
_BLANK = r"_:[\w](?:[\w.\-·]*[\w\-·])?"
_LITERAL = rf'"(?:[^"\\\n\r]|\\[tbnrf"\'\\]|{_U})*"(?:@[a-zA-Z]+(?:-[a-zA-Z0-9]+)*|\^\^{_IRI})?'
_LINE = re.compile(
    rf"[ \t]*(?P<head>{_IRI}|{_BLANK})[ \t]*(?P<relation>{_IRI})[ \t]*(?P<tail>{_IRI}|{_BLANK}|{_LITERAL})"
    r"[ \t]*\.[ \t]*(?:#.*)?"
)
_ESCAPE = re.compile(rf"{_U}|\\[tbnrf\"'\\]")
_PLAIN = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f", '"': '"', "'": "'", "\\": "\\"}


def ntriples_rows(path: Path, columns: Columns) -> Iterator[Row | Flaw]:
    """The rows of a file; comments and empty lines are ``empty``. There are no columns to choose."""
    del columns
    for number, line in lines_of(path):
        try:
            text = line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield not_utf8(number, error)
            continue
        if not (bare := text.strip(" \t")) or bare.startswith("#"):
            yield Flaw(number, "empty", "is empty")
        elif found := _LINE.fullmatch(text):
            try:
                yield row_of(number, {name: term(value) for name, value in found.groupdict().items()})
            except ValueError as error:
                yield Flaw(number, "broken_escape", f"has an escape that is no character: {error}")
        else:
            yield Flaw(
                number,
                "not_ntriples",
                f"is no triple of N-Triples: wanted `<head> <relation> <tail> .`; found {bare[:80]}",
            )


def term(text: str) -> str:
    """The name of a term as it is written.

    >>> term("<http://ex/a>"), term('"5"^^<http://ex/int>'), term('"chat"@fr'), term("_:b1")
    ('http://ex/a', '5', 'chat@fr', '_:b1')

    Raises:
        ValueError: for an escape beyond the last character or in the middle of a pair.
    """
    if text.startswith("<"):
        return _unescaped(text[1:-1])
    if text.startswith("_:"):
        return text
    end = text.rindex('"')
    # A datatype may hold a quotation mark by no rule of the grammar, so the last one ends the value.
    return _unescaped(text[1:end]) + (text[end + 1 :] if text[end + 1 : end + 2] == "@" else "")


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(found: re.Match[str]) -> str:
    escape = found[0]
    if escape[1] not in "uU":
        return _PLAIN[escape[1]]
    code = int(escape[2:], 16)
    if 0xD800 <= code < 0xE000 or code > 0x10FFFF:
        raise ValueError(escape)
    return chr(code)
