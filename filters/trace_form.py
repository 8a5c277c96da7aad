"""Reject worked answers by their form: cut off, too short or long, or in another language.

One row in -> out: a row whose ``made.finish_reason`` is ``length`` -> rejected, ``truncated``, before anything of it
is read; ``"Salz."`` with ``min_words: 5`` -> ``trace_too_few_words``.

The cheapest check of all, so it stands first. Rows that no model made have no finish reason and pass that part. The
language is fastText's guess (`filters.language`) of the words alone; below `min_chars` of them it says nothing.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import polars as pl

from filters.language import guesses
from filters.measured import Remembered, texts_of
from filters.words import word_count
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
    """Of words; with fewer the language is not guessed."""
    min_score: float = 0.8
    """How sure a guess at another language must be. Set while looking at GSM8K: on its short English solutions wrong
    guesses scored up to 0.64, on German ones right guesses 0.99. On 359 texts of Self-Instruct's seed tasks, looked at
    afterwards, none was a wrong alarm; the highest wrong guess was 0.22."""

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
            reasons["trace_language"] = self._foreign()
        return reasons

    def _foreign(self) -> pl.Expr:
        """Whether the words are surely in another language than those wanted."""
        remembered = _guessing(self.languages, self.min_chars)

        def one(words: pl.Series) -> pl.Series:
            found = remembered(texts_of(words))
            return pl.Series(words.name, (found["wanted"] == 0.0) & (found["score"] >= self.min_score))

        words = prose("rationale")
        told = words.str.len_chars() >= self.min_chars
        return told & words.map_batches(one, return_dtype=pl.Boolean, is_elementwise=True)

    def scores(self) -> dict[str, pl.Expr]:
        """Words of the trace."""
        return {"trace_words": word_count("rationale")}


def prose(column: str) -> pl.Expr:
    """The words of a text without its equations and figures, which look like a language of their own.

    "Carlos memorized 24/6=<<24/6=4>>4 digits of pi." -> "Carlos memorized digits of pi."
    """
    letters = pl.col(column).str.replace_all(r"<<[^<>\n]*>>", " ").str.replace_all(r"[^\p{L}\p{M}\s.,;:'’-]+", " ")
    return letters.str.replace_all(r"\s+", " ").str.strip_chars()


@functools.cache
def _guessing(languages: tuple[str, ...], min_chars: int) -> Remembered:
    return Remembered(functools.partial(guesses, keep=languages, min_chars=min_chars, read_chars=300))
