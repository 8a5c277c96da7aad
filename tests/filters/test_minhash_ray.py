"""On Ray the same rows go as on one machine. Ray is an extra, and no part of `all`: without it this cannot be seen."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from filters.minhash_dedup import MinhashDedup
from mashbill.errors import BillError, SettingsError
from tests.filters.support import doc, run
from tests.filters.test_earlier import indexed
from tests.filters.test_minhash_dedup import families
from tests.support.kernel import store

COMPARE = """
import sys
from pathlib import Path
from filters.minhash_dedup import MinhashDedup
from mashbill.store import Stored

stored = Stored.open(Path(sys.argv[1]))
here, there = (MinhashDedup(score="q", ray=ray).removals(stored) for ray in ("", "local"))
order = ["part", "row"]
assert here.removed.sort(order).equals(there.removed.sort(order)), (here.removed, there.removed)
assert here.noted == there.noted, (here.noted, there.noted)
print(len(here.removed))
"""


@pytest.mark.slow
def test_the_same_rows_go_as_on_one_machine(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'mashbill[ray]'")
    rows = [row for seed in range(4) for row in families(seed)]
    place = store(tmp_path, rows, part_rows=9).path
    done = subprocess.run(
        [sys.executable, "-c", COMPARE, str(place)], check=False, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 0


class AtOnce:
    """Ray's interface with every task done at once: what is done is tested, where it is done is not."""

    def __init__(self, started: bool) -> None:
        self.started = started
        self.calls: list[str] = []

    def is_initialized(self) -> bool:
        return self.started

    def init(self, address: str | None, **_: Any) -> None:
        self.calls.append(f"init {address}")
        if address == "nowhere":
            raise ConnectionError("no route")

    def shutdown(self) -> None:
        self.calls.append("shutdown")

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def get(self, values: list[Any]) -> list[Any]:
        return list(values)

    def remote(self, function: Any = None, num_returns: int = 1) -> Any:
        if function is None:
            return lambda given: self.remote(given, num_returns)
        return SimpleNamespace(remote=lambda *values: function(*pickle.loads(pickle.dumps(values))))


@pytest.mark.parametrize("seed", range(6))
def test_what_is_done_on_ray_is_what_is_done_here(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = AtOnce(started=seed % 2 == 1)
    monkeypatch.setitem(sys.modules, "ray", ray)
    rows = [row for more in range(3) for row in families(seed + 10 * more)]
    parts = [rows[at : at + 7] for at in range(0, len(rows), 7)]
    here, there = (run(MinhashDedup(score="q", ray=address), parts) for address in ("", "local"))
    assert here == there
    # A cluster that was there before is left as it was.
    assert ray.calls == ([] if ray.started else ["init None", "shutdown"])
    assert run(MinhashDedup(ray="local"), []) == ([], [])


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", AtOnce(started=False))
    with pytest.raises(SettingsError, match=r"no Ray cluster at 'nowhere' \(no route\)"):
        run(MinhashDedup(ray="nowhere"), [[doc("a b c")]])


def test_ray_that_is_not_there_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"pip install 'mashbill\[ray\]'"):
        run(MinhashDedup(ray="local"), [[doc("a b c")]])


def test_an_index_is_not_held_against_on_ray(tmp_path: Path) -> None:
    step = MinhashDedup(ray="local", against=indexed(tmp_path / "i", [doc("a b c")]))
    with pytest.raises(BillError, match="both `ray` and `against`"):
        run(step, [[doc("a b c")]])
