"""Equal texts, as a reader would hold them equal.

``"The Salt Guild."`` and ``"salt guild"`` -> same. Only what stands around an answer is passed over: its case, white
space, quotation marks, an end of sentence, an article. Signs inside stay: ``-5`` is not ``5``, nor ``3.5`` ``35``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from mashbill.matching.base import Matcher
from mashbill.matching.final_answer import plain
from mashbill.matching.match import Match

_ARTICLE = re.compile(r"\A(?:an?|the)\s+(?=\S)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Exact(Matcher):
    """Compares texts after taking off what does not change what they say."""

    ignore_case: bool = True
    ignore_articles: bool = True
    """A leading a, an or the."""

    def compare(self, answer: str, gold: str, options: Sequence[str] = ()) -> Match:
        """Whether the texts are equal; options say nothing here."""
        del options
        one, two = self.normal(answer), self.normal(gold)
        if not two:
            return Match("gold_unreadable", "empty: the gold answer holds no text")
        if not one:
            return Match("unreadable", "empty: the answer holds no text")
        return Match("same") if one == two else Match("different", f"{one[:80]!r} is not {two[:80]!r}")

    def normal(self, text: str) -> str:
        """What is compared."""
        folded = plain(text) if self.ignore_case else " ".join(unicodedata.normalize("NFC", text).split())
        return _ARTICLE.sub("", folded) if self.ignore_articles else folded
