"""Our top-level package names are plain words: nothing else installed may claim one of them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = sorted(
    {
        name.split(".")[0]
        for name in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
            "packages"
        ]
    }
)


@pytest.mark.parametrize("name", OURS)
def test_a_package_of_ours_is_imported_from_this_tree(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).is_relative_to(ROOT)


@pytest.mark.parametrize("name", OURS)
def test_no_other_distribution_claims_a_package_of_ours(name: str) -> None:
    claimed = importlib.metadata.packages_distributions().get(name, [])
    assert set(claimed) <= {"mashbill"}


def test_every_package_folder_is_listed_for_installation() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    found = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for name in OURS
        for path in (ROOT / name).rglob("__init__.py")
    }
    assert found == set(listed)
