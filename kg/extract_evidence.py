r"""Where the words that a model quotes stand in a document, to the character.

``'... the "Salt  Guild" was founded'`` in ``'In 204 the “Salt\\nGuild” was founded by Ora.'`` -> ``(7, 35)``

Models give back quotes with other spaces, quotation marks and dashes, without Markdown's emphasis, with another case at
the start or a full stop that is not there. All of that is let pass; a word more, less or other is not.
"""

from __future__ import annotations

from dataclasses import dataclass

_SAME = {"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'", "`": ""}
_SAME |= {"–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-", "…": "...", "\u00ad": "", "\u200b": "", "*": "", "_": ""}
_EDGES = " .,;:!?\"'()[]-"


@dataclass(frozen=True, slots=True)
class Track:
    """A text folded for finding quotes, and for each of its characters where it came from."""

    text: str
    folded: str
    places: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> Track:
        """Fold a text, once for all the quotes to be found in it."""
        folded, places, blank = list[str](), list[int](), True
        for place, letter in enumerate(text):
            if letter.isspace():
                if not blank:
                    folded.append(" ")
                    places.append(place)
                blank = True
                continue
            for one in _SAME.get(letter, letter.lower() if len(letter.lower()) == 1 else letter):
                folded.append(one)
                places.append(place)
                blank = False
        return cls(text, "".join(folded), tuple(places))

    def find(self, quote: str, near: int = 0) -> tuple[int, int] | None:
        """Where a quote stands, as character offsets into the text; of several places the first at or after `near`.

        >>> track = Track.of("It burned. The *Sallow  Heron* left.")
        >>> track.find("the sallow heron left!"), track.find("the sallow crow")
        ((11, 35), None)
        """
        wanted = Track.of(quote).folded.strip()
        # What stands at the edges of a quote is the model's, or the document's: both are tried.
        for form in dict.fromkeys((wanted, wanted.strip(_EDGES))):
            if form and (found := self._find(form, near)) is not None:
                return found
        return None

    def _find(self, form: str, near: int) -> tuple[int, int] | None:
        first: tuple[int, int] | None = None
        at = self.folded.find(form)
        while at >= 0:
            if self._whole(at, at + len(form)):
                span = self.places[at], self._stop(at + len(form) - 1)
                if span[0] >= near:
                    return span
                first = first or span
            at = self.folded.find(form, at + 1)
        return first

    def _whole(self, start: int, end: int) -> bool:
        """Whether it begins and ends at the edges of words: ``art`` is not quoted from ``party``."""
        before = start > 0 and self.folded[start - 1].isalnum() and self.folded[start].isalnum()
        after = end < len(self.folded) and self.folded[end - 1].isalnum() and self.folded[end].isalnum()
        unspaced = self.folded[start] >= "\u0e00" or self.folded[end - 1] >= "\u0e00"
        return unspaced or not (before or after)

    def _stop(self, last: int) -> int:
        return self.places[last] + 1
