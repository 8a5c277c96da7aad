r"""Where the sentences of a text stand.

>>> text = 'It burned. "Why?" Nobody\nknew'
>>> [text[start:end] for start, end in sentence_spans(text)]
['It burned.', '"Why?"', 'Nobody\nknew']

By full stops and their like, with the quotes and brackets that close after them, and by blank lines; an abbreviation
counts as an end. Chinese and Japanese stops need no space after them.
"""

from __future__ import annotations

import re

SENTENCE_END = re.compile(r"[.!?。！？][\"'”’)\]]*(?=\s|$)|[。！？]|\n\s*\n")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence without the space around it; what has no letter or digit is none."""
    ends = [*(match.end() for match in SENTENCE_END.finditer(text)), len(text)]
    found, start = list[tuple[int, int]](), 0
    for end in ends:
        whole = text[start:end]
        if any(map(str.isalnum, whole)):
            first = start + len(whole) - len(whole.lstrip())
            found.append((first, first + len(whole.strip())))
        start = end
    return found
