"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

import filters.compiled  # noqa: F401  # here first: polars asks on threads of its own, which coverage cannot see
from mashbill.ledger import Ledger

# Two shared cores: a slow example is the machine's fault, and no test measures time.
settings.register_profile(
    "here", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "here"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: the workers' last files are then short ones, and none waits long for another."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)  # stable: within a file, and among files, the order stays


@pytest_asyncio.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """A ledger on disk, closed at the end."""
    opened = Ledger(tmp_path / "ledger.sqlite")
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output is as wide as in a pipe, whatever runs the tests: tables are not cut at somebody's terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def as_root() -> bool:
    """Whether permissions are not enforced, as for root."""
    return os.geteuid() == 0
