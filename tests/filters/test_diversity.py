"""Diversity: figures that move as they should, the same however rows come, and a gate that says which is too low."""

from __future__ import annotations

import doctest
import itertools
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import diversity
from filters.diversity import Coverage, Diversity
from filters.diversity_gate import DiversityGate
from mashbill.embedding import load_embedder
from mashbill.engine import ScriptedEngine
from mashbill.errors import BillError, GateFailed, InputError
from mashbill.records import Document
from tests.filters.judging import judged
from tests.support.kernel import rows_of, store

WORDS = [
    "brine",
    "salt",
    "wick",
    "lantern",
    "herring",
    "trawl",
    "tide",
    "harbour",
    "ledger",
    "ochre",
    "plum",
    "quartz",
    "raven",
    "spindle",
]


def figures(texts: list[str], size: int = 100) -> dict[str, float]:
    found, embedder = Diversity(), load_embedder()
    for at in range(0, len(texts), size):
        found.add(texts[at : at + size], embedder.embed(texts[at : at + size]))
    return found.figures()


def sayings(count: int, opening: str = "", seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join([*opening.split(), *(draw.choice(WORDS) for _ in range(8))]) for _ in range(count)]


def test_equal_rows_are_worth_one_and_unlike_rows_many() -> None:
    same, other = figures(["salt and brine"] * 20), figures(sayings(20))
    assert same["vendi"] == pytest.approx(1.0)
    assert same["self_similarity"] == pytest.approx(1.0)
    assert same["opener_entropy"] == 0.0
    assert same["distinct_1"] == pytest.approx(3 / 60)
    assert other["vendi"] > 5
    assert other["self_similarity"] < 0.5
    assert other["opener_entropy"] > 0.95
    assert other["distinct_2"] > 0.5


@settings(max_examples=20)
@given(st.integers(2, 30), st.integers(1, 30), st.integers(0, 9))
def test_the_figures_are_those_of_their_definitions_and_not_of_the_parts(count: int, size: int, seed: int) -> None:
    texts = sayings(count, seed=seed)
    found = figures(texts, size)
    vectors = load_embedder().embed(texts).astype(np.float64)
    kernel = vectors @ vectors.T
    pairs = [kernel[one, two] for one, two in itertools.combinations(range(count), 2)]
    assert found["self_similarity"] == pytest.approx(np.mean(pairs), abs=1e-6)
    values = np.linalg.eigvalsh(kernel / count)
    values = values[values > 1e-12]
    assert found["vendi"] == pytest.approx(math.exp(-(values * np.log(values)).sum()), rel=1e-6)
    words = " ".join(texts).split()
    assert found["distinct_1"] == pytest.approx(len(set(words)) / len(words))


def test_of_one_row_little_can_be_said() -> None:
    assert figures(["salt salt"]) == {"distinct_1": 0.5, "distinct_2": 1.0}
    assert figures([]) == {}


def test_names_are_found_as_whole_words_in_any_number() -> None:
    names = Coverage(["Salt Guild", "lamp", "Ora", "ora", "art"])
    names.add(["The salt guilds met.", "A party of lamps."])
    assert names.share == pytest.approx(2 / 4)  # Ora and ora are one, and art is no word of party
    assert names.missing() == ["Ora", "ora", "art"]


async def ran(step: DiversityGate, texts: list[str], folder: Path) -> Any:
    rows = [Document.new(text=text, title=str(at)) for at, text in enumerate(texts)]
    return await judged(step, store(folder, rows, part_rows=40), ScriptedEngine({}))


async def test_rows_pass_as_they_are_and_the_figures_are_in_the_manifest_and_for_the_card(tmp_path: Path) -> None:
    texts = sayings(100)
    (tmp_path / "names.txt").write_text("brine\nsalt\nunicorn\n\n", encoding="utf-8")
    step = DiversityGate(least={"distinct_2": 0.1, "vendi": 2}, entities=str(tmp_path / "names.txt"))
    made = await ran(step, texts, tmp_path / "runs")
    assert [row.text for row in rows_of(made)] == texts
    found = made.manifest.notes["diversity"]
    wanted = figures(texts)
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-4)
    assert found["entity_coverage"] == pytest.approx(2 / 3, abs=1e-4)
    (said,) = made.manifest.notes["card"]
    assert said.startswith("Diversity of 100 rows (hashed_ngrams): distinct_1 0.0")


async def test_the_gate_names_each_figure_beyond_its_limit_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("brine\nunicorn", encoding="utf-8")
    step = DiversityGate(
        least={"opener_entropy": 0.5, "entity_coverage": 1, "distinct_1": 0.001},
        most={"self_similarity": 0.3},
        entities=str(tmp_path / "names.txt"),
    )
    with pytest.raises(GateFailed) as raised:
        await ran(step, sayings(80, "Sure, here is a tale of"), tmp_path / "runs")
    said = str(raised.value)
    assert "diversity_gate: opener_entropy is 0, and 0.5 or more is wanted" in said
    assert "entity_coverage is 0.5 (unicorn stand nowhere), and 1 or more is wanted" in said
    assert "self_similarity is 0." in said
    assert "0.3 or less is wanted" in said
    assert "distinct_1" not in said
    assert not list((tmp_path / "runs" / "diversity_gate").rglob("part-*.parquet"))


async def test_figures_are_of_a_sample_that_the_order_of_rows_does_not_change(tmp_path: Path) -> None:
    texts = sayings(90)
    step = DiversityGate(sample=30)
    one = await ran(step, texts, tmp_path / "a")
    rows = rows_of(one)
    made = await judged(step, store(tmp_path / "b", rows[::-1], part_rows=7), ScriptedEngine({}))
    assert made.manifest.notes["diversity"] == pytest.approx(one.manifest.notes["diversity"], abs=1e-3)
    assert made.manifest.notes["card"][0].startswith("Diversity of 30 rows")


async def test_too_few_rows_do_not_pass_a_limit(tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match="vendi cannot be told of so few rows, and 1 or more is wanted"):
        await ran(DiversityGate(least={"vendi": 1}), ["salt"], tmp_path)
    with pytest.raises(BillError, match="no text column 'question'"):
        await ran(DiversityGate(columns=("question",)), ["salt", "oil"], tmp_path / "b")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"least": {"beauty": 1}}, "a limit names beauty; measured are distinct_1"),
        ({"most": {"entity_coverage": 1}}, "measured are .*; give the names under `entities`"),
        ({"sample": 1}, "sample is 1"),
        ({"columns": ()}, "two rows and a column are wanted"),
    ],
)
def test_limits_of_what_is_not_measured_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DiversityGate(**fields)


def test_a_file_without_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the names"):
        DiversityGate(entities=str(tmp_path / "none.txt"))
    (tmp_path / "blank.txt").write_text("\n--\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no name"):
        DiversityGate(entities=str(tmp_path / "blank.txt"))


def test_the_examples_of_the_docstrings_are_true() -> None:
    assert doctest.testmod(diversity).failed == 0
