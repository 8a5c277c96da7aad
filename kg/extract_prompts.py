"""The words an extraction is asked for with; all of them are fields of `ExtractTriples`.

They follow the document, so that what the rounds of one window share is the beginning of every prompt.
"""

from __future__ import annotations

SYSTEM = "You are a careful analyst who turns texts into facts for a knowledge graph."
OPEN = """List the facts that the text above states, as triples of head, relation and tail.
For each, first copy word for word the sentence that states it, as evidence. Head and tail are names or noun phrases \
from the text, written out rather than as pronouns. The relation is a short verb phrase. State nothing that the text \
does not say.
"""
GUIDED = """List the facts that the text above states, as triples of head, relation and tail.
For each, first copy word for word the sentence that states it, as evidence. Head and tail are names or noun phrases \
from the text, written out rather than as pronouns. State nothing that the text does not say. Use these relations alone:
{relations}
"""
TYPES = """Head and tail are each one of these kinds: {types}.
"""
MORE = """These were found already:
{found}
List only facts that are missing from that list; give an empty list where none is missing.
"""
