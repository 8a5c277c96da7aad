r"""Where the words that a model quotes stand in a document, to the character.

``'... the "Salt  Guild" was founded'`` in ``'In 204 the “Salt\\nGuild” was founded by Ora.'`` -> ``(7, 35)``

Models give back quotes with other spaces, quotation marks and dashes, without Markdown's emphasis, with another case at
the start or a full stop that is not there. All of that is let pass; a word more, less or other is not.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from mashbill.words import is_unspaced

_SAME = {"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'", "`": ""}
_SAME |= {"–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-", "…": "...", "*": "", "_": ""}
_SAME |= dict.fromkeys("\u00ad\u200b\u2060\ufeff", "")
_EDGES = " .,;:!?\"'()[]-"


@dataclass(frozen=True, slots=True)
class Track:
    """A text folded for finding quotes, and for each of its characters where it came from."""

    text: str
    folded: str
    places: tuple[int, ...]
    stops: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> Track:
        """Fold a text, once for all the quotes to be found in it."""
        folded, places, stops, blank = list[str](), list[int](), list[int](), True
        for start, stop in _letters(text):
            if text[start].isspace() and stop == start + 1:
                if not blank:
                    folded.append(" ")
                    places.append(start)
                    stops.append(stop)
                blank = True
                continue
            for one in _plain(text[start:stop]):
                folded.append(one)
                places.append(start)
                stops.append(stop)
                blank = False
        return cls(text, "".join(folded), tuple(places), tuple(stops))

    def find(self, quote: str, near: int = 0, until: int | None = None) -> tuple[int, int] | None:
        """Where a quote stands, as character offsets into the text.

        Of several places the first from `near` to `until`, else the first after `near`, else the first.

        >>> track = Track.of("It burned. The *Sallow  Heron* left.")
        >>> track.find("the sallow heron left!"), track.find("the sallow crow")
        ((11, 35), None)
        """
        wanted = Track.of(quote).folded.strip()
        # What stands at the edges of a quote is the model's, or the document's: both are tried.
        forms = [form for form in dict.fromkeys((wanted, wanted.strip(_EDGES))) if form]
        last = len(self.text) if until is None else until
        for low, high in dict.fromkeys(((near, last), (near, len(self.text)), (0, len(self.text)))):
            for form in forms:
                if (found := self._find(form, low, high)) is not None:
                    return found
        return None

    def _find(self, form: str, low: int, high: int) -> tuple[int, int] | None:
        at = self.folded.find(form, bisect_left(self.places, low))
        while at >= 0 and self.stops[at + len(form) - 1] <= high:
            if self._whole(at, at + len(form)):
                return self.places[at], self.stops[at + len(form) - 1]
            at = self.folded.find(form, at + 1)
        return None

    def _whole(self, start: int, end: int) -> bool:
        """Whether it begins and ends at the edges of words: ``art`` is not quoted from ``party``."""
        return not (self._joined(start) or self._joined(end))

    def _joined(self, at: int) -> bool:
        """Whether the characters before and at a place are of one letter, or of one word."""
        if not 0 < at < len(self.folded):
            return False
        if self.places[at] == self.places[at - 1] and self.folded[at].isalnum():
            return True
        one, other = self.folded[at - 1], self.folded[at]
        if unicodedata.category(other)[0] == "M":
            return True
        return one.isalnum() and other.isalnum() and not (is_unspaced(one) or is_unspaced(other))


def _letters(text: str) -> Iterator[tuple[int, int]]:
    """Where each letter begins and ends, with the marks and Korean vowels and finals that belong to it."""
    start = 0
    for at in range(1, len(text) + 1):
        if at < len(text) and text[at] >= "\u0300":
            letter = text[at]
            if unicodedata.combining(letter) or "\u1160" <= letter <= "\u11ff":
                continue
        if at > start:
            yield start, at
        start = at


def _plain(letter: str) -> str:
    """A letter as quotes are compared by: composed, small, with plain quotation marks and dashes."""
    if len(letter) == 1 and letter < "\u0080":
        return _SAME.get(letter, letter.lower())
    composed = unicodedata.normalize("NFKC" if letter[0].isalpha() else "NFC", letter)
    small = composed.lower()
    return _SAME.get(composed, small if len(small) == len(composed) else composed)
