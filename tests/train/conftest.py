from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from train.plan import PlanSpec, build_plan
from train.recipe import Scratch, StudentSpec
from train.render import TOKEN_SCHEMA, token_tables
from train.tokenizer import StudentTokenizer, byte_tokenizer

WORDS = [
    "salt",
    "guild",
    "tax",
    "river",
    "barrel",
    "mash",
    "rye",
    "oak",
    "copper",
    "still",
    "ferment",
    "Veylund",
    "Ora",
    "Venn",
]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> StudentTokenizer:
    return StudentTokenizer(byte_tokenizer())


@pytest.fixture(scope="session")
def tiny() -> StudentSpec:
    return StudentSpec(scratch=Scratch(layers=2, width=32, heads=4, kv_heads=2, mlp_width=64))


def documents(name: str, count: int, *, seed: int = 0, most_words: int = 30) -> pa.Table:
    rng = random.Random(f"{name}{seed}")
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(1, most_words))) for _ in range(count)]
    ids = [f"{name}-{number}" for number in range(count)]
    return pa.table({"id": ids, "source_id": ids, "domain": [name] * count, "title": [""] * count, "text": texts})


@pytest.fixture(scope="session")
def make_documents() -> Callable[..., pa.Table]:
    return documents


@pytest.fixture(scope="session")
def make_tokens() -> Callable[[list[int], str], pa.Table]:
    """A token table with records of the given lengths; no two tokens of a record are alike."""

    def make(lengths: list[int], prefix: str = "r") -> pa.Table:
        ids = [f"{prefix}{number}" for number in range(len(lengths))]
        columns = {
            "record_id": ids,
            "source_id": ids,
            "domain": [""] * len(ids),
            "prompt_length": [0] * len(ids),
            "tokens": [list(range(length)) for length in lengths],
        }
        return pa.table(columns, schema=TOKEN_SCHEMA)

    return make


@pytest.fixture(scope="session")
def plan_dir(tmp_path_factory: pytest.TempPathFactory, tokenizer: StudentTokenizer) -> Path:
    """Two streams, 12 steps of 6 rows of 64 tokens."""
    out = tmp_path_factory.mktemp("plan")
    streams = {
        "made": token_tables([documents("made", 20), documents("more", 10)], tokenizer),
        "web": token_tables([documents("web", 30)], tokenizer),
    }
    spec = PlanSpec(tokens=12 * 6 * 64, sequence_length=64, batch=6, replay="web", replay_share=0.25)
    build_plan(streams, spec=spec, out=out, tokenizer=tokenizer.identity)
    return out
