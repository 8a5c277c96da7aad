r"""Reject texts that stop in the middle: the model ran out of tokens, a sentence has no end, a code fence stays open.

One row in -> out: ``"The guild sold salt and"`` -> rejected, ``truncated_sentence``; ``"It sold:\n- salt\n- fish"`` ->
kept, since an item of a list needs no full stop; a row whose reply ended for its length -> ``truncated_reply``.

A text ends well when its last character, closing quotation marks, brackets and Markdown aside, ends a sentence in any
script (Unicode's Sentence_Terminal, an ellipsis or a colon before nothing are not enough: ``…`` and ``:`` are cut
sentences), or when its last line is a heading, an item of a list, a row of a table, a formula or code.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from filters.code_points import SENTENCE_ENDS
from filters.rule import named
from mashbill.records import Record
from mashbill.step import Filter

_ENDS = "".join(rf"\x{{{code}}}" for code in SENTENCE_ENDS.split())
ENDED = rf"[{_ENDS}][\p{{Pf}}\p{{Pe}}\p{{Pi}}\"'*_`\s]*\z"
NEEDS_NO_END = r"(?m)^[^\S\n]*(?:#{1,6}\s|[-*+•]\s|\d{1,3}[.)]\s|\||>|\$|```|~~~|\\)[^\n]*\s*\z|[\]}$|`]\s*\z"
FENCE = r"(?m)^[^\S\n]*```"


@dataclass(frozen=True, kw_only=True)
class Truncated(Filter[Record]):
    """Rejects texts that were cut off."""

    column: str = "text"
    reply: bool = True
    """Whether a row goes whose reply ended because it was as long as it might be (its ``made.finish_reason``)."""
    sentence: bool = True
    """Whether a text goes whose last sentence has no end; for short answers, do not ask for one."""
    fence: bool = True
    """Whether a text goes with a code fence that is never closed."""
    min_chars: int = 1
    """Below this nothing is said: a text this short is no sentence."""

    def columns(self) -> tuple[str, ...]:
        """The columns it reads."""
        return (self.column, "made") if self.reply else (self.column,)

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        text = pl.col(self.column)
        found = dict[str, pl.Expr]()
        if self.reply:
            found["truncated_reply"] = pl.col("made").struct.field("finish_reason") == "length"
        if self.fence:
            found["truncated_fence"] = text.str.count_matches(FENCE) % 2 == 1
        if self.sentence:
            cut = ~text.str.contains(ENDED) & ~text.str.contains(NEEDS_NO_END)
            found["truncated_sentence"] = cut & (text.str.len_chars() >= self.min_chars)
        return named(self.column, found)
