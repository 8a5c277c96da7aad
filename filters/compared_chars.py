"""What becomes of a character when two texts are compared: one table, so that a kernel needs no Unicode library.

One row in -> out: ``table()[ord("É")]`` is ``ord("é")``; ``table()[ord("!")]`` is 0, since it stands in no word;
``table()[0x0301]`` has `HARD`: a combining accent may join the letter before it, which only normalisation decides.

A text whose characters are all simple is in Unicode form C already and is lowered one character at a time. Every other
text goes through polars' normalisation, so both ways give the same words.
"""

from __future__ import annotations

import functools
import unicodedata

import numpy as np
import numpy.typing as npt

from filters import code_points

Table = npt.NDArray[np.uint32]

CODE = (1 << 21) - 1
"""The bits of the lower-case code point."""
ALONE = 1 << 29
"""A letter of a script without spaces between words: it is a word by itself."""
HARD = 1 << 30
"""What becomes of it depends on its neighbours, or it becomes several characters, or this Python does not know it; the
other bits then say nothing but `ALONE`."""
BOUND = code_points.BOUND

_JAMO = (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))
"""Hangul vowels and finals, which compose by arithmetic and not by a table."""


@functools.cache
def table() -> Table:
    """The table of all code points below `BOUND`; made once a process, in about 0.2 s."""
    flags = code_points.table()
    found = np.zeros(BOUND, dtype=np.uint32)
    joins = {0x03A3, *_JAMO}  # capital sigma is lowered by what comes after it
    for code in range(BOUND):
        char = chr(code)
        category = unicodedata.category(char)
        lower = char.lower()
        apart = unicodedata.normalize("NFD", char)
        joins.update(map(ord, apart[1:]))
        plain = unicodedata.normalize("NFC", char) == char and not unicodedata.combining(char) and len(lower) == 1
        alone = ALONE if flags[code] & code_points.UNSPACED else 0
        if not plain or category in ("Cn", "Cs"):
            found[code] = HARD | alone
        elif category[0] in "LMN":
            found[code] = ord(lower) | alone
    found[[code for code in joins if code < BOUND]] |= HARD
    found.setflags(write=False)
    return found
