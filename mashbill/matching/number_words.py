"""Numbers in English words.

``forty-two`` -> 42, ``three dozen`` -> 36, ``two and a half`` -> 5/2, ``one hundred and five`` -> 105.

Only the beginning of a text is read, since "one" and "a" are most often no numbers: "the last one" is none.
"""

from __future__ import annotations

import re
from fractions import Fraction


def _words(text: str) -> list[str]:
    return text.split()


_ONES = {
    word: number
    for number, word in enumerate(
        _words(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
            "fifteen sixteen seventeen eighteen nineteen"
        )
    )
}
_TENS = {
    word: 10 * number
    for number, word in enumerate(_words("twenty thirty forty fifty sixty seventy eighty ninety"), start=2)
}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
"""What multiplies the number before it."""
COUNTS = {"dozen": 12, "dozens": 12, "score": 20, "hundred": 100, **SCALES}
"""What multiplies a number in figures."""
COUNTED = (*_TENS, *(word for word in _ONES if word not in ("one", "zero")), *(f"{word}s?" for word in COUNTS))
"""Words that are a number wherever they stand; "one" is most often none."""
_ALONE = frozenset({"half", "quarter"})
"""Shares that are no place in a row: "third" alone may be the third."""
_PARTS = {
    "half": 2,
    "halves": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "eighth": 8,
    "tenth": 10,
}
_PARTS.update({f"{word}s": over for word, over in list(_PARTS.items()) if word not in ("half", "halves")})
_BEFORE = frozenset(
    _words(
        "about exactly approximately roughly around only just there are is was were a total of he "
        "she it they we has have had the"
    )
)
_WORD = re.compile(r"[^\W\d_]+")
MOST_WORDS = 40


class _Words:
    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.at = 0

    def here(self, offset: int = 0) -> str:
        at = self.at + offset
        return self.words[at] if at < len(self.words) else ""

    def take(self, table: dict[str, int]) -> int | None:
        number = table.get(self.here())
        self.at += number is not None
        return number

    def below_hundred(self) -> int | None:
        tens = self.take(_TENS)
        if tens is None:
            return self.take(_ONES)
        ones = _ONES.get(self.here(), 0)
        if 0 < ones < 10:
            self.at += 1
            return tens + ones
        return tens

    def below_thousand(self) -> int | None:
        if self.here() in ("a", "an") and (self.here(1) in SCALES or self.here(1) == "hundred"):
            self.at += 1
            number: int | None = 1
        else:
            number = self.below_hundred()
        if number is None or self.here() != "hundred":
            return number
        self.at += 1
        mark = self.at
        self.at += self.here() == "and"
        rest = self.below_hundred()
        if rest is None:
            self.at = mark
        return number * 100 + (rest or 0)

    def whole(self) -> int | None:
        total, least = 0, 10**15
        found = False
        while True:
            mark = self.at
            self.at += found and self.here() == "and"
            group = self.below_thousand()
            if group is None or (found and self.here() not in SCALES and least == 1):
                self.at = mark
                return total if found else None
            scale = SCALES.get(self.here(), 1)
            self.at += scale > 1
            if scale >= least:
                self.at = mark
                return total
            total, least, found = total + group * scale, scale, True

    def part(self) -> Fraction | None:
        """A share after "and", or alone: half, a quarter, two thirds."""
        mark = self.at
        above = 1 if self.here() in ("a", "an") and self.here(1) in _PARTS else self.take(_ONES)
        if self.here() in ("a", "an"):
            self.at += 1
        alone = above is None and self.here() not in _ALONE
        below = None if alone else self.take(_PARTS)
        if below is None:
            self.at = mark
            return None
        return Fraction(1 if above is None else above, below)

    def number(self) -> Fraction | None:
        value = self.part()
        if value is None:
            if self.here() in ("a", "an") and self.here(1) in COUNTS:
                self.at += self.here(1) in ("dozen", "score")
                whole: int | None = 1 if self.here() in ("dozen", "score") else self.whole()
            else:
                whole = self.whole()
            if whole is None:
                return None
            value = Fraction(whole)
            mark = self.at
            if self.here() == "and":
                self.at += 1
                more = self.part()
                if more is None:
                    self.at = mark
                value += more or 0
            elif self.here() == "point":
                value += self._decimals()
        if self.here() in ("a", "an") and self.here(1) in ("dozen", "score"):
            self.at += 1
        times = self.take({"dozen": 12, "dozens": 12, "score": 20})
        return value * (times or 1)

    def _decimals(self) -> Fraction:
        mark = self.at
        self.at += 1
        digits = ""
        while (digit := _ONES.get(self.here(), 10)) < 10:
            digits += str(digit)
            self.at += 1
        if not digits:
            self.at = mark
            return Fraction(0)
        return Fraction(int(digits), 10 ** len(digits))


def number_in_words(text: str) -> tuple[Fraction, str] | None:
    """The number a text begins with and the words after it; None where it begins with none, or holds a second.

    >>> number_in_words("There are forty-two clips in all")
    (Fraction(42, 1), 'clips in all')
    """
    words = _WORD.findall(text.lower())
    if len(words) > MOST_WORDS:
        return None
    reader = _Words(words)
    while reader.here() in _BEFORE and not (reader.here() == "a" and reader.here(1) in (COUNTS | _PARTS)):
        reader.at += 1
    negative = reader.here() in ("minus", "negative")
    reader.at += negative
    value = reader.number()
    rest = words[reader.at :]
    taken = {
        *_ONES,
        *_TENS,
        *COUNTS,
        *_PARTS,
        "hundredths",
        "hundredth",
        "thousandths",
        "thousandth",
        "squared",
        "cubed",
    }
    if value is None or rest[:1] == ["of"] or any(word in taken or word.rstrip("s") in COUNTS for word in rest):
        return None
    return (-value if negative else value), " ".join(rest)
