"""On Ray the same rows go as on one machine. Ray is an extra, and no part of `all`: without it this cannot be seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_ray_that_is_not_there_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"pip install 'mashbill\[ray\]'"):
        run(MinhashDedup(ray="local"), [[doc("a b c")]])


def test_an_index_is_not_held_against_on_ray(tmp_path: Path) -> None:
    step = MinhashDedup(ray="local", against=indexed(tmp_path / "i", [doc("a b c")]))
    with pytest.raises(BillError, match="both `ray` and `against`"):
        run(step, [[doc("a b c")]])
