"""The documentation is what the program does: its code runs, its bills are valid, its commands and links exist."""

from __future__ import annotations

import dataclasses
import importlib
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from flows.cli import app
from flows.scaffold import write_new
from flows.star_section import read_star
from flows.training_section import read_evaluation, read_training
from mashbill.bill import TOP
from mashbill.read_bill import read_bill
from mashbill.registry import available
from mashbill.settings import Settings
from synth.response_prompts import DIMENSIONS
from tests.docs.pages import PAGES, ROOT, Block, anchors, blocks, field_tables, links, prose
from train.hardware import Hardware

RUN = [
    ROOT / "docs" / name
    for name in (
        "add-a-generator.md",
        "add-a-filter.md",
        "resume-and-trace.md",
        "supervised.md",
        "curriculum.md",
        "knowledge-graphs.md",
        "kg-tasks.md",
    )
]
"""Pages whose Python is run, block after block, in one folder."""
BILLS = [page for page in PAGES if any(block.file for block in blocks(page, "yaml"))]
QUESTION = '{"id": "q1", "kind": "short", "question": "Who founded the guild?", "answer": "Ora Venn"}\n'


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's working directory; steps loaded from it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MASHBILL_ROOT", "runs")
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("mashbill_steps_", "docs_page")):
            del sys.modules[name]


