r"""What form an answer has: JSON, a table, a numbered or bulleted list, headings, a title, prose.

``"Give the answer as JSON"`` -> ``Form(form="json")``, kept by ``{"title": "Salt"}`` with or without a code fence,
broken by anything before or after it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mashbill.constraints.base import Checker, Found
from mashbill.constraints.counting import bullets, headings, lines, numbered, table_rows
from mashbill.records import Verdict

Kind = Literal["json", "table", "numbered list", "bulleted list", "headings", "title", "prose", "plain text", "code"]
_WITHOUT = (
    r"(?:no|without|avoid(?:ing)?|(?:do\ not|don['’]t|never|must\ not|should\ not)\ (?:use|include|contain|write|have))"
    r"\ (?:(?:any|using)\ ){0,2}"
)
_SAYS: Mapping[Kind, str] = {
    "prose": rf"{_WITHOUT}(?:bullet\ points?|bullets|lists?)(?:\ or\ (?:bullet\ points?|lists?))?"
    r"|(?:as|in)\ (?:continuous\ |plain\ |flowing\ )?prose|in\ paragraph\ form",
    "plain text": rf"{_WITHOUT}markdown(?:\ formatting)?|(?:as|in)\ plain\ text",
    "json": r"(?:(?:valid|strict|raw)\ )?json(?:\ (?:object|array|format|list|document))?",
    "table": r"(?:as|in|into|use|using|with)\ (?:a\ |the\ )?(?:markdown\ )?table(?:\ format|\ form)?"
    r"|(?:a\ )?markdown\ table|tabular\ (?:form|format)",
    "numbered list": r"(?:a\ |an\ )?(?:numbered|ordered|enumerated)\ lists?"
    r"|(?:use|as|in|with)\ numbered\ (?:points|steps|items)",
    "bulleted list": r"(?:a\ )?bullet(?:ed)?[ -](?:point\ )?(?:list|form|format)s?"
    r"|(?:use|as|in|with|using)\ bullet(?:\ point)?s",
    "headings": r"(?:use|with|using|under|include)\ (?:clear\ |markdown\ |section\ ){0,2}(?:sub)?(?:headings|headers)",
    "title": r"(?:include|with|has|have|add|give|provide|start\ with|begin\ with|contain)\ (?:it\ )?"
    r"a\ (?:short\ |clear\ )?title",
    "code": r"(?:as|in|inside|use)\ (?:a\ )?(?:single\ )?code\ blocks?",
}
_PATTERNS = {form: re.compile(rf"\b(?:{said})\b", re.IGNORECASE | re.VERBOSE) for form, said in _SAYS.items()}
_DENIED = re.compile(r"(?:\bno|\bnot|n['’]t|\bnever|\bwithout|\bavoid)\s+(?:\w+\s+){0,3}$", re.IGNORECASE)
_FENCED = re.compile(r"\A```[\w-]*[ \t]*\n(.*)\n```\Z", re.DOTALL)
_MARKDOWN = re.compile(r"^#{1,6}[ \t]|\*\*[^*\n]+\*\*|^[ \t]*[-*+][ \t]+\S|```|^\|.*\|[ \t]*$", re.MULTILINE)
_TITLE_WORDS = 15
"""A first line longer than this is a sentence and no title."""


@dataclass(frozen=True, kw_only=True)
class Form(Checker):
    """Says whether an answer has a form."""

    form: Kind

    @classmethod
    def find(cls, text: str) -> Iterator[Found]:
        """Every form that is asked for; one that is denied in other words than it knows is passed over."""
        for form, pattern in _PATTERNS.items():
            for match in pattern.finditer(text):
                if not _DENIED.search(text[max(0, match.start() - 40) : match.start()]):
                    yield Found(*match.span(), cls(form=form))

    @property
    def slot(self) -> str:
        """The form itself: an answer may have headings and a table."""
        return f"form:{self.form}"

    def said(self) -> str:
        """In plain English."""
        said: dict[Kind, str] = {
            "table": "as a markdown table",
            "headings": "with headings",
            "title": "with a title",
            "prose": "no bullet points",
            "plain text": "no markdown",
            "code": "in a code block",
        }
        return said.get(self.form, f"a {self.form}" if self.form != "json" else "JSON")

    def judge(self, answer: str) -> Verdict:
        """Whether the answer has the form."""
        text = answer.strip()
        if self.form == "json":
            return self._json(text)
        has: dict[Kind, Callable[[], bool]] = {
            "table": lambda: bool(table_rows(text)),
            "numbered list": lambda: bool(numbered(text)),
            "bulleted list": lambda: bool(bullets(text)),
            "headings": lambda: bool(headings(text)),
            "title": lambda: _titled(text),
            "prose": lambda: not bullets(text) and not numbered(text),
            "plain text": lambda: _MARKDOWN.search(text) is None,
            "code": lambda: text.count("```") >= 2,
        }
        if has[self.form]():
            return self.kept()
        return self.broken("wrong_form", f"{self.said()} wanted, found {text[:60]!r}")

    def _json(self, text: str) -> Verdict:
        fenced = _FENCED.match(text)
        try:
            read = json.loads(fenced[1] if fenced else text)
        except (ValueError, RecursionError) as wrong:
            return self.broken("not_json", str(wrong)[:120])
        if not isinstance(read, dict | list):
            return self.broken("not_json", f"{text[:40]!r} alone is no object and no list")
        return self.kept()


def _titled(text: str) -> bool:
    """Whether the first line is a heading, stands in double angle brackets, or is short and stands by itself."""
    first, rest = text.splitlines()[0].strip(), lines(text)[1:]
    if headings(first) or re.fullmatch(r"<<.+>>", first) or first.casefold().startswith("title:"):
        return True
    return bool(rest) and len(first.split()) <= _TITLE_WORDS and not first.endswith((".", "!", "?", ",", ";", ":"))
