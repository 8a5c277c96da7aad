"""What `mashbill new` writes works before anyone edits it, and nothing is overwritten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flows.scaffold import write_new
from mashbill.errors import UserError
from mashbill.read_bill import read_bill

HERE = Path(__file__).parents[2]
RUFF = """
line-length = 120
target-version = "py311"
[lint]
select = ["E", "F", "W", "I", "B", "UP", "D", "ANN", "RUF", "PT", "SIM", "TID", "PTH"]
[lint.pydocstyle]
convention = "google"
"""


def python(folder: Path, *arguments: str) -> None:
    """Run a module as a user would, in a folder that is not ours."""
    environment = {"PYTHONPATH": str(HERE), "MYPYPATH": str(HERE), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    write_new("generator", "ask_why", folder / "steps")
    write_new("filter", "few_words", folder / "steps")
    write_new("bill", "demo", folder)
    return folder


def test_what_is_written_passes_its_own_tests(written: Path) -> None:
    python(written, "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", "steps")


def test_what_is_written_says_what_an_edit_does(written: Path) -> None:
    generator = (written / "steps" / "ask_why.py").read_text(encoding="utf-8")
    assert "# Editing this file makes new rows at the next run; replies are paid for only where" in generator
    assert "so is this file" in (written / "steps" / "few_words.py").read_text(encoding="utf-8")


def test_what_is_written_passes_ruff(written: Path) -> None:
    (written / "ruff.toml").write_text(RUFF, encoding="utf-8")
    python(written, "ruff", "check", "steps")
    python(written, "ruff", "format", "--check", "steps")


@pytest.mark.slow
def test_what_is_written_passes_mypy_in_strict_mode(written: Path) -> None:
    files = [str(path.relative_to(written)) for path in sorted((written / "steps").glob("*.py"))]
    # Our own settings name the libraries that have no types; strictness is theirs too.
    python(written, "mypy", "--strict", "--config-file", str(HERE / "pyproject.toml"), *files)


def test_a_new_bill_is_right_and_takes_a_step_of_ones_own(written: Path) -> None:
    bill = read_bill(written / "demo.yaml")
    assert bill.source_path("documents").is_dir()
    text = (written / "demo.yaml").read_text(encoding="utf-8")
    own = text.replace("# steps: [steps] ", "steps: [steps] ").replace(
        "  - refusals\n", "  - refusals\n  - few_words\n"
    )
    (written / "own.yaml").write_text(own.replace("      - rephrase:", "      - ask_why\n      - rephrase:"), "utf-8")
    steps = read_bill(written / "own.yaml").streams["retold"].steps
    assert steps[1].name == "ask_why"


def test_a_bill_beside_documents_leaves_them_alone(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    write_new("bill", "mine", tmp_path)
    assert list((tmp_path / "corpus").iterdir()) == []


@pytest.mark.parametrize("sort", ["generator", "filter"])
def test_nothing_is_overwritten(sort: str, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="is there already and is not overwritten"):
        write_new(sort, "mine", tmp_path)
    assert not (tmp_path / "mine.py").exists()
    assert (tmp_path / "test_mine.py").read_text(encoding="utf-8") == "mine"


def test_a_bill_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine", encoding="utf-8")
    with pytest.raises(UserError, match="is there already"):
        write_new("bill", "mine", tmp_path)


@pytest.mark.parametrize("name", ["Ask", "ask-why", "1st", "class", "test_it", "top_2", "_x", "a/b", ""])
def test_a_name_that_cannot_be_a_step_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be a step's name"):
        write_new("filter", name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"already, in .*filters/length.py"):
        write_new("filter", "length", tmp_path)


def test_a_bill_of_a_wrong_name_and_an_unknown_sort_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="letters, digits"):
        write_new("bill", "a b", tmp_path)
    with pytest.raises(UserError, match=r"did you mean generator\?"):
        write_new("generater", "x", tmp_path)


def test_a_folder_that_cannot_be_written_is_an_error_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "steps").write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be written"):
        write_new("filter", "few_words", tmp_path / "steps")
