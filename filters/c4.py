r"""Reject documents by C4's rules: too few sentences in good lines, "lorem ipsum", a curly bracket.

One row in -> out: ``"Read more\nThe guild sold salt."`` -> rejected, ``c4_too_few_sentences`` (one good line of one
sentence); an article of five sentences -> kept, with ``c4_sentences`` and ``c4_kept_lines`` as scores.

Rules: Raffel et al. 2020 (JMLR 21, 20-074), section 2.2, in the order of datatrove's `C4QualityFilter`. A line is good
when it ends in . ? ! " or ' but not in "...", has three words, none of a thousand characters, and says neither
"javascript" nor one of the phrases of a privacy policy. "lorem ipsum" and "{" count only in good lines. Sentences are
counted as `filters.sentence_kernel` says. The text itself stays whole; `c4_lines` keeps its good lines alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from filters.chunk import asked
from filters.questions import C4Lines, Unspaced
from filters.rule import TextRule, named
from mashbill.records import Record
from mashbill.step import Filter


@dataclass(frozen=True, kw_only=True)
class C4(TextRule, Filter[Record]):
    """C4's rules for documents; a limit at its default is the paper's."""

    min_sentences: int = 5
    """In the lines that are good."""
    min_line_words: int = 3
    max_word_chars: int = 1000
    remove_citations: bool = True
    """Whether ``[1]``, ``[edit]`` and ``[citation needed]`` are taken out before the end of a line is looked at."""
    lorem_ipsum: bool = True
    """Whether such a document goes."""
    curly_bracket: bool = True
    """Whether a document goes that has one in a good line."""

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        number = self._numbers()
        found = {"too_few_sentences": number["sentences"] < self.min_sentences}
        if self.curly_bracket:
            found = {"curly_bracket": number["curly_bracket"] > 0, **found}
        if self.lorem_ipsum:
            found = {"lorem_ipsum": number["lorem_ipsum"] > 0, **found}
        unspaced = asked(self.column, self.words, Unspaced(), ["unspaced"])["unspaced"]
        return self.judged("c4_", unspaced, found, {})

    def scores(self) -> dict[str, pl.Expr]:
        """Sentences in good lines, and the share of lines that are good."""
        number = self._numbers()
        return named(self.column, {name: number[name] for name in ("sentences", "kept_lines")}, "c4_")

    def _numbers(self) -> dict[str, pl.Expr]:
        stops = self.lorem_ipsum, self.curly_bracket
        question = C4Lines(self.max_word_chars, self.min_line_words, self.remove_citations, *stops)
        return asked(self.column, self.words, question, question.names())
