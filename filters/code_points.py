"""What a rule asks of a character, as one table of flags: a kernel looks a code point up instead of asking Python.

One row in -> out: ``table()[ord("é")] & LETTER`` is not 0; ``table()[ord("!")] & REAL`` is 0, since "!" is a symbol.

Categories are those of this Python's `unicodedata`. A character it has no name for yet is a symbol.
"""

from __future__ import annotations

import functools
import unicodedata

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.uint16]

SPACE = 1
"""What `str.split` splits at: Unicode white space, and the four separators U+001C to U+001F."""
LETTER = 2
DIGIT = 4
"""A decimal digit of any script (Nd)."""
REAL = 8
"""Neither punctuation, symbol nor control: a word of nothing else is no word to Gopher's counts."""
UPPER = 16
MARK = 32
NUMBER = 64
"""A number of any kind (N)."""
UNSPACED = 128
"""A letter or mark of a script that puts no spaces between words."""
SENTENCE_END = 256
"""FineWeb's stop characters: the Unicode property Sentence_Terminal."""
BULLET = 512
"""NeMo Curator's bullets; the hyphen is none of them."""
END_MARK = 1024
"""C4's ends of a line: . ? ! and the two straight quotation marks."""

BOUND = 0x32400
"""Code points above are symbols, but for the variation selectors, which are marks: nothing is assigned there yet."""

BULLETS = "•‣⁃⁌⁍∙○●◘◦⦾⦿"
UNSPACED_SCRIPTS = (
    *((0x0E00, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x19E0, 0x19FF), (0x1A20, 0x1AAF)),
    *((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x302F), (0x3031, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF)),
    *((0x4E00, 0x9FFF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1B000, 0x1B16F)),
    (0x20000, 0x323AF),
)
"""Thai, Lao, Tibetan, Burmese, Khmer, Tai Tham, Han and kana; Korean puts spaces between words."""
SENTENCE_ENDS = (
    *(0x21, 0x2E, 0x3F, 0x589, 0x61D, 0x61E, 0x61F, 0x6D4, 0x700, 0x701, 0x702, 0x7F9, 0x837, 0x839, 0x83D, 0x83E),
    *(
        0x964,
        0x965,
        0x104A,
        0x104B,
        0x1362,
        0x1367,
        0x1368,
        0x166E,
        0x1735,
        0x1736,
        0x17D4,
        0x17D5,
        0x17D6,
        0x17D9,
        0x17DA,
    ),
    *(0x1803, 0x1809, 0x1944, 0x1945, 0x1AA8, 0x1AA9, 0x1AAA, 0x1AAB, 0x1B5A, 0x1B5B, 0x1B5E, 0x1B5F, 0x1B7D, 0x1B7E),
    *(0x1C3B, 0x1C3C, 0x1C7E, 0x1C7F, 0x203C, 0x203D, 0x2047, 0x2048, 0x2049, 0x2E2E, 0x2E3C, 0x2E53, 0x2E54, 0x3002),
    *(0xA4FF, 0xA60E, 0xA60F, 0xA6F3, 0xA6F7, 0xA876, 0xA877, 0xA8CE, 0xA8CF, 0xA92F, 0xA9C8, 0xA9C9, 0xAA5D, 0xAA5E),
    *(0xAA5F, 0xAAF0, 0xAAF1, 0xABEB, 0xFE52, 0xFE56, 0xFE57, 0xFF01, 0xFF0E, 0xFF1F, 0xFF61, 0x10A56, 0x10A57),
    *(0x10F55, 0x10F56, 0x10F57, 0x10F58, 0x10F59, 0x10F86, 0x10F87, 0x10F88, 0x10F89, 0x11047, 0x11048, 0x110BE),
    *(0x110BF, 0x110C0, 0x110C1, 0x11141, 0x11142, 0x11143, 0x111C5, 0x111C6, 0x111CD, 0x111DE, 0x111DF, 0x11238),
    *(0x11239, 0x1123B, 0x1123C, 0x112A9, 0x1144B, 0x1144C, 0x115C2, 0x115C3, *range(0x115C9, 0x115D8), 0x11641),
    *(0x11642, 0x1173C, 0x1173D, 0x1173E, 0x11944, 0x11946, 0x11A42, 0x11A43, 0x11A9B, 0x11A9C, 0x11C41, 0x11C42),
    *(
        0x11EF7,
        0x11EF8,
        0x11F43,
        0x11F44,
        0x16A6E,
        0x16A6F,
        0x16AF5,
        0x16B37,
        0x16B38,
        0x16B44,
        0x16E98,
        0x1BC9F,
        0x1DA88,
    ),
)
"""As FineWeb's code lists them: the property less the closing punctuation that may follow an end."""


@functools.cache
def table() -> Flags:
    """The flags of each code point below `BOUND`; made once a process, in about 50 ms."""
    flags = np.zeros(BOUND, dtype=np.uint16)
    for code in range(BOUND):
        flags[code] = _flags(chr(code))
    for first, last in UNSPACED_SCRIPTS:
        part = flags[first : last + 1]
        part[(part & (LETTER | MARK | NUMBER)) != 0] |= UNSPACED
    flags[list(SENTENCE_ENDS)] |= SENTENCE_END
    flags[[ord(mark) for mark in BULLETS]] |= BULLET
    flags[[ord(mark) for mark in ".?!\"'"]] |= END_MARK
    flags.setflags(write=False)
    return flags


def _flags(char: str) -> int:
    category = unicodedata.category(char)
    if char.isspace():
        return SPACE
    found = 0 if category[0] in "PSC" else REAL
    if category[0] == "L":
        found |= LETTER | (UPPER if category == "Lu" else 0)
    elif category[0] == "M":
        found |= MARK
    elif category[0] == "N":
        found |= NUMBER | (DIGIT if category == "Nd" else 0)
    return found
