r"""Keep only the lines of a document that C4 calls good, as C4 itself was made.

One row in -> out: ``"Home | About\nThe guild sold salt in Veylund.[1]"`` -> ``"The guild sold salt in Veylund."`` under
a new id, with the old one as parent; a document without a good line is rejected, ``no_good_line``.

Rules: Raffel et al. 2020, section 2.2; see `filters.c4`, which judges documents and changes none. Put this before it
and ``c4`` counts the sentences of what is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from filters.chunk import chunk_of
from filters.code_points import table as flags
from filters.measured import texts_of
from filters.questions import C4Lines as Rules
from filters.reading import read_in_chunks
from filters.rewrite import column_of, rewritten
from mashbill.records import Record
from mashbill.step import DatasetStep, PartOutput, Parts


@dataclass(frozen=True, kw_only=True)
class C4Lines(DatasetStep[Record, Record]):
    """Keeps C4's good lines of a text; a row that changes gets a new id."""

    column: str = "text"
    min_line_words: int = 3
    max_word_chars: int = 1000
    remove_citations: bool = True

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        rules = Rules(self.max_word_chars, self.min_line_words, self.remove_citations, lorem=False, brace=False)
        for index in range(len(parts)):
            table = parts.table(index)
            old = column_of(table, self.column, self.name)
            new = good_lines(old, rules)
            yield rewritten(table, {self.column: new}, {"no_good_line": [not text for text in new]}, self.name)


def good_lines(texts: pl.Series, rules: Rules) -> list[str]:
    r"""Each text's good lines, stripped.

    >>> good_lines(pl.Series(["Home\nThe guild sold salt.[1]"]), Rules(lorem=False, brace=False))
    ['The guild sold salt.']
    """
    from filters.c4_kernel import KEPT, uncited

    made = list[str]()
    for reading in read_in_chunks(texts_of(texts)):
        state, _ = rules.states(chunk_of(reading))
        words, lines, scratch = reading.words, reading.lines, np.empty(0, np.uint8)
        for text in range(len(reading)):
            kept = list[str]()
            first = int(lines.bounds[text])
            for line in (first + np.flatnonzero(state[first : lines.bounds[text + 1]] == KEPT)).tolist():
                low, high = int(words.start[lines.word[line]]), int(words.end[lines.word[line + 1] - 1])
                piece = reading.data[low:high]
                if rules.cited and 91 in piece:
                    if len(scratch) < high - low:
                        scratch = np.empty(high - low, np.uint8)
                    piece = scratch[: uncited(reading.data, low, high, flags(), scratch)]
                kept.append(piece.tobytes().decode("utf-8", "replace"))
            made.append("\n".join(kept).strip())
    return made
