"""An empty Prefect database is kept once and lent to each new root."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("prefect")

from flows.prefect_database import keep_database, kept_database, lend_database


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASHBILL_CACHE", str(tmp_path / "cache"))
    for name in ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL"):
        monkeypatch.delenv(name, raising=False)


def database(home: Path, said: str) -> None:
    home.mkdir(parents=True)
    with closing(sqlite3.connect(home / "prefect.db", isolation_level=None)) as one:
        one.execute("PRAGMA journal_mode=WAL")
        one.execute("CREATE TABLE flow (name TEXT)")
        one.execute("INSERT INTO flow VALUES (?)", (said,))


def said_in(home: Path) -> list[str]:
    with closing(sqlite3.connect(home / "prefect.db")) as one:
        return [name for (name,) in one.execute("SELECT name FROM flow")]


def test_the_first_root_makes_one_and_the_next_gets_a_copy(tmp_path: Path) -> None:
    assert lend_database(tmp_path / "first"), "none is kept: Prefect makes it"
    assert not (tmp_path / "first").exists()
    database(tmp_path / "first", "made")
    keep_database(tmp_path / "first")
    assert stat.S_IMODE(kept_database().stat().st_mode) == 0o600
    assert not lend_database(tmp_path / "next")
    assert said_in(tmp_path / "next") == ["made"]


def test_a_root_that_has_one_keeps_it(tmp_path: Path) -> None:
    database(tmp_path / "kept", "kept")
    keep_database(tmp_path / "kept")
    database(tmp_path / "own", "own")
    assert not lend_database(tmp_path / "own")
    assert said_in(tmp_path / "own") == ["own"]


def test_a_user_whose_database_is_elsewhere_is_lent_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database(tmp_path / "kept", "kept")
    keep_database(tmp_path / "kept")
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql://db/prefect")
    assert not lend_database(tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_one_that_is_damaged_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept_database().parent.mkdir(parents=True)
    kept_database().write_bytes(b"no database at all, " * 300)
    assert lend_database(tmp_path / "home")
    assert not (tmp_path / "home" / "prefect.db").exists()
    assert "cannot be copied" in caplog.text


def test_a_cache_that_cannot_be_written_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MASHBILL_CACHE", str(tmp_path / "file"))
    database(tmp_path / "home", "made")
    keep_database(tmp_path / "home")
    assert not kept_database().exists()
