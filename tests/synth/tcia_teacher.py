"""A scripted model for the steps that write instructions: it keeps the rules, but for what a test spoils."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from mashbill.engine import Reply, Request
from mashbill.records import Constraint, Instruction, Operation
from tests.synth.rationale_helpers import asked

PLACE = Constraint(category="input_placeholder", text="{transcript}")
BULLETS = Constraint(category="format", text="Use at most five bullet points")
FRENCH = Constraint(category="language", text="Answer in French")
TONE = Constraint(category="style", text="Keep a friendly tone")
BASE = "Write the minutes of the meeting."
Script = Callable[[Request], "str | Reply | Exception"]


def searched(*constraints: Constraint, hop: int = 1, number: int = 0, **fields: Any) -> Instruction:
    """A row as a search gives it."""
    return Instruction.new(
        **{
            "text": "",
            "task_type": "meeting minutes",
            "task_cluster": "minutes",
            "base_query": BASE,
            "constraints": constraints,
            "operations": tuple(Operation(name="add", constraint=f"{number}") for _ in range(hop)),
            "hop": hop,
            **fields,
        }
    )


def part(request: Request, tag: str) -> str:
    """What stands between tags in a prompt."""
    found = re.search(rf"<{tag}>\n(.*?)\n</{tag}>", asked(request), re.DOTALL)
    return found[1] if found else ""


def requirements(request: Request) -> dict[int, str]:
    """The numbered requirements of a prompt."""
    return {int(number): text for number, text in re.findall(r"^(\d+)\. (.+)$", part(request, "requirements"), re.M)}


def kind_of(request: Request) -> str:
    """Which question a prompt asks."""
    text = asked(request)
    marks = {
        "Write one instruction": "compose",
        "Write the instruction again": "refine",
        "does the instruction state it": "verify",
        "How valid": "validity",
        "How consistent": "consistency",
        "still one of this task": "on_task",
        "does the answer keep it": "audit",
        "the quality of the answer": "quality",
        "how far the answer helps": "helpfulness",
        "does what the instruction asks": "following",
        "how honest": "uncertainty",
        "how true": "truthfulness",
        "Do both ask for the same": "same",
        "Write a new instruction that": "broaden",
        "Rewrite the instruction": "deepen",
    }
    return next((name for mark, name in marks.items() if mark in text), "answer")


def good(request: Request) -> str:
    """A teacher that does what it is asked."""
    kind, wanted = kind_of(request), requirements(request)
    if kind in ("compose", "refine"):
        said = [part(request, "request"), *(one if "{" in one else f"{one}." for one in wanted.values())]
        return json.dumps({"instruction": "\n".join(said)})
    if kind == "verify":
        text = part(request, "instruction").casefold()
        return checks({number: "yes" if one.casefold() in text else "no" for number, one in wanted.items()})
    if kind == "audit":
        return checks(dict.fromkeys(wanted, "yes"))
    if kind in ("on_task", "same"):
        return json.dumps({"reason": "It is.", "verdict": "yes" if kind == "on_task" else "no"})
    if kind in ("broaden", "deepen"):
        return json.dumps({"instruction": f"{part(request, 'instruction')} Weigh risk {request.seed}."})
    if kind == "answer":
        return f"- Two pans leak.\n- Venn mends them ({request.seed})."
    return json.dumps({"reason": "It holds.", "score": 5})


def checks(said: dict[int, str]) -> str:
    """A reply of checks."""
    return json.dumps(
        {"checks": [{"number": at, "reason": f"said {word}", "stated": word} for at, word in said.items()]}
    )


def spoilt(**by_kind: str | Reply | Script) -> Script:
    """The good teacher, but for some kinds of prompt."""

    def script(request: Request) -> str | Reply | Exception:
        other = by_kind.get(kind_of(request))
        if other is None:
            return good(request)
        return other(request) if callable(other) else other

    return script
