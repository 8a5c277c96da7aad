r"""Reject generated texts in which the model refused, spoke of itself, or left its template showing.

One row in -> out: ``"I'm sorry, but I can't help with that."`` -> rejected, ``refusal``; ``"Dear [NAME], welcome"``
-> rejected, ``template_leftover``; ``"I cannot help thinking of Veylund."`` -> kept.

A wrong hit deletes a good text without a sound, so each pattern is anchored. A refusal opens the text, in the first
person, and refuses something an assistant is asked for ("I cannot" alone is ordinary prose). "As an AI language
model" counts anywhere, but only when the speaker goes on as "I". Placeholders are those of prompts and letters, by
name: ``[1]``, ``[sic]``, ``\textbf{text}`` and code in quotation marks stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from mashbill.matching.refusal_phrases import REFUSAL_PATTERNS
from mashbill.records import Document
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


@dataclass(frozen=True, kw_only=True)
class Refusals(Filter[Document]):
    """Rejects model refusals and template leftovers."""

    slots: tuple[str, ...] = (
        *("text", "document", "passage", "context", "question", "answer", "query", "prompt", "instruction"),
        *("response", "title", "entity", "entities", "topic", "input", "output", "example", "examples"),
    )
    """Names that are a leftover in braces, ``{text}`` or ``{{ text }}``: the slots of one's own prompts."""
    patterns: tuple[str, ...] = ()
    """Further regular expressions (Rust syntax) that mark a refusal."""

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        text = pl.col("text")
        refused = [text.str.contains(pattern) for pattern in (*REFUSAL_PATTERNS, *self.patterns)]
        left = [text.str.contains(pattern) for pattern in self._leftovers()]
        return {"refusal": pl.any_horizontal(refused), "template_leftover": pl.any_horizontal(left)}

    def _leftovers(self) -> list[str]:
        if not self.slots:
            return [_BRACKETS, _CHAT_TOKENS]
        names = "|".join(self.slots)
        # After a letter, a backslash or a quotation mark it is LaTeX or code that speaks of braces.
        braces = rf"(?:\A|[^\w\\{{}}\"'`$])(?:\{{(?:{names})\}}|\{{\{{\s*(?:{names})\s*\}}\}})(?:\z|[^\"'`{{}}])"
        return [_BRACKETS, _CHAT_TOKENS, braces]
