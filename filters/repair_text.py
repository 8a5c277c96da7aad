r"""Repair texts that went through the wrong hands: mojibake, control characters, mixed line ends, loose accents.

One row in -> out: ``"The cafÃ©\x00\r\nof Veylund"`` -> ``"The café\nof Veylund"`` under a new id, with the old one as
parent; a text with nothing to repair -> the same row.

What is done, in this order: mojibake is decoded by ftfy where its heuristic is sure (Speer 2019; curly quotation marks,
ligatures and full-width letters stay as they are); escape sequences of terminals and control characters go, as do byte
order marks and zero-width spaces; line ends become ``\n``; the text is put in Unicode form C. Joiners stay: Persian and
emoji need them. Repairing twice changes nothing more.

A replacement character (U+FFFD) stands for bytes that somebody threw away, which nothing brings back. Where they are
more than `max_lost` of the characters the row is rejected, ``lost_characters``; a text with nothing left is rejected
too, ``nothing_left``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from filters.rewrite import column_of, rewritten
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import DatasetStep, PartOutput, Parts

CONTROL = (
    r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u{feff}\u{200b}\u{2060}\u{fff9}-\u{fffb}]"
)
LINE_END = r"\r\n?|[\x{85}\x{2028}]"
PARAGRAPH_END = r"\x{2029}"


@dataclass(frozen=True, kw_only=True)
class RepairText(DatasetStep[Record, Record]):
    """Repairs encoding, control characters, line ends and Unicode form; a row that changes gets a new id."""

    columns: tuple[str, ...] = ("text",)
    """The columns to repair."""
    mojibake: bool = True
    max_lost: float = 0.01
    """Share of characters that may be U+FFFD."""

    def __post_init__(self) -> None:
        """Refuse what repairs nothing."""
        if not self.columns:
            raise BillError("repair_text repairs no column; name some, e.g. columns: [text]")
        if not 0 <= self.max_lost <= 1:
            raise BillError(f"max_lost is {self.max_lost}; it is a share of the characters, from 0 to 1")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        for index in range(len(parts)):
            table = parts.table(index)
            changed = dict[str, list[str]]()
            lost = pl.Series([False] * table.num_rows, dtype=pl.Boolean)
            empty = lost
            for column in self.columns:
                old = column_of(table, column, self.name)
                new = repaired(old, self.mojibake)
                changed[column] = new.to_list()
                lost = lost | (new.str.count_matches("\ufffd", literal=True) > self.max_lost * new.str.len_chars())
                empty = empty | ((new.str.strip_chars() == "") & (old.str.strip_chars() != ""))
            yield rewritten(
                table, changed, {"nothing_left": empty.to_list(), "lost_characters": lost.to_list()}, self.name
            )


def repaired(texts: pl.Series, mojibake: bool = True) -> pl.Series:
    r"""Texts repaired, until nothing more would change: what one repair takes out may have parted what another mends.

    >>> repaired(pl.Series(["The cafÃ©\x00\r\nof Veylund"])).to_list()
    ['The café\nof Veylund']
    """
    once = _repaired_once(texts, mojibake)
    # Every repair leaves fewer bytes or a form that none changes again, so this comes to an end.
    moved = (once != texts).fill_null(False).arg_true()
    if len(moved) == 0:
        return once
    again = repaired(once.gather(moved), mojibake)
    return once.scatter(moved, again)


def _repaired_once(texts: pl.Series, mojibake: bool) -> pl.Series:
    if mojibake:
        import ftfy
        from ftfy import badness

        # Pure ASCII cannot be mojibake, and ftfy looks at a character at a time.
        wide = texts.str.len_bytes() != texts.str.len_chars()
        fixed = [
            ftfy.fix_encoding(text) if maybe and badness.is_bad(text) else text
            for text, maybe in zip(texts.to_list(), wide.to_list(), strict=True)
        ]
        texts = pl.Series(texts.name, fixed, dtype=pl.String)
    lines = texts.str.replace_all(LINE_END, "\n").str.replace_all(PARAGRAPH_END, "\n\n")
    clean = lines.str.replace_all(CONTROL, "")
    return pl.Series(texts.name, [_form_c(text) for text in clean.to_list()], dtype=pl.String)


def _form_c(text: str) -> str:
    return text if text.isascii() or unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)
