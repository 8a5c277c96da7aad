"""Bounds on a count, and how plain English says them.

``at most five`` -> 0 to 5, ``fewer than 5`` -> 0 to 4, ``between two and four`` -> 2 to 4, ``about 100`` -> 90 to 110.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mashbill.matching.number_words import number_in_words

ROUGHLY = 0.1
"""Share by which "about 100 words" may be missed either way; ours, since no source names one."""
BARE_EXACT = 10
""""In 3 words" means three; "in 300 words" means about as many: above this a bare number of words is rough."""
_SMALL = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    "eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|dozen"
)
NUMBER = (
    rf"(?:\d{{1,3}}(?:,\d{{3}}){{1,2}}(?!\d)|\d{{1,7}}(?!\d)"
    rf"|(?:a[ ])?(?:{_SMALL})(?:[ -](?:and[ ])?(?:{_SMALL})){{0,4}})"
)
"""A whole number in figures or words, as part of a regular expression with `re.VERBOSE`."""
_NOT = r"(?:do\ not|don['’]t|does\ not|never|must\ not|should\ not|cannot|may\ not)"
_MOST = (
    r"at\ (?:the\ )?most|no\ (?:more|longer)\ than|not\ (?:more|longer)\ than|up\ to|(?:a\ )?maximum(?:\ of)?|max\.?"
    rf"|(?:not|never|n['’]t)\ exceed(?:ing)?|{_NOT}\ (?:\w+\ ){{0,2}}(?:more\ than|over|exceed)"
)
_LEAST = (
    r"at\ (?:the\ very\ )?least|no\ (?:fewer|less)\ than|not\ (?:fewer|less)\ than|(?:a\ )?minimum(?:\ of)?|min\.?"
    rf"|{_NOT}\ (?:\w+\ ){{0,2}}(?:fewer\ than|less\ than|under)"
)
_TAIL = {
    "most": r"or\ (?:fewer|less)|at\ (?:the\ )?most|(?:at\ )?maximum|max|\(?max(?:imum)?\)?",
    "least": r"or\ (?:more|longer)|at\ least|(?:at\ )?minimum|min|\(?min(?:imum)?\)?",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How many there may be.

    Raises:
        ValueError: where no count fits.
    """

    least: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        if self.least < 0 or (self.most is not None and self.most < self.least):
            raise ValueError(f"a bound from {self.least} to {self.most} lets no count through")
        if self.most is None and self.least == 0:
            raise ValueError("a bound from 0 to any number lets every count through")

    def refuses(self, count: int) -> str:
        """``too_few`` or ``too_many``, or nothing.

        >>> Bound(most=5).refuses(6), Bound(most=5).refuses(5)
        ('too_many', '')
        """
        if count < self.least:
            return "too_few"
        return "too_many" if self.most is not None and count > self.most else ""

    def said(self) -> str:
        """In plain English.

        >>> Bound(least=2, most=4).said(), Bound(least=3, most=3).said()
        ('between 2 and 4', 'exactly 3')
        """
        if self.most is None:
            return f"at least {self.least}"
        if self.least == self.most:
            return f"exactly {self.least}"
        return f"between {self.least} and {self.most}" if self.least else f"at most {self.most}"


def counted(unit: str, between: str = "") -> str:
    """A regular expression (verbose) for a bounded count of `unit`; `between` may stand between number and unit."""
    number = NUMBER
    return rf"""
    \b(?:
      (?:between|from)\ (?P<lo>{number})\ (?:and|to)\ (?P<hi>{number})
    | (?P<lo2>{number})(?:\ ?[-–—]\ ?|\ to\ )(?P<hi2>{number})
    | (?:{_MOST})\ (?P<most>{number})
    | (?:{_LEAST})\ (?P<least>{number})
    | (?:fewer\ than|less\ than|under|below|shorter\ than)\ (?P<under>{number})
    | (?:more\ than|over|above|longer\ than)\ (?P<over>{number})
    | (?:exactly|precisely)\ (?P<exact>{number})
    | (?:about|around|approximately|roughly|some)\ (?P<about>{number})
    | (?P<bare>{number}|a\ single)
    )
    (?:\ or\ (?P<orless>fewer|less)|\ or\ (?P<ormore>more))?
    [\ -]{between}(?P<unit>{unit})\b
    (?:\ (?P<tailmost>{_TAIL["most"]})|\ (?P<tailleast>{_TAIL["least"]}))?
    """


def number_of(said: str) -> int | None:
    """A whole number as it is written; None where it is none.

    >>> number_of("1,000"), number_of("twenty-five"), number_of("a single"), number_of("a dozen")
    (1000, 25, 1, 12)
    """
    plain = said.strip().casefold()
    if plain == "a single":
        return 1
    if plain.replace(",", "").isdecimal():
        return int(plain.replace(",", ""))
    read = number_in_words(plain)
    return int(read[0]) if read is not None and read[0].denominator == 1 and not read[1].strip() else None


def bound_of(match: re.Match[str], *, rough: bool = False) -> Bound | None:
    """The bound a match of `counted` states; None for one that lets nothing through or cannot be read.

    With `rough`, a bare number above `BARE_EXACT` means about as many.
    """
    read = {name: number_of(said) for name, said in match.groupdict().items() if said and name in _NUMBERED}
    if not read or None in read.values():
        return None
    numbers = {name: number for name, number in read.items() if number is not None}
    try:
        return _bound(match, numbers, rough=rough)
    except ValueError:
        return None


_NUMBERED = frozenset({"lo", "hi", "lo2", "hi2", "most", "least", "under", "over", "exact", "about", "bare"})


def _bound(match: re.Match[str], numbers: dict[str, int], *, rough: bool) -> Bound:
    said = match.groupdict()
    if "lo" in numbers or "lo2" in numbers:
        return Bound(least=numbers.get("lo", numbers.get("lo2", 0)), most=numbers.get("hi", numbers.get("hi2")))
    ((name, number),) = numbers.items()
    if name in ("most", "least", "under", "over"):
        return {
            "most": lambda: Bound(most=number),
            "least": lambda: Bound(least=number),
            "under": lambda: Bound(most=number - 1),
            "over": lambda: Bound(least=number + 1),
        }[name]()
    if said["orless"] or said["tailmost"]:
        return Bound(most=number)
    if said["ormore"] or said["tailleast"]:
        return Bound(least=number)
    if name == "about" or (name == "bare" and rough and number > BARE_EXACT):
        return Bound(least=number - round(number * ROUGHLY), most=number + round(number * ROUGHLY))
    return Bound(least=number, most=number)
