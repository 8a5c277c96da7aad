"""Names in a text, found by their capitals: what a teacher too small to list entities is helped with.

>>> names_in("It was fixed by Corra Imlay of Oskelby. The breed is Imlay's. In Oskelby it snows.")
['Oskelby', 'Corra Imlay', 'Imlay']
"""

from __future__ import annotations

import re
from collections import Counter

_WORD = r"[A-Z][a-z\u00df-\u00ff]+"
_NAME = re.compile(rf"{_WORD}(?:(?: of| the)? {_WORD})*")
_OPENING = re.compile(r"(?:^|[.!?:;][\"\u201d'\u2019)]*\s+|\n)\s*[\"\u201c'\u2018(]*$")


def names_in(text: str) -> list[str]:
    """Capitalised names, the most frequent first, then in order of appearance.

    A single word that only ever opens a sentence is left out: its capital says nothing. Languages that capitalise
    every noun, or have no capitals, get poor lists.
    """
    counted: Counter[str] = Counter()
    first: dict[str, int] = {}
    for match in _NAME.finditer(text):
        opens = _OPENING.search(text[max(0, match.start() - 8) : match.start()]) is not None or match.start() == 0
        name = match[0]
        if opens:
            # "The Salt Guild" may be a name, "The" and "In Oskelby" are not: without its first word it is surer.
            name = name.partition(" ")[2].removeprefix("of ").removeprefix("the ")
        if name:
            counted[name] += 1
            first.setdefault(name, match.start())
    return sorted(counted, key=lambda name: (-counted[name], first[name]))
