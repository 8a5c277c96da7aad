from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import train

MODULES = sorted(file.stem for file in Path(train.__path__[0]).glob("*.py") if file.stem != "__init__")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name: str) -> None:
    module = importlib.import_module(f"train.{name}")
    namespace = vars(importlib.import_module("train.recipe")) | vars(module)
    assert doctest.testmod(module, extraglobs=namespace).failed == 0
