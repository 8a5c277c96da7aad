"""From source to release, step by step: numbers add up, and the picture says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.waterfall import Fall, bar, falls_of
from mashbill.release_manifest import ReleaseManifest
from tests.flows.kept_root import Kept, kept_root
from tests.flows.test_look_diff import said


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return kept_root(tmp_path_factory.mktemp("kept"))


def test_each_step_loses_what_its_reasons_count(kept: Kept) -> None:
    (stream,) = ReleaseManifest.read(kept.release).streams.values()
    falls = falls_of(stream)
    assert [fall.step for fall in falls] == ["read_documents", "retell", "length", "released"]
    assert all(fall.tried == fall.kept + sum(fall.lost.values()) for fall in falls)
    assert [fall.tried for fall in falls] == [2, 6, 4, 2]
    assert [fall.made for fall in falls] == [False, True, False, False]


def test_the_command_prints_bars_and_draws_beside_the_card(kept: Kept) -> None:
    shown = said("waterfall", "small", "--root", str(kept.root)).stdout
    assert "retell              6     4  ████████████████████████▒▒▒▒▒▒▒▒▒▒▒▒  refusal 2" in shown
    picture = kept.release / "waterfall.svg"
    assert str(picture) in shown
    drawn = picture.read_text(encoding="utf-8")
    for wanted in ("small: from source to dataset", "4 of 6, from 2 read", "refusal 2", "length_too_few_words 2"):
        assert wanted in drawn


def test_another_place_and_kind_of_picture_is_taken_or_refused(kept: Kept, tmp_path: Path) -> None:
    said("waterfall", "small", "--to", str(tmp_path / "w.png"), "--root", str(kept.root))
    assert (tmp_path / "w.png").read_bytes().startswith(b"\x89PNG")
    refused = said("waterfall", "small", "--to", str(tmp_path / "w.gif"), "--root", str(kept.root), code=2)
    assert ".gif is no kind of picture" in refused.stderr


def test_without_matplotlib_the_table_is_still_printed(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.waterfall._can_draw", lambda: False)
    shown = said("waterfall", "small", "--root", str(kept.root)).stdout
    assert "released" in shown
    assert "pip install 'mashbill[plots]'" in shown


def test_a_bar_is_as_long_as_its_rows() -> None:
    assert bar(Fall("x", 0, 0, 0, {}), 10, 8) == ""
    assert bar(Fall("x", 10, 10, 0, {"a": 10}), 10, 8) == "▒" * 8
    assert bar(Fall("x", 10, 10, 10, {}), 10, 8) == "█" * 8
    assert len(bar(Fall("x", 9, 9, 4, {"a": 5}), 9, 8)) == 8
