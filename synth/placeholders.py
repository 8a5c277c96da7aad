r"""Places in an instruction where an input goes: ``{transcript}``, ``{{ notes }}``, ``[INPUT TEXT]``, ``<article>``.

``"Summarise {transcript} in five lines."`` -> ``["{transcript}"]``

Braces of code, JSON and LaTeX are none: ``{"a": 1}``, ``{}``, ``\frac{a}{b}`` and ``f{x}`` stay text.
"""

from __future__ import annotations

import re

_NAME = r"[^\W\d][\w -]{0,39}"
_PLACE = re.compile(
    rf"(?<![\\\w}}^{{])(?:\{{\{{\s*{_NAME}\s*\}}\}}|\{{\s*{_NAME}\s*\}})(?!\}})"
    r"|\[(?:INPUT|INSERT|TEXT|TRANSCRIPT|ARTICLE|DOCUMENT|CONTEXT|CONTENT|NOTES|EMAIL|QUESTION)(?:[ _-][A-Z]+){0,3}\]"
    r"|(?<!\S)<(?:input|text|transcript|article|document|context|content|notes|email|question)>(?!\S)"
)
_CHAT = re.compile(r"<\|[a-z_]{2,30}\|>|\[/?INST\]|<</?SYS>>|\{%-?\s|(?m:^#{2,3} (?:Instruction|Response|Input):\s*$)")


def placeholders_in(text: str) -> list[str]:
    """The placeholders of a text as they are written, each once, in order."""
    return list(dict.fromkeys(match[0] for match in _PLACE.finditer(text)))


def chat_mark_in(text: str) -> str:
    """The first mark of a chat template or of a template language's statements, or nothing.

    >>> chat_mark_in("Say hello. <|im_end|>"), chat_mark_in("Fill {name} in.")
    ('<|im_end|>', '')
    """
    found = _CHAT.search(text)
    return found[0] if found else ""
