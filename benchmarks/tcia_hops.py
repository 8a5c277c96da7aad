"""Diversity and being on task over hops: a search over constraints beside rewriting and one fixed prompt.

The corpus of `examples/tcia` through the real steps: the database, the search, composing and verifying, rewriting as
Evol-Instruct does it, the report. What is scripted is the model: it writes what it is asked to, and where rewriting
asks for one more requirement or for another instruction it takes one of the corpus, of whatever kind. So what is
measured is where the two ways of going on lead, and no model's faults; the judge of being on task is a rule, while the
vectors, and being on task by centroid, are measured. Needs one minute of one core::

    .venv/bin/python -m benchmarks.tcia_hops --embedder minilm --out runs/tcia_hops
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.benefit_run import stored_source
from flows.tcia_report import tcia_report
from mashbill.asker import Asker
from mashbill.engine import Request, ScriptedEngine
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import Instruction
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.sources.read_instructions import ReadInstructions
from mashbill.step import BadInput, Step
from mashbill.store import Stored
from synth.generators.compose_instruction import ComposeInstruction
from synth.generators.constraint_search import ConstraintSearch
from synth.generators.evolve_instruction import EvolveInstruction
from synth.generators.fixed_instruction import FixedInstruction, plain_text
from synth.generators.instruction_database import InstructionDatabase
from synth.generators.on_task import OnTask

EXAMPLE = Path(__file__).parents[1] / "examples" / "tcia"


def read(name: str) -> list[Instruction]:
    """The rows of a file of the example."""
    path, apart = str(EXAMPLE / name), ("task_type", "base_query", "constraints")
    source = ReadInstructions(path=path, task_type=apart[0], base_query=apart[1], constraints=apart[2])
    return [row for row in source.read(EXAMPLE / name, name) if not isinstance(row, BadInput)]


def writer(corpus: Sequence[Instruction]) -> Callable[[Request], str]:
    """A model that does what it is asked by rule."""
    constraints = [one.text for row in corpus for one in row.constraints]

    def script(request: Request) -> str:
        text = request.messages[-1].content
        rng = random.Random(request.seed)
        found = re.search(r"<instruction>\n(.*?)\n</instruction>", text, re.DOTALL)
        given, wanted = (found[1] if found else ""), re.findall(r"^\d+\. (.+)$", text, re.MULTILINE)
        query = re.search(r"<request>\n(.*?)\n</request>", text, re.DOTALL)
        names = set(json.loads(request.schema or '{"properties": {}}')["properties"])
        if "checks" in names:
            checks = [
                {"number": at, "reason": "It is read.", "stated": "yes" if one in given else "no"}
                for at, one in enumerate(wanted, 1)
            ]
            return json.dumps({"checks": checks})
        if "verdict" in names:
            on_task = query is not None and query[1].rstrip(".") in given
            return json.dumps({"reason": "By its request.", "verdict": "yes" if on_task else "no"})
        if wanted and query:
            rng.shuffle(wanted)
            return json.dumps({"instruction": f"{query[1]} {'; '.join(wanted)}."})
        if "new instruction" in text:
            return json.dumps({"instruction": plain_text(rng.choice(corpus))})
        if "one more requirement" in text:
            return json.dumps({"instruction": f"{given} Also: {rng.choice(constraints)}."})
        return json.dumps({"instruction": f"{given} {rng.choice(DEPTH)}"})

    return script


DEPTH = (
    "Say why each point matters.",
    "Weigh what speaks for and against each point.",
    "Work it out step by step.",
    "Go into the causes of each.",
    "Name an example for each.",
)
"""What rewriting in depth adds besides requirements."""


async def arms(root: Path, embedder: str, count: int) -> dict[str, Stored]:
    """The three arms and the database, stored."""
    corpus, seeds = read("corpus.jsonl"), read("seeds.jsonl")
    ledger = Ledger(root / "ledger.sqlite")
    try:
        async with Asker(ScriptedEngine(writer(corpus), name="tcia-hops"), ledger) as asker:
            runtime = Runtime(root=root, asker=asker)

            async def chain(stored: Stored, *steps: Step) -> Stored:
                for step in steps:
                    stored = await execute(step, stored, runtime, RejectPolicy(share=1.0))
                return stored

            database = await chain(
                stored_source(root / "corpus", corpus, Instruction), InstructionDatabase(embedder=embedder, eps=0.35)
            )
            search = ConstraintSearch(
                seeds=str(EXAMPLE / "seeds.jsonl"), states=600, repeats=6, count=count, pool=15, least_pool=10,
                sample="stratified",
            )  # fmt: skip
            seed = stored_source(root / "seed", seeds, Instruction)
            evolve = EvolveInstruction(hops=4, chains=count // 4)
            return {
                "database": database,
                "tcia": await chain(database, search, ComposeInstruction(), OnTask()),
                "evolved": await chain(seed, evolve, OnTask()),
                "fixed": await chain(seed, FixedInstruction(count=count), OnTask()),
            }
    finally:
        await ledger.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the arms and print the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--embedder", default="hashed_ngrams", help="minilm goes by meaning")
    parser.add_argument("--count", type=int, default=160, help="instructions of each arm")
    parser.add_argument("--out", type=Path, default=Path("runs/tcia_hops"))
    options = parser.parse_args(arguments)
    made = asyncio.run(arms(options.out / "store", options.embedder, options.count))
    named = [f"{name}={stored.path}" for name, stored in made.items() if name != "database"]
    database = str(made["database"].path)
    print(tcia_report(named, options.out / "store", database=database, out=options.out / "report"))


if __name__ == "__main__":
    main()
