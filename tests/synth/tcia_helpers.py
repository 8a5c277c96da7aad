"""What the tests of TCIA's database and search share: instructions in a store, and a scripted analyst."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from mashbill.engine import Request
from mashbill.records import Constraint, Instruction

SUMMARY = "Summarise {transcript} for a busy reader, in at most five bullets and in French."


def constraint(text: str, category: str = "content") -> Constraint:
    return Constraint(category=category, text=text)


def task(query: str, *constraints: str | Constraint, task_type: str = "meeting summary") -> Instruction:
    """A decomposed instruction."""
    found = tuple(one if isinstance(one, Constraint) else constraint(one) for one in constraints)
    return Instruction.new(
        text=query, task_type=task_type, base_query=query, constraints=found, source="corpus.jsonl:1"
    )


def reply(*tasks: dict[str, Any], languages: Sequence[str] = ("en",), complex: bool = True) -> str:
    """What a model answers that takes an instruction apart."""
    return json.dumps({"languages": list(languages), "complex": complex, "tasks": list(tasks)})


def apart(query: str, *constraints: tuple[str, str], task_type: str = "meeting summary") -> dict[str, Any]:
    """One task of a reply."""
    found = [{"category": category, "constraint": text} for category, text in constraints]
    return {"task_type": task_type, "base_query": query, "constraints": found}


SUMMARY_REPLY = reply(
    apart(
        "Summarise {transcript}.",
        ("Style/Tone", "for a busy reader"),
        ("numerical", "in at most 5 bullets"),
        ("language", "in French"),
    )
)


def analyst(answers: dict[str, str]) -> Callable[[Request], str]:
    """Answers by the instruction that a prompt begins with."""

    def script(request: Request) -> str:
        # The worked example comes before it, and a complaint about the last reply after it.
        return next(answers[one.parts[0]] for one in request.messages if one.role == "user" and one.parts[0] in answers)

    return script
