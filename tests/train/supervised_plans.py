"""Rows of questions, and supervised plans of them, for the tests of this folder."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa

from mashbill.records import QA, Instruction, Rationale, Record, to_table
from train.example_tokens import Rejected, Room, example_tables
from train.plan import PlanSpec
from train.plan_manifest import PlanManifest
from train.prompt_form import prompt_form
from train.supervised_plan import build_supervised_plan
from train.supervision import Supervision, Target
from train.tokenizer import StudentTokenizer

WORDS = ["salt", "rye", "oak", "tax", "guild", "river", "mash", "still"]


def supervision(target: Target = "answer_only", **fields: Any) -> Supervision:
    return Supervision(**{"target": target, "template": "plain", **fields})


def worked(count: int, *, seed: int = 0, most_words: int = 12, each: int = 1) -> list[Rationale]:
    """Rationales of very different lengths, `each` of them for one question."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        for draw in range(each):
            words = " ".join(rng.choices(WORDS, k=rng.randint(1, most_words)))
            rows.append(
                Rationale.new(question=f"What is {number}?", rationale=words, answer=rng.choice(WORDS), draw=draw)
            )
    return rows


def questions(count: int, seed: int = 0) -> list[QA]:
    rng = random.Random(seed)
    return [QA.new(question=f"Where is {number}?", answer=rng.choice(WORDS)) for number in range(count)]


def tables(
    streams: dict[str, list[Any]],
    tokenizer: StudentTokenizer,
    spec: Supervision,
    *,
    sequence: int,
    batch: int,
    rejected: Rejected | None = None,
) -> dict[str, list[pa.Table]]:
    room = Room(sequence, batch, min(sequence, spec.max_length or sequence))
    rejected = rejected if rejected is not None else Rejected()
    made: dict[str, list[pa.Table]] = {}
    for name, rows in streams.items():
        kind: type[Record] = type(rows[0])
        parts = [to_table(rows, kind)]
        form = prompt_form(spec, tokenizer)
        made[name] = list(example_tables(parts, kind, form, room, stream=name, rejected=rejected))
    return made


def plan(
    streams: dict[str, list[Any]], tokenizer: StudentTokenizer, spec: Supervision, out: Path, **fields: Any
) -> PlanManifest:
    shape = PlanSpec(**{"tokens": 12 * 4 * 160, "sequence_length": 160, "batch": 4, **fields})
    rejected = Rejected()
    made = tables(streams, tokenizer, spec, sequence=shape.sequence_length, batch=shape.batch, rejected=rejected)
    return build_supervised_plan(
        made, spec=shape, supervision=spec, out=out, tokenizer=tokenizer.identity, rejected=rejected
    )


__all__ = ["Instruction", "plan", "questions", "supervision", "tables", "worked"]