def write_files(page: Path, folder: Path) -> list[Block]:
    """Write every block that says which file it is."""
    files = [block for block in blocks(page) if block.file]
    for block in files:
        path = folder / str(block.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
    return files


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_the_code_of_a_page_runs_as_it_stands(page: Path, folder: Path) -> None:
    write_files(page, folder)
    # Dataclasses look their module up by name, so the blocks share a real one.
    module = types.ModuleType("docs_page")
    sys.modules["docs_page"] = module
    code = [block for block in blocks(page, "python") if not block.file]
    assert code, "a page that should show code shows none"
    for block in code:
        # Blank lines before it make a traceback name the line in the page.
        source = "\n" * block.line + block.text
        exec(compile(source, str(page), "exec"), module.__dict__)


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_the_steps_of_a_page_pass_ruff_and_their_own_tests(page: Path, folder: Path) -> None:
    files = [folder / str(block.file) for block in write_files(page, folder) if block.language == "python"]
    for file in files:
        checked = subprocess.run(
            [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F,W,B,UP,D2,D3,D4", "--ignore",
             "D203,D205,D212,D213,D400,D401,D404,D407,D413,D415", "--line-length", "120", str(file)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("page", BILLS, ids=name_of)
def test_the_bills_of_a_page_are_valid(page: Path, folder: Path) -> None:
    (folder / "questions.jsonl").write_text(QUESTION, encoding="utf-8")
    (folder / "validation.jsonl").write_text(QUESTION.replace("Who", "When"), encoding="utf-8")
    bills = [folder / str(block.file) for block in write_files(page, folder) if block.language == "yaml"]
    for path in bills:
        bill = read_bill(path)
        read_training(bill)
        read_evaluation(bill)
        read_star(bill)


def commands() -> list[tuple[str, str]]:
    """Every line that runs mashbill, of every page, with where it stands."""
    found = []
    for page in PAGES:
        for block in blocks(page, "console", "sh", "bash", ""):
            for line in block.text.replace("\\\n", " ").splitlines():
                said = line.strip().removeprefix("$ ")
                if said.startswith("mashbill "):
                    found.append((block.place, said.split(" #")[0].split(" > ")[0]))
    return found


@pytest.mark.parametrize(("place", "said"), commands())
def test_a_command_of_a_page_exists_and_takes_those_options(place: str, said: str) -> None:
    group: Any = get_command(app)
    words = shlex.split(said)[1:]
    context = group.make_context("mashbill", list(words), resilient_parsing=True)
    if words[0].startswith("-"):
        return
    command = group.get_command(context, words[0])
    assert command is not None, f"{place}: mashbill has no command {words[0]!r}"
    # Parsing alone: an unknown option, a missing argument or a wrong number raises here.
    command.make_context(words[0], words[1:])


NEW = [block for page in PAGES for block in blocks(page, "console") if block.text.startswith("$ mashbill new ")]


@pytest.mark.parametrize("block", NEW, ids=[block.place for block in NEW])
def test_what_mashbill_new_is_shown_to_say_is_what_it_says(block: Block, folder: Path) -> None:
    said, *shown = block.text.splitlines()
    done = CliRunner().invoke(app, shlex.split(said)[2:])
    assert done.output.splitlines() == shown


def test_the_bill_of_the_quickstart_is_the_one_that_mashbill_new_writes(folder: Path) -> None:
    write_new("bill", "demo", folder)
    written = yaml.safe_load((folder / "demo.yaml").read_text(encoding="utf-8"))
    (shown,) = (block for block in blocks(ROOT / "docs" / "quickstart.md", "yaml") if block.file == "demo.yaml")
    assert yaml.safe_load(shown.text) == {name: value for name, value in written.items() if name != "seed"}


def test_the_settings_file_of_the_page_of_the_bill_can_be_read(folder: Path) -> None:
    write_files(ROOT / "docs" / "bill.md", folder)
    environ: dict[str, str] = {}
    settings = Settings.load(environ, folder)
    assert settings.section("hardware").build(Hardware).micro_batch == 4
    assert environ == {"MASHBILL_ENGINE_URL": "http://127.0.0.1:8000/v1"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_command_named_in_a_sentence_exists(page: Path) -> None:
    group: Any = get_command(app)
    named = re.findall(r"`mashbill ([a-z]+)", prose(page))
    assert [name for name in named if name not in group.commands] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), f"{name_of(page)}: no {target}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{name_of(page)}: {name_of(target)} has no heading #{anchor}"


TABLES = [(page, name, rows) for page in PAGES for name, rows in field_tables(page).items()]


HIDDEN_PROMPTS: dict[str, set[str]] = {
    "synth.generators.compose_instruction.ComposeInstruction": {
        *("compose_system", "compose", "verify_system", "verify", "refine", "sampling", "verifying"),
    },
    "synth.generators.judge_instruction.JudgeInstruction": {"judge_system", "validity", "consistency", "sampling"},
    "synth.generators.pair_contexts.PairContexts": {"contexts_digest", "sampling"},
    "synth.generators.best_response.BestResponse": {"marking", "sampling", "judging"},
    "synth.response_candidates.Marking": {"judge_system", "constraints", *DIMENSIONS},
    "synth.generators.evolve_instruction.EvolveInstruction": {"evolve_system", "sampling", "judging"},
}
"""Prompts and samplings: a page says what they are for, and the code holds them."""


@pytest.mark.parametrize(("page", "name", "rows"), TABLES, ids=[name for _, name, _ in TABLES])
def test_a_table_of_fields_has_every_field_and_its_default(page: Path, name: str, rows: dict[str, str]) -> None:
    module, _, cls = name.rpartition(".")
    fields = dataclasses.fields(getattr(importlib.import_module(module), cls))
    shown = {field.name: field for field in fields if field.name in rows}
    hidden: dict[str, set[str]] = {
        "train.plan.PlanSpec": {"shares", "replay", "replay_share"},
        "flows.loop_spec.LoopSpec": {"rewards"},
        "synth.generators.constraint_search.ConstraintSearch": {"decompose", "seeds_digest"},
        **HIDDEN_PROMPTS,
    }
    assert set(rows) == {field.name for field in fields} - hidden.get(name, set())
    for field_name, field in shown.items():
        assert default_of(rows[field_name]) == plain_default(field), f"{name_of(page)}: {name}.{field_name}"


def default_of(cell: str) -> Any:
    """What a cell says: ``required``, ``none``, or a value as YAML in backquotes."""
    if cell in ("required", "none"):
        return cell
    text = cell.strip("`")
    return text.replace("\\n", "\n") if "\\n" in text else yaml.safe_load(text)


def plain_default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return "none" if not field.default_factory() else field.default_factory()
    if field.default is dataclasses.MISSING:
        return "required"
    if isinstance(field.default, tuple):
        return list(field.default) or "none"
    return "none" if field.default in (None, "", ()) else field.default


def test_the_page_of_the_bill_names_every_top_level_field() -> None:
    text = (ROOT / "docs" / "bill.md").read_text(encoding="utf-8")
    assert [name for name in TOP if f"| `{name}` |" not in text] == []


def test_the_page_of_the_architecture_names_every_module_of_the_kernel() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = [path.name for path in (ROOT / "mashbill").glob("*.py") if path.name != "__init__.py"]
    assert [name for name in modules if f"`{name}`" not in text] == []


def test_the_readme_names_every_step_and_engine() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    known = [*available("step"), *available("engine")]
    assert [name for name in known if f"`{name}`" not in text] == []


def test_the_examples_are_valid_bills() -> None:
    bills = sorted(path for path in (ROOT / "examples").rglob("*.yaml") if path.name != "prefect.yaml")
    assert bills
    for path in bills:
        bill = read_bill(path)
        assert (read_training(bill) is not None) == ("train" in bill.whole)
        assert (read_evaluation(bill) is not None) == ("evaluate" in bill.whole)
