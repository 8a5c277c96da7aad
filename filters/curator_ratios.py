r"""Reject texts of numbers, addresses, brackets, white space or lines without an end: NeMo Curator's ratios.

One row in -> out: ``"1702 1703 1704 1705"`` -> rejected, ``curator_too_many_digits``; prose -> kept, with the ratios as
scores.

Limits and measures: NeMo Curator 1.4, ``heuristic_filter_english_pipeline.yaml``. Those of its filters that are
Gopher's are in `gopher_quality` and `gopher_repetition`. "Plain" characters are a-z, A-Z, 0-9, newline and ? ! , .
alone, so a space is none of them and prose has some 18 % that are not plain: the limit of 25 % is nearer than it looks,
and any other language than English is beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from filters.chunk import asked
from filters.questions import Ratios
from filters.rule import named
from filters.words import ratio
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import Filter

URL = r"https?://(?:[A-Za-z0-9$\-_@.&+/:=?#~]|[!*\(\),]|(?:%[0-9A-Fa-f]{2}))+"
POLICIES = (
    *("terms of use", "privacy policy", "cookie policy", "uses cookies", "privacy overview", "use of cookies"),
    *("use cookies", "privacy & cookies policy", "privacy and cookies policy"),
)


@dataclass(frozen=True, kw_only=True)
class CuratorRatios(Filter[Record]):
    """NeMo Curator's further ratios of characters and lines; a limit at its default is its own."""

    column: str = "text"
    max_not_plain: float = 0.25
    """Share of characters that are neither a letter or digit of English nor newline, ? ! , or full stop."""
    max_digits: float = 0.15
    max_url_chars: float = 0.2
    max_white_space: float = 0.25
    max_brackets: float = 0.1
    max_unended_lines: float = 0.85
    """Share of lines that do not end in . ? ! " or '."""
    max_policy_paragraphs: float = 0.4
    """Share of paragraphs that speak of cookies or terms; "lorem ipsum" counts as all of them."""
    max_word_chars: int = 1000

    def __post_init__(self) -> None:
        """Refuse limits that are no share."""
        shares = {name: value for name, value in vars(self).items() if isinstance(value, float)}
        wrong = {name: value for name, value in shares.items() if not 0 <= value <= 1}
        if wrong:
            raise BillError(f"curator_ratios has {wrong}; each is a share, from 0 to 1")

    def columns(self) -> tuple[str, ...]:
        """The column it reads."""
        return (self.column,)

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        number = self._numbers()
        limits = {
            "not_plain": self.max_not_plain,
            "digits": self.max_digits,
            "url_chars": self.max_url_chars,
            "white_space": self.max_white_space,
            "brackets": self.max_brackets,
            "policy_paragraphs": self.max_policy_paragraphs,
            "unended_lines": self.max_unended_lines,
        }
        found = {f"too_many_{name}": number[name] > limit for name, limit in limits.items()}
        found["long_word"] = number["longest_word"] > self.max_word_chars
        return named(self.column, {"empty": number["chars"] == 0, **found}, "curator_")

    def scores(self) -> dict[str, pl.Expr]:
        """Every number the reasons compare."""
        return named(self.column, {name: one for name, one in self._numbers().items() if name != "chars"}, "curator_")

    def _numbers(self) -> dict[str, pl.Expr]:
        question = Ratios()
        found = asked(self.column, "whitespace", question, question.names())
        text = pl.col(self.column)
        return found | {"url_chars": ratio(url_chars(text), text.str.len_chars()), "policy_paragraphs": policies(text)}


def url_chars(text: pl.Expr) -> pl.Expr:
    """Characters in addresses; the pattern matches ASCII alone, so bytes are characters."""
    # Most texts have none: to look for the colon and slashes first costs a tenth.
    found = text.str.extract_all(URL).list.eval(pl.element().str.len_bytes()).list.sum()
    return pl.when(text.str.contains("://", literal=True)).then(found).otherwise(0)


def policies(text: pl.Expr) -> pl.Expr:
    """The share of paragraphs, split at two newlines, that speak of cookies or terms of use."""
    patterns = [*POLICIES, "lorem ipsum"]
    spoken = text.str.contains_any(patterns, ascii_case_insensitive=True)
    paragraphs = text.str.split("\n\n")
    hits = paragraphs.list.eval(pl.element().str.contains_any(list(POLICIES), ascii_case_insensitive=True)).list.mean()
    lorem = text.str.contains_any(["lorem ipsum"], ascii_case_insensitive=True)
    return pl.when(~spoken).then(0.0).when(lorem).then(1.0).otherwise(hits)
