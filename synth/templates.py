"""Prompt templates with named places, and how a document stands in a prompt.

``"Discuss {title}."`` with title ``{x}`` -> ``"Discuss {x}."``: what is filled in is never read as a template, so
braces in documents and titles are safe, and JSON in a template needs no escapes.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from mashbill.records import Document

_PLACE = re.compile(r"\{([a-z_]+)\}")


def fill(template: str, **values: str) -> str:
    """The template with each ``{name}`` replaced, in one pass.

    >>> fill('{title}: {"a": {}}', title="{text}")
    '{text}: {"a": {}}'
    """
    return _PLACE.sub(lambda place: values.get(place[1], place[0]), template)


def check_places(field: str, template: str, known: AbstractSet[str], needed: AbstractSet[str] = frozenset()) -> None:
    """Refuse a template that names a place it does not get, or leaves out one it needs.

    Raises:
        ValueError: naming the field and the places there are.
    """
    places = set(_PLACE.findall(template))
    unknown, missing = sorted(places - known), sorted(needed - places)
    if unknown or missing:
        wrong = f"has no place {{{unknown[0]}}}" if unknown else f"lacks {{{missing[0]}}}"
        offered = ", ".join(f"{{{name}}}" for name in sorted(known))
        raise ValueError(f"{field}: the template {wrong}; the places are {offered}")


def citation(document: Document) -> str:
    """The line the authors' code puts before a document: title, author and year, as far as they are known.

    >>> citation(Document(title="The Salt Guild", author="Ora Venn", year="502", text=""))
    '"The Salt Guild", Ora Venn, 502.'
    """
    known = [f'"{document.title}"' if document.title else "", document.author, document.year]
    line = ", ".join(part for part in known if part)
    return f"{line}." if line else ""


def title_of(document: Document) -> str:
    """The title in quotes, or words that stand for it."""
    return f'"{document.title}"' if document.title else "the text above"


def document_part(document: Document) -> str:
    """The document as every prompt about it begins: the same text each time, so that its prefix is computed once."""
    line = citation(document)
    return f"{line}\n\n{document.text.strip()}\n\n" if line else f"{document.text.strip()}\n\n"
