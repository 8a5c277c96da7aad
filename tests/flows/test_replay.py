"""A release rebuilt from the ledger: the same bytes, no engine, and a clear word where it is not so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flows.replay import replay
from mashbill.errors import StoreError
from mashbill.progress import Silent
from tests.flows.fake_kitchen import Project, project
from tests.flows.refreshes import NO_STUDENT, Series, series


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


@pytest.fixture
def dates(tmp_path: Path) -> Series:
    """Two releases: of eight papers and a picture, then of one that is new and one that was written over."""
    one = series(tmp_path, curate=[{"length": {"min_words": 5}}, "exact_dedup", "minhash_dedup"])
    for number in range(8):
        one.write(f"paper-{number}.md", f"# Paper {number}\nOra Venn of house {number} sold salt to the lampwrights.\n")
    one.write("map.png", "no text")
    one.refresh("2026-12-01")
    one.write("paper-8.md", "# Paper 8\nBlue lamps hang over the harbour of Vintrack.\n")
    one.write("lists/names.jsonl", '{"text": "The guild of salt and the guild of rye are two guilds."}\n')
    one.refresh("2026-12-02")
    return one


def replayed_date(one: Series, date: str) -> str:
    said = replay(one.project.bill, one.settings(), Silent(), date)
    assert not list(one.project.root.glob(".replay-*"))
    return said


def test_each_dated_release_is_made_again_also_when_later_ones_stand(dates: Series) -> None:
    paid = dates.project.paid()
    for date in ("2026-12-01", "2026-12-02"):
        rows = len(dates.rows(f"tiny@{date}"))
        assert rows
        said = replayed_date(dates, date)
        assert said.startswith(f"{dates.releases}/tiny@{date}: the same from the ledger alone: {rows} rows")
    assert dates.project.paid() == paid


def test_the_second_release_of_a_date_has_its_number(dates: Series) -> None:
    dates.write("paper-9.md", "# Paper 9\nThe ferry crosses the Ister twice a day with the mail.\n")
    dates.refresh("2026-12-02")
    assert "tiny@2026-12-02.2: the same" in replayed_date(dates, "2026-12-02.2")


def test_what_hinders_it_is_named(dates: Series) -> None:
    dates.write("paper-1.md", "# Paper 1\nOther words than those that were read then.\n")
    dates.remove("paper-2.md")
    with pytest.raises(StoreError, match=r"almanac that have changed since: paper-1.md; gone since: paper-2.md$"):
        replayed_date(dates, "2026-12-01")
    assert "the same" in replayed_date(dates, "2026-12-02")  # which did not read them
    with pytest.raises(StoreError, match=r"is not there; dated releases of tiny: tiny@2026-12-01, tiny@2026-12-02$"):
        replayed_date(dates, "2026-12-03")
    dates.project.write(**NO_STUDENT, curate=[{"length": {"min_words": 6}}])
    with pytest.raises(StoreError, match=r"was made by another bill: curate differ in .*tiny.yaml"):
        replayed_date(dates, "2026-12-02")


def test_a_dated_release_that_was_edited_is_named_and_one_before_it_refused(dates: Series) -> None:
    shard = next((dates.releases / "tiny@2026-12-01").rglob("train-*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    with pytest.raises(StoreError, match=rf"{shard.name} was edited since"):
        replayed_date(dates, "2026-12-01")
    with pytest.raises(StoreError, match=rf"tiny@2026-12-01: is not as it was published: data/{shard.name} was edited"):
        replayed_date(dates, "2026-12-02")


def replayed_without_root(run: Project) -> tuple[int, str]:
    run.root.mkdir()
    return replayed(run)
