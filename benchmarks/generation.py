"""How fast the in-process engine generates, against transformers' own `generate`, with the embedded model.

    python benchmarks/generation.py --out generation.json

Each case runs both in turn in this process and compares CPU seconds, which other work on the machine distorts less
than wall time. ``threads`` is 1 by default for the same reason: waiting OpenMP threads count as busy.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from mashbill.embedded import embedded_model_dir, embedded_model_id
from mashbill.engine import Request, Sampling, canonical_json, user
from synth.engines.local_model import LocalModel
from synth.engines.shared_attention import NAME
from synth.engines.transformers import TransformersRun

SENTENCE = "The harbour of Tolvarey was rebuilt by masons from the north in the year of the long rain. "
TOKENS = 22
"""Of the sentence."""
SCHEMA = canonical_json(
    {
        "type": "object",
        "properties": {"summary": {"type": "string", "maxLength": 60}},
        "required": ["summary"],
        "additionalProperties": False,
    }
)


@dataclass(frozen=True)
class Case:
    """One workload."""

    name: str
    requests: int
    new_tokens: int
    document: int = 0
    """Tokens of a document all requests begin with, about."""
    uneven: bool = False
    """Replies of very different lengths: one in eight is `new_tokens` long, the others an eighth of that."""
    rows: int = 64

    def build(self) -> list[Request]:
        """The requests, greedy, so that both sides do the same work."""
        text = SENTENCE * (self.document // TOKENS)
        return [
            Request(
                messages=(user(text, f"Question {index}: tell me all you know about topic {index * 7}."),),
                sampling=Sampling(max_tokens=self._length(index), temperature=0),
            )
            for index in range(self.requests)
        ]

    def _length(self, index: int) -> int:
        return self.new_tokens if not self.uneven or index % 8 == 0 else max(1, self.new_tokens // 8)


CASES = (
    Case("short prompts, 16 rows", 16, 16),
    Case("short prompts, 64 rows", 64, 12),
    Case("uneven lengths, 64 requests in 16 rows", 64, 32, uneven=True, rows=16),
    Case("16 on a 1,000-token document", 16, 8, document=1000),
)
LONG = (
    Case("32 on a 1,000-token document", 32, 16, document=1000),
    Case("64 on a 1,000-token document", 64, 16, document=1000),
)


def ours(local: LocalModel, case: Case) -> int:
    """Tokens our engine generates, with nothing kept from before."""
    local.prompts.store.clear()
    local.rows = case.rows
    counts: list[int] = []
    local.answer(case.build(), lambda _, reply: counts.append(reply.completion_tokens), lambda: False)
    return sum(counts)


def plain(local: LocalModel, case: Case) -> int:
    """Tokens `generate` gives within each request's length: it runs a batch until its longest row ends."""
    local.model.set_attn_implementation("sdpa")
    requests = case.build()
    total = 0
    try:
        for start in range(0, len(requests), case.rows):
            total += _generate(local, requests[start : start + case.rows])
    finally:
        local.model.set_attn_implementation(NAME)
    return total


def _generate(local: LocalModel, requests: list[Request]) -> int:
    tokenizer = local.tokenizer
    texts = [local._render(request) for request in requests]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    most = max(request.sampling.max_tokens for request in requests)
    with torch.inference_mode():
        out = local.model.generate(**inputs, max_new_tokens=most, do_sample=False)
    total = 0
    for row, request in zip(out[:, inputs["input_ids"].shape[1] :].tolist(), requests, strict=True):
        ended = next((place for place, token in enumerate(row) if token in local.ends), len(row))
        total += min(ended, request.sampling.max_tokens)
    return total


def timed(work: Callable[[LocalModel, Case], int], local: LocalModel, case: Case) -> dict[str, float]:
    """Tokens, CPU seconds and wall seconds of one run."""
    wall, cpu = time.perf_counter(), time.process_time()
    tokens = work(local, case)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"tokens": tokens, "cpu_s": round(cpu, 2), "wall_s": round(wall, 2), "tokens_per_cpu_s": tokens / cpu}


def measure(local: LocalModel, case: Case) -> dict[str, Any]:
    """Both sides of one case, and their ratio."""
    mine, theirs = timed(ours, local, case), timed(plain, local, case)
    ratio = mine["tokens_per_cpu_s"] / theirs["tokens_per_cpu_s"]
    print(
        f"{case.name:42} {mine['tokens_per_cpu_s']:7.1f} {theirs['tokens_per_cpu_s']:9.1f} {ratio:7.2f}x "
        f"{mine['wall_s']:7.1f} {theirs['wall_s']:7.1f}",
        flush=True,
    )
    return {**asdict(case), "ours": mine, "generate": theirs, "ratio": round(ratio, 2)}


def schema_cost(local: LocalModel) -> float:
    """CPU time per token with a schema over CPU time per token without, 16 rows."""
    case = Case("schema", 16, 16)
    free = timed(ours, local, case)

    def bound(local: LocalModel, case: Case) -> int:
        counts: list[int] = []
        requests = [Request(messages=r.messages, sampling=r.sampling, schema=SCHEMA) for r in case.build()]
        local.answer(requests, lambda _, reply: counts.append(reply.completion_tokens), lambda: False)
        return sum(counts)

    timed(bound, local, case)  # compiles the schema
    cost = free["tokens_per_cpu_s"] / timed(bound, local, case)["tokens_per_cpu_s"]
    print(f"a token under a JSON schema costs {cost:.2f} times one without")
    return round(cost, 2)


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where to write the numbers as JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="run the cases whose name holds this")
    parser.add_argument("--long", action="store_true", help="add the cases that take `generate` ten minutes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.utils.logging.disable_progress_bar()
    run = TransformersRun(device="cpu", threads=options.threads)
    local = LocalModel.load(str(embedded_model_dir()), "", run)
    timed(ours, local, Case("warm", 2, 2))
    print(f"{'tokens per CPU second':42} {'ours':>7} {'generate':>9} {'ratio':>8} {'wall':>7} {'wall':>7}")
    cases = [measure(local, case) for case in CASES + LONG * options.long if options.only in case.name]
    result = {
        "model": embedded_model_id(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "threads": options.threads,
        "cases": cases,
        "schema_cost": schema_cost(local),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(f"peak memory {result['peak_memory_mb']} MB")
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
