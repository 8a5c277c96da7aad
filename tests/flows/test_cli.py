"""Commands that look: each over a small root that the real loop made."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from filters.length import Length
from flows.cli import app, settings_of
from mashbill.execute import execute
from mashbill.filter_stack import FilterStack
from mashbill.records import Document
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import Step
from mashbill.store import Stored
from tests.flows.kept_root import Kept, kept_root
from tests.support.kernel import store


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return kept_root(tmp_path_factory.mktemp("kept"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings file, no root of the developer's own, a usual terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MASHBILL_ROOT", raising=False)
    monkeypatch.setenv("COLUMNS", "100")


def said(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result


def looked(kept: Kept, *arguments: str, code: int = 0) -> Result:
    return said(*arguments, "--root", str(kept.root), code=code)


def judged(root: Path, texts: list[str], step: Step) -> Stored:
    """Documents through one step."""
    rows = [Document.new(text=text) for text in texts]
    return asyncio.run(execute(step, store(root, rows), Runtime(root=root), RejectPolicy(share=1.0)))


def row_id(kept: Kept, text: str) -> str:
    rows = kept.retold.table(0).to_pylist()
    return str(next(row["id"] for row in rows if text in row["text"]))


def test_the_version_is_printed_and_nothing_else() -> None:
    assert said("--version").stdout == "mashbill 0.1.0\n"


def test_ls_shows_every_stored_step_with_its_counts_in_the_order_they_were_made(kept: Kept) -> None:
    lines = looked(kept, "ls", "steps").stdout.splitlines()
    assert [line.split("/")[0] for line in lines[1:]] == ["read_documents", "retell", "length"]
    assert lines[2].split()[1:6] == ["Document", "2", "4", "2", "1"]


def test_ls_alone_shows_steps_releases_and_the_ledger(kept: Kept) -> None:
    shown = looked(kept, "ls").stdout
    assert "retell/" in shown
    assert "train 1, validation 1" in shown
    assert "6 replies" in shown


def test_ls_of_an_empty_root_says_what_makes_things() -> None:
    assert said("ls", "--root", "nowhere").stdout == (
        "no steps or releases under nowhere; `mashbill run BILL` makes them\n"
    )


def test_ls_names_what_a_bill_can_name() -> None:
    assert "entigraph" in said("ls", "generators").stdout
    assert "entigraph" not in said("ls", "filters").stdout
    assert "exact_dedup" in said("ls", "dataset-steps").stdout
    assert "files → Document" in said("ls", "sources").stdout
    assert "transformers" in said("ls", "engines").stdout


def test_ls_of_an_unknown_list_names_the_nearest() -> None:
    assert "did you mean filters?" in said("ls", "filter", code=2).stderr


def test_ls_shows_what_is_unfinished_or_broken(kept: Kept, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(kept.root, root)
    (root / "retell" / kept.retold.path.name / "manifest.json").unlink()
    (root / "length" / kept.curated.path.name / "manifest.json").write_text("{", encoding="utf-8")
    shown = said("ls", "steps", "--root", str(root)).stdout
    assert "unfinished" in shown
    assert "unreadable" in shown


@pytest.mark.parametrize("way", ["name", "beginning", "name/beginning", "path"])
def test_show_finds_a_step_by_name_fingerprint_and_path(kept: Kept, way: str) -> None:
    path = kept.retold.path
    names = {"name": "retell", "beginning": path.name[:6], "path": str(path)}
    shown = looked(kept, "show", names.get(way, f"retell/{path.name[:4]}"), "-n", "1").stdout
    assert "2 read, 6 tried, 4 kept, 2 rejected (refusal 2)" in shown
    assert f"read_documents/{kept.source.path.name[:12]}" in shown
    assert "max_tokens=60" in shown
    assert "row 1 of 4" in shown
    assert "row 2 of 4" not in shown


def test_show_prints_texts_as_they_are_not_as_markup(kept: Kept) -> None:
    assert "[bold]Retold[/bold]" in looked(kept, "show", "length").stdout


def test_show_of_a_release_has_its_splits_and_a_row(kept: Kept) -> None:
    shown = looked(kept, "show", "small").stdout
    assert "validation" in shown
    assert "read_documents 2 → retell 4 → length 2" in shown
    assert "row 1 of 2" in shown


def test_show_of_a_release_whose_rows_are_gone_says_what_to_do(kept: Kept, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(kept.root, root)
    shutil.rmtree(root / "releases" / "small" / kept.release.name / "data")
    error = " ".join(said("show", "small", "--root", str(root), code=2).stderr.split())
    assert "names it but it cannot be read" in error
    assert "and run the bill again" in error


def test_show_of_a_row_says_every_place_it_lies_in(kept: Kept) -> None:
    shown = looked(kept, "show", row_id(kept, "Too short")[:8]).stdout
    assert f"in length/{kept.curated.path.name}/rejects/part-00000.parquet" in shown
    assert f"in retell/{kept.retold.path.name}/part-00000.parquet" in shown


def test_show_of_nothing_names_the_nearest(kept: Kept) -> None:
    assert "did you mean retell?" in looked(kept, "show", "retel", code=2).stderr
    assert "nothing is stored under" in said("show", "retell", "--root", "nowhere", code=2).stderr


def test_a_name_that_means_two_steps_lists_both(kept: Kept, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(kept.root, root)
    shutil.copytree(root / "retell" / kept.retold.path.name, root / "retell" / ("f" * 32))
    error = said("show", "retell", "--root", str(root), code=2).stderr
    assert "means 2 things" in error
    assert "retell/ffffffffffff" in error


def test_show_of_an_unfinished_step_says_so(kept: Kept, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(kept.root, root)
    (root / "retell" / kept.retold.path.name / "manifest.json").unlink()
    assert "is unfinished: 1 part written" in said("show", "retell", "--root", str(root), code=2).stderr
    # A run that stopped for too many rejects sends its reader to an unfinished step.
    assert "it is unfinished, so these are not all" in said("rejects", "retell", "--root", str(root)).stdout


def test_rejects_counts_reasons_then_shows_rows(kept: Kept) -> None:
    shown = looked(kept, "rejects", "retell", "-n", "1").stdout
    assert "100%" in shown
    assert shown.count("[/sorry] I cannot \\x1b[31mdo that.") == 1
    assert "\x1b[31m" not in shown
    assert "1 more: `mashbill rejects retell/" in shown


def test_rejects_as_json_are_whole_rows(kept: Kept) -> None:
    lines = looked(kept, "rejects", "length", "--reason", "length_too_few_words", "--json").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["text"] for row in rows] == ["Too short."] * 2
    assert json.loads(rows[0]["record"])["title"] in ("Lamps", "The Salt Guild")


def test_rejects_by_an_unknown_reason_names_the_nearest(kept: Kept) -> None:
    assert "did you mean refusal?" in looked(kept, "rejects", "retell", "--reason", "refusals", code=2).stderr


def test_rejects_of_a_step_that_rejected_nothing_says_so(kept: Kept) -> None:
    assert "rejected nothing" in looked(kept, "rejects", "read_documents").stdout


def test_trace_goes_down_to_the_file_and_its_licence(kept: Kept) -> None:
    shown = looked(kept, "trace", row_id(kept, "Ora Venn")).stdout
    for wanted in (
        "scripted/scripted",
        "temperature 1, max_tokens 60; seed",
        "prompt: … Retell it, in way 2.",
        "reply: [bold]Retold[/bold]",
        f"kept by length/{kept.curated.path.name[:12]}",
        "salt.md  CC0-1.0",
    ):
        assert wanted in shown


def test_trace_in_full_has_the_whole_prompt(kept: Kept) -> None:
    short, full = (looked(kept, "trace", row_id(kept, "Ora Venn"), *way).stdout for way in ([], ["--full"]))
    assert "system: You retell." in full
    assert "system: You retell." not in short


def test_trace_of_a_reject_says_why_it_went(kept: Kept) -> None:
    identifier = json.loads(looked(kept, "rejects", "retell", "--json", "-n", "1").stdout)["id"]
    assert "rejected by retell: refusal: opens with [/sorry]" in looked(kept, "trace", identifier).stdout


def test_trace_without_the_ledger_says_what_is_missing_and_makes_none(kept: Kept, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(kept.root, root, ignore=shutil.ignore_patterns("ledger*"))
    assert "the reply is not in this ledger" in said("trace", row_id(kept, "Ora Venn"), "--root", str(root)).stdout
    assert not (root / "ledger.sqlite").exists()


def test_card_prints_the_card_and_the_one_that_was_written_wins(kept: Kept, tmp_path: Path) -> None:
    assert "# small" in looked(kept, "card", "small").stdout
    root = tmp_path / "runs"
    shutil.copytree(kept.root, root)
    (root / "releases" / "small" / kept.release.name / "README.md").write_text("# Measured\n", encoding="utf-8")
    assert said("card", "small", "--root", str(root)).stdout == "# Measured\n"


def test_card_of_a_step_is_refused(kept: Kept) -> None:
    assert "no release under" in looked(kept, "card", "retell", code=2).stderr


def test_the_root_on_the_command_line_beats_the_environment(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASHBILL_ROOT", str(kept.root))
    assert settings_of(None).root == kept.root
    assert settings_of(Path("other")).root == Path("other")
    assert "retell/" in said("ls").stdout
    assert "no steps" in said("ls", "--root", "other").stdout


def test_rejects_of_a_step_that_was_stopped_are_read_once(kept: Kept, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(kept.root, root)
    place = root / "retell" / kept.retold.path.name
    (place / "manifest.json").unlink()
    # The stopped run had written this part, so its rejects stand in both files.
    shutil.copy(place / "rejects" / "part-00000.parquet", place / "rejects" / "stopped.parquet")
    assert len(said("rejects", str(place), "--json", "--root", str(root)).stdout.splitlines()) == 2
    (place / "part-00000.parquet").unlink()
    (place / "rejects" / "part-00000.parquet").unlink()
    shown = said("rejects", str(place), "--root", str(root)).stdout
    assert "rejected 2 rows; it is unfinished" in shown


def test_a_release_is_exported_for_load_from_disk(kept: Kept, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    looked(kept, "export", "small", str(tmp_path / "out"))
    opened = datasets.load_from_disk(str(tmp_path / "out"))
    assert {name: len(split) for name, split in opened.items()} == {"train": 1, "validation": 1}
    (tmp_path / "taken").mkdir()
    assert "is not this release" in looked(kept, "export", "small", str(tmp_path / "taken"), code=2).stderr


def test_rejects_shows_rows_of_every_reason_and_an_example_of_each(tmp_path: Path) -> None:
    from filters.refusals import Refusals

    texts = ["Two words.", "Just two.", "Only two.", "I'm sorry, but I can't help with that request today."]
    stored = judged(tmp_path, texts, FilterStack(filters=(Length(min_words=4), Refusals())))
    shown = said("rejects", str(stored.path), "-n", "2", "--root", str(tmp_path)).stdout
    table, rows = shown.split("\n\n", 1)
    assert "Two words." in table
    assert "I'm sorry, but" in table
    assert "Two words." in rows
    assert "I'm sorry, but" in rows
    assert "Just two." not in rows
    everything = said("rejects", str(stored.path), "-n", "9", "--root", str(tmp_path)).stdout
    assert all(everything.count(text) >= 1 for text in texts)


def test_a_duplicate_stands_beside_the_row_that_was_kept(tmp_path: Path) -> None:
    from filters.minhash_dedup import MinhashDedup

    words = [f"w{number}" for number in range(60)]
    stored = judged(tmp_path, [" ".join(words), " ".join(["other", *words[1:]])], MinhashDedup())
    shown = said("rejects", str(stored.path), "--root", str(tmp_path)).stdout
    assert "REJECTED" in shown
    assert "KEPT" in shown
    assert "[other]" in shown
    assert "[w0]" in shown
    assert "…" in shown.split("REJECTED")[1]
