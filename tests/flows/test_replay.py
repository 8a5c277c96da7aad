"""A release rebuilt from the ledger: the same bytes, no engine, and a clear word where it is not so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.fake_kitchen import Project, project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    run = project(tmp_path_factory.mktemp("made"), train=None, evaluate=None, student=None)
    ended = run.run()
    assert ended.code == 0, ended.err
    return run


def replayed(run: Project) -> tuple[int, str]:
    found = subprocess.run(
        [sys.executable, "-m", "flows.cli", "replay", str(run.bill), "--offline"],
        cwd=run.folder, env=run.environment(), capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert not list(run.root.glob(".replay-*"))
    return found.returncode, found.stdout + found.stderr


def test_the_ledger_makes_the_same_release_without_an_engine(made: Project) -> None:
    starts, paid = made.engine_starts(), made.paid()
    code, said = replayed(made)
    assert code == 0, said
    assert "the same from the ledger alone" in said
    assert (made.engine_starts(), made.paid()) == (starts, paid)


def test_a_release_edited_by_hand_is_named_with_its_file(made: Project) -> None:
    shard = next(made.one("releases/*/*").rglob("*.parquet"))
    whole = shard.read_bytes()
    try:
        shard.write_bytes(whole[:-1] + b"!")
        code, said = replayed(made)
        assert code == 2
        assert f"{shard.name} was edited since" in said
        shard.unlink()
        code, said = replayed(made)
        assert code == 2
        assert f"{shard.name} is gone" in said
    finally:
        shard.write_bytes(whole)


def test_what_was_never_asked_cannot_be_rebuilt(made: Project, tmp_path: Path) -> None:
    fresh = project(tmp_path, train=None, evaluate=None, student=None)
    code, said = replayed_without_root(fresh)
    assert code == 2
    assert "has no ledger" in said
    made.write(train=None, evaluate=None, student=None, version="9")
    code, said = replayed(made)
    assert code == 2
    assert "is not there" in said
    assert "the bill or its inputs changed since" in said
    more = made.folder / "corpus" / "paper-99.md"
    more.write_text("# Paper 99\nOra Venn of house 99 sold rye to the coopers of Vintrack for 7 coins.\n")
    code, said = replayed(made)
    assert code == 4
    assert "has no reply of" in said
    assert "run the bill with its engine first" in said
    more.unlink()


def replayed_without_root(run: Project) -> tuple[int, str]:
    run.root.mkdir()
    return replayed(run)
