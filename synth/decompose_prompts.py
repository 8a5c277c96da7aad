"""How an instruction is taken apart: the wording of the one question that is asked of a model.

In the manner of TCIA's decomposition (arXiv 2508.20374, table 5), in words of our own.
"""

from __future__ import annotations

import json

ANALYST = "You take instructions apart. You never carry them out. You reply with one JSON object and nothing else."
PROMPT = """The text above is an instruction. Take it apart.

Give these fields:
- languages: the languages the instruction is written in, as two-letter ISO 639-1 codes.
- complex: false when the instruction asks for one plain thing and sets no requirements; then tasks is an empty list.
- tasks: for each different thing it asks for
  - task_type: the kind of task in two to four words, as "meeting summary" or "text classification".
  - base_query: what is asked for, in one sentence, without any of the requirements.
  - constraints: every requirement the instruction states, each once:
    - category: content (what must or must not be said), numerical (counts and lengths), style (tone and voice),
      format (layout, lists, tables, JSON), language (the language of the answer), or input_placeholder (a place such as
      {transcript} where an input is put in).
    - constraint: the requirement in the instruction's own words.
    - simplified_query: the instruction without this one requirement.

Name only requirements that stand in the instruction. Invent nothing."""
ONE_TASK = "\n\nThis instruction is one task: tasks must have exactly one entry."

EXAMPLE = (
    "Describe the lamp {name} for our catalogue in German. Use no more than 40 words and do not mention the price."
)
_CONSTRAINTS = (
    ("language", "in German", "Describe the lamp {name}. Use no more than 40 words and do not mention the price."),
    ("numerical", "no more than 40 words", "Describe the lamp {name} in German. Do not mention the price."),
    ("content", "do not mention the price", "Describe the lamp {name} in German. Use no more than 40 words."),
    (
        "content",
        "for our catalogue",
        "Describe the lamp {name} in German, in no more than 40 words, without its price.",
    ),
    ("input_placeholder", "{name}", "Describe a lamp in German. Use no more than 40 words, not mentioning the price."),
)
_TASK = {
    "task_type": "product description",
    "base_query": "Describe the lamp {name}.",
    "constraints": [
        dict(zip(("category", "constraint", "simplified_query"), one, strict=True)) for one in _CONSTRAINTS
    ],
}
REPLY = json.dumps({"languages": ["en"], "complex": True, "tasks": [_TASK]}, separators=(",", ":"))
"""A worked example, as an exchange before the question: without one a small model repeats the words of the question."""
