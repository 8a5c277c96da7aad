r"""Reject generated texts that show what they were made of: an unfilled slot, a chat token, the prompt's context.

One row in -> out: ``"Dear [NAME], welcome"`` -> rejected, ``template_leftover``; ``"The guild, as given in the context,
sold salt."`` -> rejected, ``context_leftover``; ``"As stated in the charter, it sold salt."`` -> kept.

Placeholders are those of prompts and letters, by name: ``[1]``, ``[sic]``, ``\textbf{text}`` and code in quotation
marks stay. A reader of the finished row has no context, so a row that points at one is no use to him: "the context" and
"the passage" count when something is said to stand in them, "the text", "document" and "article" only when they are
"provided", "given" or "above", since other texts are spoken of as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from filters.rule import named
from mashbill.records import Record
from mashbill.step import Filter

_PLACE = (
    r"name|first name|last name|full name|title|date|time|year|city|country|location|address|email|email address"
    r"|phone|phone number|company|company name|organization|organisation|product|product name|job title|position"
    r"|recipient|sender|topic|subject|text|document|placeholder|url|link"
)
_BRACKETS = (
    rf"\[(?i:(?:your|insert|enter|add|the|recipient['’]?s?|sender['’]?s?)\s+(?:{_PLACE})(?:\s+here)?)\]"
    r"|\[(?:(?:YOUR|INSERT|ENTER|FIRST|LAST|FULL|COMPANY) )?"
    r"(?:NAME|DATE|ADDRESS|EMAIL|PHONE|COMPANY|CITY|TOPIC|PLACEHOLDER|RECIPIENT|LOCATION)(?: HERE)?\]"
    r"|\[(?i:insert|enter)\s[^\]\n]{1,60}\]"
)
_CHAT_TOKENS = (
    r"<\|[a-z_]{2,30}\|>|\[/?INST\]|<</?SYS>>|</?s>(?:\s|\z)|(?m:^#{2,3} (?:Instruction|Response|Input):\s*$)"
)


_GIVEN = r"(?:provided|given|supplied|above|following|aforementioned)"
_POINTED = rf"(?:(?:{_GIVEN}\s+)?(?:context|passage)|{_GIVEN}\s+(?:text|document|article|information|excerpt))"
CONTEXT_PATTERNS = (
    r"(?i)\b(?:given|stated|mentioned|described|provided|noted|indicated|specified|said|listed|presented)"
    rf"\s+in\s+the\s+{_POINTED}\b",
    rf"(?i)\b(?:according\s+to|based\s+(?:solely\s+|only\s+)?(?:on|upon)|from)\s+the\s+{_GIVEN}\s+"
    r"(?:context|passage|text|document|article|information|excerpt)\b",
    r"(?i)\b(?:according\s+to|based\s+(?:solely\s+|only\s+)?(?:on|upon))\s+the\s+"
    r"(?:context|passage|text|document|article|information|excerpt)\s+(?:provided|given|above)\b",
    rf"(?i)\bthe\s+{_POINTED}\s+(?:above\s+)?(?:does\s+not|doesn['’]t|states?|mentions?|says|provides?|describes?)\b",
)


@dataclass(frozen=True, kw_only=True)
class TemplateLeftovers(Filter[Record]):
    """Rejects unfilled slots, chat tokens and mentions of a context that the reader does not have."""

    column: str = "text"
    slots: tuple[str, ...] = (
        *("text", "document", "passage", "context", "question", "answer", "query", "prompt", "instruction"),
        *("response", "title", "entity", "entities", "topic", "input", "output", "example", "examples"),
    )
    """Names that are a leftover in braces, ``{text}`` or ``{{ text }}``: the slots of one's own prompts."""
    context: bool = True
    """Whether to reject what points at a context; for questions that are asked with their context, do not."""
    patterns: tuple[str, ...] = ()
    """Further regular expressions (Rust syntax) that mark a leftover."""

    def columns(self) -> tuple[str, ...]:
        """The column it reads."""
        return (self.column,)

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        text = pl.col(self.column)
        left = [text.str.contains(pattern) for pattern in self._leftovers()]
        found = {"template_leftover": pl.any_horizontal(left)}
        if self.context:
            found["context_leftover"] = pl.any_horizontal([text.str.contains(one) for one in CONTEXT_PATTERNS])
        return named(self.column, found)

    def _leftovers(self) -> list[str]:
        patterns = [_BRACKETS, _CHAT_TOKENS, *self.patterns]
        if not self.slots:
            return patterns
        names = "|".join(self.slots)
        # After a letter, a backslash or a quotation mark it is LaTeX or code that speaks of braces.
        braces = rf"(?:\A|[^\w\\{{}}\"'`$])(?:\{{(?:{names})\}}|\{{\{{\s*(?:{names})\s*\}}\}})(?:\z|[^\"'`{{}}])"
        return [*patterns, braces]
