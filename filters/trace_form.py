"""Reject worked answers by their form: cut off, too short or long, or in another language.

One row in -> out: a row whose ``made.finish_reason`` is ``length`` -> rejected, ``truncated``, before anything of it
is read; ``"Salz."`` with ``min_words: 5`` -> ``trace_too_few_words``.

The cheapest check of all, so it stands first. Rows that no model made have no finish reason and pass that part. The
language is fastText's guess (`filters.language`); below `min_chars` it says nothing.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import polars as pl

from filters.language import guesses
from filters.measured import Remembered, measured
from filters.words import char_count, word_count
from mashbill.records import Rationale
from mashbill.step import Filter


@dataclass(frozen=True, kw_only=True)
class TraceForm(Filter[Rationale]):
    """Keeps whole traces of a wanted length and language."""

    min_words: int | None = None
    max_words: int | None = None
    languages: tuple[str, ...] = ()
    """Codes as fastText gives them, e.g. ``en``; empty for any."""
    min_chars: int = 40
    """Below this the language is not guessed: an equation looks like any."""

    def __post_init__(self) -> None:
        """Refuse limits that would keep nothing and codes that no guess could equal."""
        if self.min_words is not None and self.max_words is not None and self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is above max_words {self.max_words}: no row could pass")
        wrong = [code for code in self.languages if not (code.islower() and 2 <= len(code) <= 3)]
        if wrong:
            raise ValueError(f"language codes are two or three lower-case letters, e.g. en, de, zh; found {wrong}")

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        finish, words = pl.col("made").struct["finish_reason"], word_count("rationale")
        reasons = {"truncated": finish == "length", "unfinished": ~finish.is_in(["", "stop", "length"])}
        if self.min_words is not None:
            reasons["trace_too_few_words"] = words < self.min_words
        if self.max_words is not None:
            reasons["trace_too_many_words"] = words > self.max_words
        if self.languages:
            told = char_count("rationale") >= self.min_chars
            guess = measured(_guessing(self.languages, self.min_chars), "rationale", ["wanted"])
            reasons["trace_language"] = told & (guess["wanted"] == 0.0)
        return reasons

    def scores(self) -> dict[str, pl.Expr]:
        """Words of the trace."""
        return {"trace_words": word_count("rationale")}


@functools.cache
def _guessing(languages: tuple[str, ...], min_chars: int) -> Remembered:
    return Remembered(functools.partial(guesses, keep=languages, min_chars=min_chars, read_chars=300))
