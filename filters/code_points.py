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
PUNCTUATION = 2048
"""Category P."""
AFFIX = 4096
"""What spaCy takes off the ends of a word by itself: punctuation of sentences, brackets, quotation marks, icons."""

BOUND = 0x32400
"""Code points above are symbols, but for the variation selectors, which are marks: nothing is assigned there yet."""

AFFIXES = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉〈〉⟦⟧—–"
BULLETS = "•‣⁃⁌⁍∙○●◘◦⦾⦿"
UNSPACED_SCRIPTS = (
    *((0x0E00, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x19E0, 0x19FF), (0x1A20, 0x1AAF)),
    *((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x302F), (0x3031, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF)),
    *((0x4E00, 0x9FFF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1B000, 0x1B16F)),
    (0x20000, 0x323AF),
)
"""Thai, Lao, Tibetan, Burmese, Khmer, Tai Tham, Han and kana; Korean puts spaces between words."""
SENTENCE_ENDS = """
    21 2e 3f 589 61d 61e 61f 6d4 700 701 702 7f9 837 839 83d 83e 964 965 104a 104b 1362 1367 1368 166e 1735 1736
    17d4 17d5 17d6 17d9 17da 1803 1809 1944 1945 1aa8 1aa9 1aaa 1aab 1b5a 1b5b 1b5e 1b5f 1b7d 1b7e 1c3b 1c3c 1c7e
    1c7f 203c 203d 2047 2048 2049 2e2e 2e3c 2e53 2e54 3002 a4ff a60e a60f a6f3 a6f7 a876 a877 a8ce a8cf a92f a9c8
    a9c9 aa5d aa5e aa5f aaf0 aaf1 abeb fe52 fe56 fe57 ff01 ff0e ff1f ff61 10a56 10a57 10f55 10f56 10f57 10f58 10f59
    10f86 10f87 10f88 10f89 11047 11048 110be 110bf 110c0 110c1 11141 11142 11143 111c5 111c6 111cd 111de 111df
    11238 11239 1123b 1123c 112a9 1144b 1144c 115c2 115c3 115c9 115ca 115cb 115cc 115cd 115ce 115cf 115d0 115d1
    115d2 115d3 115d4 115d5 115d6 115d7 11641 11642 1173c 1173d 1173e 11944 11946 11a42 11a43 11a9b 11a9c 11c41
    11c42 11ef7 11ef8 11f43 11f44 16a6e 16a6f 16af5 16b37 16b38 16b44 16e98 1bc9f 1da88
"""
"""Code points, as FineWeb's code lists them."""


@functools.cache
def table() -> Flags:
    """The flags of each code point below `BOUND`; made once a process, in about 50 ms."""
    flags = np.zeros(BOUND, dtype=np.uint16)
    for code in range(BOUND):
        flags[code] = _flags(chr(code))
    for first, last in UNSPACED_SCRIPTS:
        part = flags[first : last + 1]
        part[(part & (LETTER | MARK | NUMBER)) != 0] |= UNSPACED
    flags[[int(code, 16) for code in SENTENCE_ENDS.split()]] |= SENTENCE_END
    flags[[ord(mark) for mark in BULLETS]] |= BULLET
    flags[[ord(mark) for mark in AFFIXES]] |= AFFIX
    flags[[ord(mark) for mark in ".?!\"'"]] |= END_MARK
    flags.setflags(write=False)
    return flags


def _flags(char: str) -> int:
    category = unicodedata.category(char)
    if char.isspace():
        return SPACE
    found = 0 if category[0] in "PSC" else REAL
    if category[0] == "P":
        found |= PUNCTUATION
    elif category == "So":
        found |= AFFIX
    elif category[0] == "L":
        found |= LETTER | (UPPER if category == "Lu" else 0)
    elif category[0] == "M":
        found |= MARK
    elif category[0] == "N":
        found |= NUMBER | (DIGIT if category == "Nd" else 0)
    return found
