"""Dated releases: each document once over all dates, published whole or not at all, never after one that was edited."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from flows.cli import app
from flows.one_run import one_run
from flows.replay import replay
from flows.stored import the_thing
from mashbill.errors import BillError, InputError, StoreError, UserError
from mashbill.progress import Silent
from mashbill.series import series_of
from tests.flows.fake_kitchen import Project, everything
from tests.flows.refreshes import RAW, Series, series
from tests.flows.retry_project import retry_project

SALT, LAMPS, FERRY = (
    "# Salt\nOra Venn sold salt to the lampwrights of Oskelby for three coins a bag.\n",
    "# Lamps\nBlue lamps hang over the harbour of Vintrack, and green ones in Oskelby.\n",
    "# Ferry\nThe ferry crosses the Ister twice a day and carries the mail on Mondays.\n",
)
CHANGES = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "write", "remove", "move", "append"]),
            st.integers(0, 5),
            st.integers(0, 7),
        ),
        max_size=5,
    ),
    min_size=2,
    max_size=4,
)


def change(one: Series, what: str, file: int, text: int) -> set[str]:
    """Change the corpus; the texts that were written."""
    name, told = f"paper-{file}.md", f"Paper {text} is about house {text}."
    place = one.project.folder / "corpus"
    if what == "write":
        one.write(name, f"{told}\n")
        return {told}
    if what == "append":
        with (place / "lines.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"title": name, "text": told}) + "\n")
        return {told}
    if (place / name).is_file():
        shutil.move(place / name, place / f"moved-{text}.md") if what == "move" else one.remove(name)
    return set()


@settings(max_examples=8, deadline=None)
@given(CHANGES)
def test_over_any_dates_each_text_is_released_once_and_lies_in_one_split(
    tmp_path_factory: pytest.TempPathFactory, dates: list[list[tuple[str, int, int]]]
) -> None:
    one = series(tmp_path_factory.mktemp("any"), **RAW)
    one.write("first.md", "The first paper is always there.\n")
    written, released, splits = {"The first paper is always there."}, list[str](), dict[str, str]()
    for day, changes in enumerate(dates, start=1):
        # A text that is written over before anybody looked was never there.
        for what in changes:
            change(one, *what)
        there = {text for file in (one.project.folder / "corpus").iterdir() for text in texts_of(file)}
        before, date = one.names(), f"2026-12-{day:02d}"
        said = one.refresh(date)
        new = there - written if day > 1 else there
        written |= there
        if one.names() == before:
            assert (new, said.split(" since")[0]) == (set(), "tiny: nothing new")
            continue
        assert one.names() == [*before, f"tiny@{date}"]
        rows = one.rows(f"tiny@{date}")
        assert {row["text"] for row in rows} == new
        released += [row["text"] for row in rows]
        for row in rows:
            assert splits.setdefault(row["source_id"], row["split"]) == row["split"]
        assert one.refresh(date).startswith("tiny: nothing new since")
    assert sorted(released) == sorted(written)


def texts_of(file: Path) -> set[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return {json.loads(line)["text"] for line in lines} if file.suffix == ".jsonl" else {"\n".join(lines)}


def test_a_release_has_what_is_new_and_says_what_became_of_the_files(tmp_path: Path) -> None:
    one = series(tmp_path)
    for name, text in {
        "salt.md": SALT,
        "lamps.md": LAMPS,
        "old.md": "# Old\nAn old paper that nobody keeps.\n",
    }.items():
        one.write(name, text)
    first = one.refresh("2026-11-30")
    assert "almanac: 3 new, 0 as before; 3 records taken" in first
    paid = len(one.project.paid())
    one.write("salt.md", SALT.replace("three", "four"))
    one.write("ferry.md", FERRY)
    one.write("lamps-again.md", LAMPS)
    one.remove("old.md")
    said = one.refresh("2026-12-01").splitlines()
    left = one.manifest("tiny@2026-12-01").streams["tales"].over_share
    assert left > 1
    assert said[1:] == [
        f"Shares are met in this release by itself, and left out {left} rows (tales {left}): later releases do not "
        "take them up.",
        "almanac: 1 new, 1 changed, 1 gone, 1 moved or copied, 1 as before; 2 records taken",
        "almanac: changed: salt.md",
        "almanac: gone: old.md",
    ]
    rows = one.rows("tiny@2026-12-01")
    assert {row["source"] for row in rows} == {"salt.md", "ferry.md"}
    assert {row["stream"] for row in rows} == {"raw", "tales"}
    old = {row["source"]: row["source_id"] for row in one.rows("tiny@2026-11-30")}
    assert {row["source_id"] for row in rows if row["source"] == "salt.md"} == {old["salt.md"]}, "it is one document"
    assert len(one.project.paid()) > paid
    card = (one.releases / "tiny@2026-12-01" / "README.md").read_text()
    assert "Release 2 of a series, of 2026-12-01: it has only what is new since `tiny@2026-11-30`." in card
    assert "Files of `almanac`: 1 new, 1 changed, 1 gone, 1 moved or copied, 1 as before; 2 records taken." in card
    shown = CliRunner().invoke(app, ["ls", "releases", "--root", str(one.project.root)]).stdout
    assert shown.index("tiny@2026-11-30") < shown.index("tiny@2026-12-01")
    assert the_thing("tiny@2026-12-01", one.project.root).path == one.releases / "tiny@2026-12-01"


def test_new_rows_are_held_against_all_releases_before(tmp_path: Path) -> None:
    long = " ".join(f"word{number}" for number in range(60))
    curated = ["exact_dedup", "minhash_dedup"]
    one = series(tmp_path, **{**RAW, "streams": {"raw": {"from": "almanac", "curate": curated}}})
    one.write("a.md", f"{long}\n")
    one.refresh("2026-12-01")
    one.write("b.md", "Quite another text than the one before it.\n")
    one.refresh("2026-12-02")
    one.write("c.md", f"{long} end\n")
    one.write("d.md", "QUITE another text than the  one before it.\n")
    one.write("e.md", "The only one that is new on the third day.\n")
    indexes = everything(one.project.root / "dedup_index")
    one.refresh("2026-12-03")
    assert [row["source"] for row in one.rows("tiny@2026-12-03")] == ["e.md"]
    counts = one.manifest("tiny@2026-12-03").streams["raw"].steps
    assert [step.counts.rejected for step in counts if "dedup" in step.step] == [
        {"exact_duplicate_of_earlier": 1},
        {"near_duplicate_of_earlier": 1},
    ]
    now = everything(one.project.root / "dedup_index")
    assert indexes.items() < now.items(), "an index is made once, and another added"
    # Without them they are made again, and say the same.
    shutil.rmtree(one.project.root / "dedup_index")
    one.write("f.md", "One more for the fourth of the four days.\n")
    one.refresh("2026-12-04")
    again = everything(one.project.root / "dedup_index")
    assert now.items() < again.items()


def test_documents_that_were_rejected_are_not_tried_again(tmp_path: Path) -> None:
    one = series(tmp_path, **{**RAW, "curate": [{"length": {"min_words": 5}}], "streams": {"raw": {"from": "almanac"}}})
    one.write("salt.md", SALT)
    one.refresh("2026-12-01")
    one.write("short.md", "Too short.\n")
    said = one.refresh("2026-12-02")
    assert said.startswith("tiny@2026-12-02: 0 rows (train 0, validation 0)")
    manifest = one.manifest("tiny@2026-12-02")
    assert manifest.streams["raw"].steps[-1].counts.rejected == {"length_too_few_words": 1}
    assert one.refresh("2026-12-03").startswith("tiny: nothing new since tiny@2026-12-02")
    one.write("ferry.md", FERRY)
    one.refresh("2026-12-03")
    assert [row["source"] for row in one.rows("tiny@2026-12-03")] == ["ferry.md"]
    assert [one.name for one in series_of(one.project.root, "tiny")] == [f"tiny@2026-12-0{day}" for day in (1, 2, 3)]


def test_a_second_release_of_a_date_and_a_series_begun_anew(tmp_path: Path) -> None:
    one = series(tmp_path, **RAW)
    for day, text in enumerate([SALT, LAMPS, FERRY]):
        one.write(f"{day}.md", text)
        one.refresh("2026-12-01")
    for number in range(4, 12):
        one.write(f"{number}.md", f"Paper {number} of the guild of salt.\n")
        one.refresh("2026-12-01")
    assert len(one.names()) == 11
    assert [release.name for release in series_of(one.project.root, "tiny")][-3:] == [
        "tiny@2026-12-01.9",
        "tiny@2026-12-01.10",
        "tiny@2026-12-01.11",
    ], "numbers, not letters"
    said = one.refresh("2026-12-01", full=True)
    assert said.startswith("tiny@2026-12-01.12: 11 rows")
    assert one.refresh("2026-12-01", full=True).startswith("tiny@2026-12-01.12: 11 rows"), "it stands already"
    assert [release.name for release in series_of(one.project.root, "tiny")] == ["tiny@2026-12-01.12"]
    card = (one.releases / "tiny@2026-12-01.12" / "README.md").read_text()
    assert "The first release of a series, of 2026-12-01: it takes all that its sources hold." in card
    with pytest.raises(UserError, match=r"tiny@2026-12-01\.12 is there already, and 2026-11-30 is before it"):
        one.refresh("2026-11-30")


def test_a_bill_that_changed_is_said_on_the_card(tmp_path: Path) -> None:
    one = series(tmp_path, **RAW)
    one.write("salt.md", SALT)
    one.refresh("2026-12-01")
    one.project.write(**{**RAW, "release": {"splits": {"test": 0.9}}, "seed": 9})
    one.write("salt.md", SALT.replace("three", "four"))
    one.write("ferry.md", FERRY)
    one.refresh("2026-12-02")
    manifest = one.manifest("tiny@2026-12-02")
    assert manifest.refreshed is not None
    assert manifest.refreshed.changed_sections == ("release", "seed")
    card = (one.releases / "tiny@2026-12-02" / "README.md").read_text()
    assert "The bill has changed since `tiny@2026-12-01`, in `release`, `seed`" in card
    (old,) = one.rows("tiny@2026-12-01")
    new = {row["source"]: row["split"] for row in one.rows("tiny@2026-12-02")}
    assert new["salt.md"] == old["split"], "a document stays in the split it had"
    # Fields that make other records of the files have them read anew.
    fields = {"path": "corpus", "domain": "Veylund"}
    one.project.write(**{**RAW, "sources": {"almanac": {"read_documents": fields}}})
    assert "0 as before" not in one.refresh("2026-12-03")
    assert one.names() == [f"tiny@2026-12-0{day}" for day in (1, 2, 3)]
    assert one.rows("tiny@2026-12-03") == [], "the words were released before"


def edit(one: Series, what: str) -> str:
    """Edit the first of two releases; what is to be said of it."""
    folder = one.releases / "tiny@2026-12-01"
    (shard,) = (folder / "data").iterdir()
    name = f"data/{shard.name}"
    if what == "card":
        (folder / "README.md").write_text("better")
        return "README.md was edited"
    if what == "shard":
        shard.write_bytes(shard.read_bytes()[:-1] + b"x")
        return f"{name} was edited"
    if what == "gone":
        shard.unlink()
        return f"{name} is missing"
    if what == "added":
        (folder / "data" / "train-extra.parquet").write_bytes(b"")
        return "data/train-extra.parquet was added"
    if what == "seen":
        (folder / "seen" / "records.parquet").unlink()
        return "seen/records.parquet is missing"
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"Apache-2.0"', '"MIT"') if what == "manifest" else "{")
    return "manifest.json was edited" if what == "manifest" else "its manifest.json cannot be taken for one"


@pytest.mark.parametrize("what", ["card", "shard", "gone", "added", "seen", "manifest", "broken"])
def test_a_release_that_was_edited_is_refused_with_what_differs(what: str, tmp_path: Path) -> None:
    one = series(tmp_path, **RAW)
    for day, text in enumerate([SALT, LAMPS], start=1):
        one.write(f"{day}.md", text)
        one.refresh(f"2026-12-0{day}")
    (one.releases / "tiny@2026-12-01" / ".DS_Store").write_bytes(b"nobody's")
    assert "nothing new" in one.refresh("2026-12-03")
    expected = edit(one, what)
    one.write("3.md", FERRY)
    ran = CliRunner().invoke(
        app, ["refresh", str(one.project.bill), "-q", "--date", "2026-12-03", "--root", str(one.project.root)]
    )
    assert ran.exit_code == 2
    assert f"tiny@2026-12-01: is not as it was published: {expected}" in ran.output
    assert "remove tiny@2026-12-01, tiny@2026-12-02 and refresh again" in ran.output
    assert len(one.names()) == 2
    # What is advised works: nothing is lost, and nobody is asked.
    for name in one.names():
        shutil.rmtree(one.releases / name)
    assert one.refresh("2026-12-03").startswith("tiny@2026-12-03: 3 rows")


def test_a_release_that_is_gone_from_the_middle_is_missed(tmp_path: Path) -> None:
    one = series(tmp_path, **RAW)
    for day, text in enumerate([SALT, LAMPS, FERRY], start=1):
        one.write(f"{day}.md", text)
        one.refresh(f"2026-12-0{day}")
    aside = shutil.move(one.releases / "tiny@2026-12-02", tmp_path / "aside")
    with pytest.raises(StoreError, match=r"tiny@2026-12-02: is gone, and tiny@2026-12-03 was made after it"):
        one.refresh("2026-12-04")
    shutil.copytree(one.releases / "tiny@2026-12-01", one.releases / "tiny@2026-12-02")
    with pytest.raises(StoreError, match="is not the release that tiny@2026-12-03 was made after, but another"):
        one.refresh("2026-12-04")
    shutil.rmtree(one.releases / "tiny@2026-12-02")
    shutil.move(aside, one.releases / "tiny@2026-12-02")
    assert "nothing new" in one.refresh("2026-12-04")
    # The last one may go: its documents are taken again, in the next.
    rows = one.rows("tiny@2026-12-03")
    shutil.rmtree(one.releases / "tiny@2026-12-03")
    one.refresh("2026-12-04")
    assert one.rows("tiny@2026-12-04") == rows


def test_a_source_that_is_gone_and_one_that_is_empty(tmp_path: Path) -> None:
    one = series(tmp_path, **RAW)
    with pytest.raises(InputError, match="has no documents"):
        one.refresh("2026-12-01")
    one.write("salt.md", SALT)
    one.refresh("2026-12-01")
    one.remove("salt.md")
    assert one.refresh("2026-12-02").splitlines() == [
        "tiny: nothing new since tiny@2026-12-01 in 0 files; nothing is published",
        "almanac: gone: salt.md",
    ]
    (tmp_path / "corpus").rmdir()
    with pytest.raises(InputError, match=r"corpus: is gone: for tiny@2026-12-01 the source almanac had 1 files there"):
        one.refresh("2026-12-02")


@pytest.mark.parametrize("said", ["yesterday", "2026-13-01", "20261201", "2026-W01-1"])
def test_a_date_is_a_day(said: str, tmp_path: Path) -> None:
    one = series(tmp_path, **RAW)
    with pytest.raises(UserError, match="wanted a day as 2026-12-01"):
        one.refresh(said)


def test_a_run_that_is_at_work_is_named_and_the_code_says_later(tmp_path: Path) -> None:
    one = series(tmp_path, **RAW)
    one.write("salt.md", SALT)
    with one_run(one.project.root, "tiny"):
        ran = CliRunner().invoke(app, ["refresh", str(one.project.bill), "-q", "--root", str(one.project.root)])
    assert ran.exit_code == 75
    assert "another run of the bill tiny is at work" in ran.output
    assert one.names() == []


def test_ray_is_refused_where_rows_are_held_against_earlier_ones(tmp_path: Path) -> None:
    one = series(tmp_path, **RAW)
    one.write("salt.md", SALT)
    one.refresh("2026-12-01")
    curated: list[Any] = [{"minhash_dedup": {"ray": "local"}}]
    one.project.write(**{**RAW, "streams": {"raw": {"from": "almanac", "curate": curated}}})
    one.write("ferry.md", FERRY)
    with pytest.raises(BillError, match=r"streams\.raw: minhash_dedup has `ray`"):
        one.refresh("2026-12-02")


@pytest.mark.slow
@pytest.mark.parametrize("when", ["building/seen 3", "building 11"])
def test_a_refresh_that_is_killed_publishes_nothing_and_goes_on_to_the_same_bytes(when: str, tmp_path: Path) -> None:
    killed, plain = series(tmp_path / "killed"), series(tmp_path / "plain")
    for one in (killed, plain):
        for name, text in {"salt.md": SALT, "lamps.md": LAMPS}.items():
            one.write(name, text)
        one.refresh("2026-12-01")
        one.write("ferry.md", FERRY)
        one.write("house.md", "# House\nThe house of Venn stood in Oskelby by the river.\n")
    command = [sys.executable, "-m", "flows.cli", "refresh", str(killed.project.bill), "-q", "--date", "2026-12-02"]
    ended = subprocess.run(
        command,
        cwd=killed.project.folder,
        env=killed.project.environment(TEACHER_ENDS=f"SIGKILL {when}"),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == -9, ended
    assert [name for name in killed.names() if not name.startswith(".")] == ["tiny@2026-12-01"]
    said = killed.refresh("2026-12-02")
    assert said.replace(str(killed.releases), str(plain.releases)) == plain.refresh("2026-12-02")
    assert everything(killed.project.root) == everything(plain.project.root)
    assert len(killed.project.paid_twice()) <= 2 * 4


def test_a_refresh_that_its_budget_stops_publishes_nothing_and_the_next_takes_the_same_documents(
    tmp_path: Path,
) -> None:
    one = series(tmp_path)
    for number in range(9):
        one.write(f"{number}.md", f"{SALT}And that of house {number} more.\n")
    command = ["refresh", str(one.project.bill), "-q", "--root", str(one.project.root), "--date"]
    stopped = CliRunner().invoke(app, [*command, "2026-12-01", "--budget", "700tokens"])
    assert stopped.exit_code == 2
    assert "tiny: nothing is published: tell_tales was stopped by its budget" in stopped.output
    assert one.names() == []
    paid = one.project.paid()
    assert paid
    # The next date has money of its own.
    done = CliRunner().invoke(app, [*command, "2026-12-02", "--budget", "100k tokens"])
    assert done.exit_code == 0, done.output
    assert {row["source"] for row in one.rows("tiny@2026-12-02")} == {f"{number}.md" for number in range(9)}
    assert len(set(one.project.paid())) == len(one.project.paid()), "nothing was paid for twice"


def failing_series(folder: Path) -> Series:
    """A series whose endpoint fails, on every try, what holds the words of ``TEACHER_FAILS``."""
    retry_project(folder)
    shutil.rmtree(folder / "corpus")
    (folder / "corpus").mkdir()
    return Series(Project(folder))


@pytest.mark.parametrize("fails", ["house 2 ", "house"])
def test_a_document_that_the_provider_failed_comes_again_on_the_next_date(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, never = failing_series(tmp_path / "one"), failing_series(tmp_path / "never")
    for each in (one, never):
        each.write("0.md", SALT)
        each.refresh("2026-12-01")
        for number in range(1, 4):
            each.write(f"{number}.md", f"{SALT}And that of house {number} more.\n")
    monkeypatch.setenv("TEACHER_FAILS", fails)
    # Rows of the others were made: they wait too, since a release takes all that it read.
    with pytest.raises(
        StoreError, match=r"nothing is published: tell_tales was stopped by errors of the provider: \d of"
    ):
        one.refresh("2026-12-02")
    assert one.names() == ["tiny@2026-12-01"]
    monkeypatch.delenv("TEACHER_FAILS")
    one.refresh("2026-12-03")
    never.refresh("2026-12-03")
    assert {row["source"] for row in one.rows("tiny@2026-12-03")} >= {f"{number}.md" for number in range(1, 4)}
    assert everything(one.releases / "tiny@2026-12-03") == everything(never.releases / "tiny@2026-12-03")
    assert not one.project.paid_twice()
    assert "the same from the ledger alone" in replay(one.project.bill, one.settings(), Silent(), "2026-12-03")


def test_what_shares_leave_out_of_a_date_is_said_and_in_no_later_one(tmp_path: Path) -> None:
    streams = {"raw": {"from": "almanac"}, "copies": {"from": "almanac"}}
    one = series(tmp_path, **{**RAW, "streams": streams, "release": {"streams": {"raw": 1, "copies": 3}}})
    for number in range(6):
        one.write(f"{number}.md", f"# Paper {number}\nPaper {number} is about house {number}.\n")
    said = one.refresh("2026-12-01")
    rows = [row["stream"] for row in one.rows("tiny@2026-12-01")]
    assert rows.count("copies") == 6
    left = 6 - rows.count("raw")
    assert left
    sentence = (
        f"Shares are met in this release by itself, and left out {left} rows (raw {left}): later releases do not take "
        "them up."
    )
    assert sentence in said.splitlines()
    assert sentence in (one.releases / "tiny@2026-12-01" / "README.md").read_text(encoding="utf-8")
    assert "nothing new" in one.refresh("2026-12-02")
    one.project.write(**{**RAW, "streams": streams, "release": {"streams": {"raw": 1}}})
    assert "Shares" not in one.refresh("2026-12-02", full=True), "one stream is taken whole"
