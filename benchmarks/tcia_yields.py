"""What is left at each step from instructions to searched sets, with a decomposer that goes by rules.

The rules cut an instruction at its clauses: the first is the base query, the others are constraints. So nothing that
they name is invented, and what is lost is lost by the instructions themselves.

    .venv/bin/python -m benchmarks.tcia_yields $MASHBILL_DATA/self_instruct_seed_tasks.jsonl --json runs/yields.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from mashbill.asker import Asker
from mashbill.disk import write_json
from mashbill.engine import Request, ScriptedEngine
from mashbill.execute import execute
from mashbill.ingest import ingest
from mashbill.ledger import Ledger
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.sources.read_instructions import ReadInstructions
from mashbill.step import Step
from mashbill.store import Stored
from mashbill.words import words
from synth.entities import FUNCTION_WORDS
from synth.generators.constraint_search import ConstraintSearch
from synth.generators.decompose import Decompose
from synth.generators.instruction_database import InstructionDatabase

_SENTENCE = re.compile(r"(?<=[.?!])\s+|\n+")
_CLAUSE = re.compile(r",\s+(?:and\s+)?|\s+(?=(?:that|which|with|without|using|for|in|about|from|so that|based on)\s)")
_KINDS = {
    "numerical": re.compile(r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten)\b", re.IGNORECASE),
    "language": re.compile(r"\b(?:in|into|to) (?:English|French|German|Spanish|Chinese|Italian)\b"),
    "format": re.compile(r"\b(?:list|table|json|bullets?|format|sentences?|letter|code)\b", re.IGNORECASE),
    "style": re.compile(r"\b(?:tone|style|formal|funny|friendly|simple|creative|polite)\b", re.IGNORECASE),
}
SEED = {
    "instruction": "Write an email to the members of the guild, in a friendly tone, with the date of the next meeting.",
    "task_type": "write email",
    "base_query": "Write an email to the members of the guild.",
    "constraints": [
        {"category": "style", "text": "in a friendly tone"},
        {"category": "content", "text": "with the date of the next meeting"},
    ],
}


def by_rules(request: Request) -> str:
    """The reply of a decomposer that cuts at clauses."""
    text = request.messages[-1].parts[0]
    first, *others = [one.strip() for one in _SENTENCE.split(text) if one.strip()]
    query, *clauses = [one.strip() for one in _CLAUSE.split(first) if one.strip()]
    wants = [one.rstrip(".") for one in (*clauses, *others) if len(one.split()) >= 2]
    constraints = [{"category": _kind(one), "constraint": one} for one in dict.fromkeys(wants)]
    task = {"task_type": _task_type(query), "base_query": query, "constraints": constraints}
    return json.dumps({"languages": ["en"], "complex": bool(constraints), "tasks": [task] if constraints else []})


def _kind(text: str) -> str:
    return next((kind for kind, pattern in _KINDS.items() if pattern.search(text)), "content")


def _task_type(query: str) -> str:
    """The first two words that say something: ``write email`` of "Write an email to your boss"."""
    telling = [word for word in words(query) if word not in FUNCTION_WORDS]
    return " ".join(telling[:2]) or "question"


async def steps(path: Path, root: Path, **search: Any) -> dict[str, Stored]:
    """The stored output of each step."""
    seeds = root / "seeds.jsonl"
    seeds.parent.mkdir(parents=True, exist_ok=True)
    seeds.write_text(json.dumps(SEED) + "\n", encoding="utf-8")
    made = {"read_instructions": ingest(ReadInstructions(path=str(path)), path, Runtime(root=root))}
    ledger = Ledger(root / "ledger.sqlite")
    try:
        async with Asker(ScriptedEngine(by_rules, name="clauses"), ledger) as asker:
            chain: list[Step] = [Decompose(), InstructionDatabase(), ConstraintSearch(seeds=str(seeds), **search)]
            before = made["read_instructions"]
            for step in chain:
                before = await execute(step, before, Runtime(root=root, asker=asker), RejectPolicy(share=1.0))
                made[step.name] = before
    finally:
        await ledger.close()
    return made


def main() -> None:
    """Print the yields."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instructions", type=Path)
    parser.add_argument("--least-pool", type=int, default=20, help="similar tasks, from so many kinds as it takes")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tcia_yields.") as folder:
        made = asyncio.run(steps(arguments.instructions, Path(folder), least_pool=arguments.least_pool))
    for name, stored in made.items():
        counts = stored.manifest.counts
        why = ", ".join(f"{reason} {number}" for reason, number in counts.rejected.items())
        print(f"{name:22} {counts.kept:6,} rows; rejected: {why or 'none'}")
    notes = {name: stored.manifest.notes for name, stored in made.items()}
    print(json.dumps(notes["instruction_database"]))
    print("hop    sets  sampled  unique  add  remove  replace")
    for one in notes["constraint_search"]["hops"]:
        taken = "  ".join(f"{one[name]['acceptance']:.3f}" for name in ("add", "remove", "replace"))
        print(f"{one['hop']:>3} {one['sets']:7,} {one['sampled']:8,} {one['unique_ratio']:7.3f}  {taken}")
    if arguments.json:
        kept = {name: stored.manifest.counts.model_dump() for name, stored in made.items()}
        write_json(arguments.json, {"counts": kept, "notes": notes})


if __name__ == "__main__":
    main()
