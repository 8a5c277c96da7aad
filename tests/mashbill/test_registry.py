"""Steps are found by file: nothing skipped, nothing claimed twice, and a misspelt name is answered."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mashbill import registry
from mashbill.errors import RegistryError
from mashbill.fingerprint import step_identity
from mashbill.registry import available, find, load, nearest
from mashbill.sources.read_documents import ReadDocuments

SHOUT = '''
from dataclasses import dataclass
from mashbill.records import Document
from mashbill.step import Generator

@dataclass(frozen=True, kw_only=True)
class Shout(Generator[Document, Document]):
    """Says it louder,
    much louder.

    More about it.
    """
'''


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith("mashbill_steps_")]:
        del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shout.py").write_text(SHOUT)
    return tmp_path


def test_a_step_of_the_users_own_is_found_without_an_import_and_loaded_once(folder: Path) -> None:
    found = find("step", "shout", [folder])
    assert (found.role, found.summary, found.class_name) == ("generator", "Says it louder, much louder.", "Shout")
    assert found.module not in sys.modules
    cls = load("step", "shout", [folder])
    assert cls.name == "shout"
    assert load("step", "shout", [folder]) is cls


def test_a_step_of_the_users_own_is_known_by_the_bytes_of_its_file(folder: Path) -> None:
    first = load("step", "shout", [folder])
    assert step_identity(first())["source"] == hashlib.sha256(SHOUT.encode()).hexdigest()
    # As long as the first, in the same second: a compiled file would still be taken for it.
    (folder / "shout.py").write_text(SHOUT.replace("much louder", "more softly"))
    edited = load("step", "shout", [folder])
    assert "more softly" in edited.__doc__
    assert step_identity(edited()) != step_identity(first())
    assert "source" not in step_identity(ReadDocuments(path="corpus"))
    assert list(folder.glob("__pycache__")) == []


def test_a_file_of_the_same_name_in_another_folder_is_another_step(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "shout.py").write_text(SHOUT.replace("louder", "LOUDER"))
    loaded = []
    for place in (folder, other, folder):
        monkeypatch.chdir(place)  # two projects that both say `steps: [steps]` from where they stand
        loaded.append(load("step", "shout", [Path()]))
    assert ["LOUDER" in cls.__doc__ for cls in loaded] == [False, True, False]
    first, second, third = (step_identity(cls()) for cls in loaded)
    assert first == third != second


def test_a_class_that_a_step_file_imports_keeps_its_own_identity(folder: Path) -> None:
    (folder / "shout.py").write_text(f"{SHOUT}\nfrom mashbill.sources.read_documents import ReadDocuments\n")
    load("step", "shout", [folder])
    assert "source" not in step_identity(ReadDocuments(path="corpus"))


def test_the_packages_own_steps_are_found() -> None:
    assert load("step", "read_documents") is ReadDocuments
    assert available("step")["read_documents"].role == "source"
    assert all(one.path.stem == name for name, one in available("engine").items())
    assert available("engine")
    assert {one.role for one in available("engine").values()} == {"engine"}


def test_a_misspelt_name_is_answered_with_the_nearest_and_the_list(folder: Path) -> None:
    with pytest.raises(
        RegistryError, match=r"no step is called 'shuot' \(did you mean shout( or \w+)?\?\); there are: .*shout"
    ):
        find("step", "shuot", [folder])
    assert nearest("zzz", ["shout"]) == ""


def test_two_files_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "shout.py").write_text(SHOUT)
    with pytest.raises(RegistryError, match=r"two files claim the step 'shout': .*shout\.py and .*other/shout\.py"):
        available("step", [folder, other])
    (folder / "read_documents.py").write_text("class ReadDocuments(Source): ...\n")
    with pytest.raises(RegistryError, match="two files claim the step 'read_documents'"):
        available("step", [folder])


def test_helpers_and_hidden_files_are_no_steps(folder: Path) -> None:
    (folder / "_hidden.py").write_text("class Hidden(Generator): ...\n")
    (folder / "helper.py").write_text("def help(): ...\nclass Other(Generator): ...\n")
    (folder / "bare.py").write_text("class Bare: ...\n")
    mine = {name for name, one in available("step", [folder]).items() if one.path.parent == folder}
    assert mine == {"shout"}


def test_a_syntax_error_is_named_with_its_line(folder: Path) -> None:
    (folder / "torn.py").write_text("x = 1\nclass Torn(:\n")
    with pytest.raises(RegistryError, match=r"torn\.py:2: cannot be read as Python"):
        available("step", [folder])


@pytest.mark.parametrize("raw", [b"# caf\xe9\n", b"x = 1\0\n"])
def test_a_file_that_is_no_text_is_named(folder: Path, raw: bytes) -> None:
    (folder / "torn.py").write_bytes(raw)
    with pytest.raises(RegistryError, match=r"torn\.py:?\d*: cannot be read as Python"):
        available("step", [folder])


def test_a_broken_import_is_raised_each_time_and_mended_by_mending_the_file(folder: Path) -> None:
    (folder / "shout.py").write_text("import no_such_module_anywhere\n" + SHOUT)
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
            load("step", "shout", [folder])
    (folder / "shout.py").write_text(SHOUT)
    assert load("step", "shout", [folder]).name == "shout"


def test_a_class_that_is_no_step_is_refused_when_it_is_loaded(folder: Path) -> None:
    (folder / "shout.py").write_text("class Shout(dict): ...\n")
    with pytest.raises(RegistryError, match="Shout is not a Generator, Filter, DatasetStep, DatasetGenerator or"):
        load("step", "shout", [folder])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="nowhere: no such folder of steps; mend `steps` in the bill"):
        available("step", [tmp_path / "nowhere"])


def test_a_missing_package_is_an_installation_that_is_not_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.PACKAGES, "step", ("mashbill.nowhere",))
    with pytest.raises(RegistryError, match=r"mashbill\.nowhere is missing: the installation is not whole"):
        available("step")
