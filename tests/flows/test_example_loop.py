"""The example of a closed loop, run whole with a teacher by rule and a student of thousands of weights."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import torch
import yaml

from flows.loop import run_loop
from flows.run_bill import checked_bill, kitchen_for
from mashbill.progress import Silent
from mashbill.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "examples" / "loop" / "bill.yaml"
RULE = '''
"""A teacher that writes a text of words drawn by the request's seed."""

import random
import re
from dataclasses import dataclass

from mashbill.engine import Reply

WORDS = "salt lamp tower sheep brine keeper wool blue clay oil storm gate mason copper winter coast".split()


@dataclass(kw_only=True)
class ByRule:
    """Answers by rule."""

    batch = 8
    calls = 1

    @property
    def identity(self):
        """Always the same."""
        return "scripted/rule"

    async def start(self):
        """Nothing to start."""

    async def close(self):
        """Nothing to close."""

    async def complete(self, requests):
        """One reply each."""
        for index, request in enumerate(requests):
            draw = random.Random(request.seed)
            lines = [" ".join(draw.choices(WORDS, k=9)).capitalize() + "." for _ in range(5)]
            title = re.findall('Rewrite "(.*?)"', request.messages[-1].content)[0]
            text = f"This is about {title}. " + " ".join(lines)
            yield index, Reply(text=text, finish_reason="stop", prompt_tokens=90, completion_tokens=50)
'''


def test_the_example_closes_its_loop(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    checked_bill(EXAMPLE, Settings())
    folder = tmp_path / "examples" / "loop"
    (folder / "steps").mkdir(parents=True)
    (folder / "steps" / "by_rule.py").write_text(RULE, encoding="utf-8")
    (tmp_path / "examples" / "tolvarey-small").symlink_to(EXAMPLE.parents[1] / "tolvarey-small")
    for name in ("validation", "test"):
        (folder / f"{name}.jsonl").write_bytes((EXAMPLE.parent / f"{name}.jsonl").read_bytes())
    bill: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    student = {"scratch": {"layers": 1, "width": 16, "heads": 2}, "tokenizer": "bytes"}
    bill |= {"steps": "steps", "engine": {"by_rule": {}}, "student": student}
    bill["loop"]["tokens"] = 6_000  # of bytes: a row has some 350
    bill["loop"]["train"] |= {"tokens": 2_048, "batch": 2, "learning_rate": 1.0e-2}
    (folder / "bill.yaml").write_text(yaml.safe_dump(bill, sort_keys=False), encoding="utf-8")
    report, root = asyncio.run(looped(folder / "bill.yaml", tmp_path / "runs"))

    rounds = report["runs"]["loop-small"]["rounds"]
    assert [one["round"] for one in rounds] == [0, 1, 2]
    titles = {"The Light on Quennit", "The Moorcurl Sheep", "The Salt Pans of Tam Lerris"}
    for one in rounds[1:]:
        assert all(set(own) == titles for own in one["allocation"]["wanted"].values())
        assert 4_800 < one["new_tokens"] <= 6_000
        assert set(one["made"]) == {"easy", "scholarly"}
        assert set(one["made"]["easy"]["groups"]) <= titles
    assert report["test"]["loop-small"]["questions"] == 15
    assert len(list(root.glob("releases/loop-small-round-*/*/README.md"))) == 2


async def looped(bill: Path, root: Path) -> tuple[dict[str, Any], Path]:
    async with kitchen_for(bill, Settings(root=root, tables={"hardware": {"device": "cpu"}}), Silent()) as kitchen:
        outcome = await run_loop(kitchen)
    assert outcome.report is not None
    return dict(json.loads((outcome.report / "loop.json").read_bytes())), root
