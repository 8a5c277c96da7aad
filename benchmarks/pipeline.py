"""What the pipeline costs over the bare engine: generated tokens a second through `execute`, ledger and all.

The same prompts go to the embedded engine twice: straight to `complete`, and as a generator's asks through
`mashbill.execute` with the ledger on. Rounds alternate and the ratio is of processor seconds, so that other work on the
machine weighs on both alike. Goal: 0.97.

    python -m benchmarks.pipeline --prompts 64 --tokens 32 --json pipeline.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashbill.ask import Answer
from mashbill.asker import Asker
from mashbill.engine import Request, Sampling, user
from mashbill.execute import execute
from mashbill.ingest import ingest
from mashbill.ledger import Ledger
from mashbill.records import Document
from mashbill.runtime import Runtime
from mashbill.sources.read_documents import ReadDocuments
from mashbill.step import Generator, Prompt
from mashbill.store import Stored
from synth.engines.transformers import Transformers


@dataclass(frozen=True, kw_only=True)
class Retell(Generator[Document, Document]):
    """One ask a document."""

    round: int = 0

    def prompt(self, record: Document) -> Prompt:
        """The document and a request."""
        return user(record.text, f"\n\nTell it again. ({self.round})")

    def parse(self, record: Document, answer: Answer[Any]) -> Iterable[Document]:
        """The reply as a document."""
        yield record.child(Document, kind="retold", text=answer.text, made=answer.made())


@dataclass(frozen=True)
class Measured:
    """One way of one round."""

    tokens: int
    cpu_seconds: float

    @property
    def speed(self) -> float:
        """Tokens per processor second."""
        return self.tokens / self.cpu_seconds


async def bare(engine: Transformers, source: Stored, step: Retell) -> Measured:
    """The prompts straight to the engine."""
    texts = source.table(0).column("text").to_pylist()
    requests = [
        Request(messages=(user(text, f"\n\nTell it again. ({step.round})"),), sampling=step.sampling, seed=index)
        for index, text in enumerate(texts)
    ]
    started, tokens = time.process_time(), 0
    async for _, reply in engine.complete(requests):
        tokens += reply.completion_tokens
    return Measured(tokens, time.process_time() - started)


async def piped(engine: Transformers, source: Stored, step: Retell, root: Path) -> Measured:
    """The same through asks, ledger and parts."""
    ledger = Ledger(root / "ledger.sqlite")
    asker = Asker(engine, ledger)
    runtime = Runtime(root=root, asker=asker, records_in_flight=256)
    started = time.process_time()
    stored = await execute(step, source, runtime)
    took = time.process_time() - started
    await asker.close()
    await ledger.close()
    await engine.start()  # closed with the asker; the weights are still in the page cache
    return Measured(stored.manifest.counts.completion_tokens, took)


async def measure(prompts: int, tokens: int, rounds: int) -> dict[str, Any]:
    """Alternate both ways and compare their speeds round by round."""
    engine = Transformers()
    await engine.start()
    ratios, speeds = [], []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lines = [json.dumps({"text": f"Lamp {n} burns salt oil and stands on pier {n * 7}."}) for n in range(prompts)]
        (root / "docs.jsonl").write_text("\n".join(lines))
        source = ingest(ReadDocuments(path="docs.jsonl"), root / "docs.jsonl", Runtime(root=root))
        sampling = Sampling(max_tokens=tokens, temperature=0.8)
        await bare(engine, source, Retell(sampling=sampling, round=-1))  # warm-up
        for number in range(rounds):
            step = Retell(sampling=sampling, round=number)
            first, second = await bare(engine, source, step), await piped(engine, source, step, root)
            ratios.append(second.speed / first.speed)
            speeds.append((first.speed, second.speed))
    await engine.close()
    return {
        "prompts": prompts,
        "tokens": tokens,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "speeds": speeds,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = asyncio.run(measure(arguments.prompts, arguments.tokens, arguments.rounds))
    for straight, through in result["speeds"]:
        print(
            f"bare engine {straight:7.1f} tokens/CPU s   through the pipeline {through:7.1f}   {through / straight:.3f}"
        )
    print(f"median ratio {result['ratio']:.3f} (goal 0.97)")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
