"""Shares by tokens: of the tokenizer that the bill names, or of its student's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.measuring import release_measure, token_measure
from flows.run_bill import run_bill
from mashbill.errors import BillError
from mashbill.fingerprint import fingerprint
from mashbill.progress import Silent
from mashbill.read_bill import read_bill
from mashbill.release import publish
from mashbill.release_manifest import ReleaseManifest
from mashbill.row_size import Measure
from mashbill.settings import Settings
from tests.flows.fake_kitchen import Project, project
from tests.mashbill.release_rows import plan_of, released, texts
from tests.support.kernel import store

SMALL: dict[str, Any] = {"train": None, "evaluate": None}
STREAMS = {"raw": {"from": "almanac", "curate": []}, "other": {"from": "general", "curate": []}}


def by_tokens(folder: Path, tokenizer: str = "", **sections: Any) -> Project:
    release = {
        "streams": {"raw": 1, "other": 1},
        "shares_by": "tokens",
        **({"tokenizer": tokenizer} if tokenizer else {}),
    }
    return project(folder, **{**SMALL, "engine": None, "streams": STREAMS, "release": release, **sections})


def release_of(run: Project) -> ReleaseManifest:
    return ReleaseManifest.read(run.one("releases/tiny/*"))


def test_words_and_letters_are_shared_otherwise(tmp_path: Path) -> None:
    # Both have 400 bytes a row; by words the one has 4 to the other's 40.
    few, many = texts([400] * 40, name="few"), texts([400] * 40, name="many")
    streams = {"few": store(tmp_path, few, step="few"), "many": store(tmp_path, many, step="many")}

    def count(texts: list[str]) -> list[int]:
        return [4 for _ in texts]

    half = Measure(unit="tokens", tokenizer="halves", count=lambda texts: [40] * len(texts))
    even = released(tmp_path, streams, plan_of({"few": 1, "many": 1}, {})).manifest
    assert (even.shares_by, even.tokenizer, even.rows) == ("bytes", "", 80)
    folder = publish(plan_of({"few": 1, "many": 3}, {}), streams, tmp_path, half)
    made = ReleaseManifest.read(folder)
    assert {name: (one.released, one.size) for name, one in made.streams.items()} == {
        "few": (13, 520),
        "many": (40, 1600),
    }
    assert (made.shares_by, made.tokenizer) == ("tokens", "halves")
    other = Measure(unit="tokens", tokenizer="quarters", count=count)
    assert publish(plan_of({"few": 1, "many": 3}, {}), streams, tmp_path, other) != folder, (
        "another tokenizer's release"
    )


def test_releases_by_bytes_keep_the_fingerprints_they_had(tmp_path: Path) -> None:
    stored = store(tmp_path, texts([9]))
    plan = plan_of()
    assert publish(plan, {"one": stored}, tmp_path).name == fingerprint((plan, {"one": stored.manifest.fingerprint}))


def test_the_students_tokenizer_counts_unless_another_is_named(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    student = {"scratch": {"layers": 1, "width": 16, "heads": 2}}
    bytes_named = token_measure(read_bill(by_tokens(tmp_path / "a", "bytes", student=None).bill))
    of_student = token_measure(read_bill(by_tokens(tmp_path / "b", student=student).bill))
    assert bytes_named is not None
    assert of_student == bytes_named
    assert bytes_named.count is not None
    assert list(bytes_named.count(["salt", "né"])) == [4, 3]
    saved = tmp_path / "saved"
    from train.tokenizer import byte_tokenizer

    byte_tokenizer().save_pretrained(saved)
    by_folder = by_tokens(tmp_path / "c", "../saved", student=None)
    assert token_measure(read_bill(by_folder.bill)) == bytes_named
    by_bytes = by_tokens(tmp_path / "d", student=student, release={"streams": {"raw": 1}})
    assert release_measure(read_bill(by_bytes.bill)).unit == "bytes"

    run_bill(by_folder.bill, Settings(root=by_folder.root), Silent())
    made = release_of(by_folder)
    sizes = {name: one.size for name, one in made.streams.items()}
    assert sizes == {name: one.text_bytes for name, one in made.streams.items()}
    card = (by_folder.one("releases/tiny/*") / "README.md").read_text(encoding="utf-8")
    assert f"Shares are by tokens of the tokenizer `{made.tokenizer[:12]}`." in card
    assert "| stream | curated rows | over share | released | text bytes | tokens | share asked |" in card


def test_a_tokenizer_that_is_missing_is_named_with_its_line(tmp_path: Path) -> None:
    run = by_tokens(tmp_path, student=None)
    with pytest.raises(
        BillError, match=r"tiny\.yaml:\d+: release\.shares_by: counts tokens, and there is no tokenizer"
    ):
        read_bill(run.bill)
    pytest.importorskip("transformers")
    gone = by_tokens(tmp_path, "nowhere", student=None)
    with pytest.raises(
        BillError, match=r"tiny\.yaml:\d+: release\.tokenizer: .*nowhere: no tokenizer can be read here"
    ):
        run_bill(gone.bill, Settings(root=gone.root), Silent())
    assert not gone.root.exists(), "said before any work"
