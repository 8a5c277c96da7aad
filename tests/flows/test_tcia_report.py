from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.tcia_report import arms_of, tcia_report
from mashbill.errors import InputError, StoreError
from mashbill.records import Document
from mashbill.release import ReleasePlan, publish
from mashbill.store import Stored
from synth.generators.best_response import BestResponse
from synth.generators.compose_instruction import ComposeInstruction
from synth.generators.evolve_instruction import EvolveInstruction
from synth.generators.fixed_instruction import FixedInstruction
from synth.generators.on_task import OnTask
from synth.generators.pair_contexts import PairContexts
from tests.support.kernel import store
from tests.synth.hop_rows import task
from tests.synth.rationale_helpers import Script
from tests.synth.tcia_run import run_chain
from tests.synth.tcia_teacher import BULLETS, FRENCH, PLACE, TONE, checks, searched, spoilt

SETS = [(PLACE, BULLETS), (PLACE, TONE), (PLACE, BULLETS, TONE), (PLACE, FRENCH)]
SEED = searched(PLACE, TONE, hop=0, text="Write the minutes.\n{transcript}")


def drifting() -> Script:
    def on_task(request: object) -> str:
        word = "no" if "Weigh risk" in str(request) else "yes"
        return json.dumps({"reason": "So.", "verdict": word})

    def verify(request: object) -> str:
        return checks({1: "yes", 2: "no"}) if "French" in str(request) else checks({1: "yes", 2: "yes", 3: "yes"})

    return spoilt(on_task=on_task, verify=verify)


async def arms(root: Path) -> dict[str, str]:
    """Three arms as a bill would store them, by name, the last step of each."""
    contexts = root / "contexts.jsonl"
    contexts.write_text(
        '{"transcript": "Ora: two pans leak."}\n{"transcript": "Venn: oil is low."}\n', encoding="utf-8"
    )
    pair, respond = PairContexts(contexts=str(contexts), each=2), BestResponse(code_decides=False)
    rows = [searched(*own, hop=1 + number % 2, number=number) for number, own in enumerate(SETS * 3)]
    tcia = await run_chain(root, [ComposeInstruction(), OnTask(), pair, respond], rows, drifting())
    evolved = await run_chain(root, [EvolveInstruction(hops=2, chains=3), OnTask()], [SEED], drifting())
    fixed = await run_chain(root, [FixedInstruction(count=4), OnTask()], [SEED], drifting())
    return {name: f"{one.path}" for name, one in {"tcia": tcia, "evolved": evolved, "fixed": fixed}.items()}


async def test_the_report_has_both_properties_by_hop_and_what_each_step_kept(tmp_path: Path) -> None:
    named = [f"{name}={path}" for name, path in (await arms(tmp_path)).items()]
    said = tcia_report(named, tmp_path, out=tmp_path / "report")
    assert (tmp_path / "report/report.md").read_text(encoding="utf-8") == said
    assert (tmp_path / "report/report.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((tmp_path / "report/report.json").read_bytes())
    by_hop = {(one["arm"], one["hop"]): one for one in found["hops"]}
    assert by_hop["fixed", 0]["diversity"] == pytest.approx(0, abs=1e-6)
    assert by_hop["evolved", 1]["on_task_judge"] == 0.0
    assert by_hop["tcia", 1]["on_task_judge"] == by_hop["tcia", 2]["on_task_judge"] == 1.0
    assert by_hop["tcia", 2]["rows"] == by_hop["evolved", 2]["rows"] == 3, "at equal count"
    compose, on_task, pair, respond = found["yields"]["tcia"][1:]
    assert (compose["read"], compose["kept"], compose["rejected"]) == (12, 9, {"constraint_not_stated": 3})
    assert (on_task["kept"], pair["kept"], respond["kept"]) == (9, 18, 18)
    assert found["notes"]["tcia"]["best_response"]["wins"]["main"]["won"] == 18
    assert found["notes"]["tcia"]["compose_instruction"]["judge_errors"]["checked"] == 21
    assert "| tcia | compose_instruction | 2 | 3 | 3 | constraint_not_stated 3 |" in said
    assert "{transcript}" not in said


async def test_arms_are_steps_of_instructions_with_names_of_their_own(tmp_path: Path) -> None:
    paths = await arms(tmp_path)
    assert [arm.name for arm in arms_of([paths["fixed"], f"other={paths['fixed']}"], tmp_path)][1] == "other"
    with pytest.raises(StoreError, match="two arms are called 'a'"):
        arms_of([f"a={paths['fixed']}", f"a={paths['tcia']}"], tmp_path)
    with pytest.raises(StoreError, match="its rows are Document"):
        arms_of([str(store(tmp_path / "docs", [Document.new(text="Salt.")]).path)], tmp_path)
    bare = store(tmp_path / "bare", [searched(TONE)])
    with pytest.raises(InputError, match="none of a has an instruction with a text"):
        tcia_report([f"a={bare.path}"], tmp_path, out=tmp_path / "report")


async def test_the_streams_of_a_release_are_arms(tmp_path: Path) -> None:
    last = Stored.open(Path((await arms(tmp_path))["tcia"]))
    plan = ReleasePlan(
        name="minutes",
        version="1",
        description="",
        license="CC0-1.0",
        language="en",
        seed=1,
        shares={"made": 1.0},
        splits={},
    )
    released = publish(plan, {"made": last}, tmp_path)
    (arm,) = arms_of([str(released)], tmp_path)
    assert (arm.name, arm.steps[-1].path) == ("made", last.path)
    assert [one.manifest.step for one in arm.steps][1:] == [
        "compose_instruction",
        "on_task",
        "pair_contexts",
        "best_response",
    ]
    assert arm.measured.manifest.step == "on_task", "what is measured has no input in its text"


def test_the_command_prints_what_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asyncio.run(arms(tmp_path))
    database = store(tmp_path, [task("minutes", "Write the minutes of the meeting."), task("poems", "Write a poem.")])
    named = ["fixed=fixed_instruction", "tcia=compose_instruction", "--database", str(database.path), "--root", "."]
    result = CliRunner().invoke(app, ["tcia", "report", *named])
    assert result.exit_code == 0, result.output
    assert result.stdout == (tmp_path / "tcia-report/report.md").read_text(encoding="utf-8")
    assert "with hashed_ngrams; equal count at each hop. On task by centroid" in result.stdout
    wrong = CliRunner().invoke(app, ["tcia", "report", *named, "--embedder", "minilm"])
    assert wrong.exit_code == 2
    assert "--embedder is minilm, but the database's vectors are of hashed_ngrams" in wrong.output
