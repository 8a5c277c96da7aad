"""Bills with a `curriculum`: what they become, what is wrong named with file and line, and the plans of their arms."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from flows.arms import arm_streams, plan_arm, report_identity
from flows.editor_schema import bill_schema
from flows.kitchen import Kitchen
from flows.run_bill import kitchen_for
from flows.training_section import read_training
from mashbill.errors import BillError
from mashbill.progress import Silent
from mashbill.read_bill import read_bill
from mashbill.settings import Settings
from tests.flows.fake_kitchen import TEACHER
from train.curriculum import Curriculum
from train.plan_manifest import PlanManifest

STEP = '''\
"""Texts in lessons, and a score of each, of a document without a model."""
from dataclasses import dataclass
from mashbill.records import Document, Score
from mashbill.step import Generator

@dataclass(frozen=True, kw_only=True)
class MakeLessons(Generator[Document, Document]):
    """Makes three texts, the second without a score."""
    async def make(self, record, ask):
        return [
            record.child(Document, kind=f"lesson_{at}", text=f"{record.text} {at}",
                         scores=() if at == 2 else (Score(name="level", value=float(at)),))
            for at in (1, 2, 3)
        ]
'''
HEAD = """\
name: a
steps: [steps]
engine: {scripted_teacher: {}}
sources:
  texts: {read_documents: {path: corpus}}
  web: {read_documents: {path: web}}
streams:
  lessons: {from: texts, generate: [make_lessons]}
  raw: {from: texts}
student: {scratch: {layers: 1, width: 16, heads: 2}}
train:
  tokens: 6144
  sequence_length: 64
  batch: 4
  replay: {from: web, share: 0.25}
  arms: {lessons: {lessons: 1}, both: {lessons: 1, raw: 1}}
"""


def bill_of(folder: Path, text: str) -> Path:
    (folder / "steps").mkdir(parents=True)
    (folder / "steps" / "make_lessons.py").write_text(STEP, encoding="utf-8")
    (folder / "steps" / "scripted_teacher.py").write_text(TEACHER, encoding="utf-8")
    for name in ("corpus", "web"):
        (folder / name).mkdir()
        rows = [{"title": f"{name} {at}", "text": f"Of {name} and salt, {at} barrels."} for at in range(8)]
        (folder / name / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    path = folder / "a.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def curriculum_of(folder: Path, text: str) -> Curriculum | None:
    training = read_training(read_bill(bill_of(folder, text)))
    assert training is not None
    (curriculum,) = {plan.curriculum for plan in training.plans.values()}
    return curriculum


def test_a_curriculum_is_every_arms(tmp_path: Path) -> None:
    assert curriculum_of(tmp_path / "none", "") is None
    said = "  curriculum: {by: kind, values: [lesson_1, lesson_2], mode: stages, passes: [1, 2, 1]}\n"
    assert curriculum_of(tmp_path / "said", said) == Curriculum(
        by="kind", values=("lesson_1", "lesson_2"), mode="stages", passes=(1.0, 2.0, 1.0)
    )


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("  curriculum:\n    by: knd\n", 18, "train.curriculum.by: stream lessons: Document has no 'knd' to order by"),
        ("  curriculum:\n    by: knd\n", 18, "did you mean kind?"),
        ("  curriculum:\n    mode: order\n    by: kind\n", 19, "say in which order its `values` come"),
        ("  curriculum: {by: hops}\n", 17, "Document has no 'hops'"),
        ("  curriculum: {mode: order}\n", 17, "needs the field 'by'"),
        ("  curriculum:\n    by: scores.level\n    ordr: descending\n", 19, "did you mean order?"),
        ("  curriculum:\n    by: scores.level\n    mode: stage\n", 19, "'order' or 'stages'"),
        (
            "  curriculum:\n    by: scores.level\n    cumulative: true\n",
            17,
            "cumulative means something in mode: stages",
        ),
        ("  curriculum: scores.level\n", 17, "must be a mapping"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(text: str, line: int, said: str, tmp_path: Path) -> None:
    path = bill_of(tmp_path, text)
    with pytest.raises(BillError) as caught:
        read_training(read_bill(path))
    assert said in str(caught.value)
    assert (caught.value.path, caught.value.line) == (path, line)


def test_an_editor_knows_the_fields() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = bill_schema()
    validator = jsonschema.Draft202012Validator(schema)

    def fits(curriculum: object) -> bool:
        made = yaml.safe_load(HEAD)
        del made["steps"], made["engine"], made["streams"]["lessons"]
        made["train"] |= {"arms": {"a": {"raw": 1}}, "curriculum": curriculum}
        return bool(validator.is_valid(made))

    assert fits({"by": "kind", "values": ["lesson_1"], "mode": "stages", "cumulative": True, "passes": [1]})
    assert not fits({"by": "kind", "mode": "steps"})
    assert not fits({"order": "ascending"})
    assert not fits({"by": "kind", "step": 1})
    known = schema["properties"]["train"]["properties"]["curriculum"]["properties"]
    assert known["mode"]["default"] == "order"
    assert "scores.NAME" in known["by"]["description"]


def planned(folder: Path, text: str, arm: str = "lessons") -> tuple[Path, dict[str, object]]:
    """The plan of an arm, and what decides the report."""
    path = bill_of(folder, text)

    async def inside() -> tuple[Path, dict[str, object]]:
        settings = Settings(root=folder / "runs", tables={"hardware": {"device": "cpu"}})
        async with kitchen_for(path, settings, Silent()) as kitchen:
            return await _planned(kitchen, arm)

    return asyncio.run(inside())


async def _planned(kitchen: Kitchen, arm: str) -> tuple[Path, dict[str, object]]:
    release, training = await kitchen.release(), read_training(kitchen.bill)
    assert training is not None
    streams = await arm_streams(kitchen, training)
    identity = report_identity(kitchen, release, training, None, streams)
    return await plan_arm(kitchen, release, training, arm), identity


def test_lessons_follow_each_other_with_replay_among_all_of_them(tmp_path: Path) -> None:
    folder, _ = planned(tmp_path, "  curriculum: {by: kind, values: [lesson_1, lesson_2], mode: stages}\n")
    manifest = PlanManifest.read(folder)
    assert manifest.curriculum is not None
    stages = manifest.curriculum.stages
    assert [(stage.value, stage.records) for stage in stages] == [("lesson_1", 8), ("lesson_2", 8), (None, 8)]
    assert manifest.curriculum.without_value == {"lessons": 8}
    assert manifest.tokens == 6144
    seen: list[set[Any]] = []
    for stage in stages:
        mine = pl.read_parquet(folder / "plan.parquet").filter(
            pl.col("step").is_between(stage.first_step, stage.first_step + stage.steps - 1)
        )
        rows = mine.explode("segments").unnest("segments")
        assert set(rows["stream"]) == {"lessons", "web"}
        seen.append(set(rows.filter(stream="lessons")["record_id"]))
    assert [len(mine) for mine in seen] == [8, 8, 8]
    assert not seen[0] & seen[1] | seen[1] & seen[2] | seen[0] & seen[2]


def test_scores_order_an_arm_whose_other_stream_has_none(tmp_path: Path) -> None:
    folder, _ = planned(tmp_path, "  curriculum: {by: scores.level, order: descending}\n", arm="both")
    manifest = PlanManifest.read(folder)
    assert manifest.curriculum is not None
    assert manifest.curriculum.rows_by_value == [(3.0, 8), (1.0, 8), (None, 16)]
    assert manifest.curriculum.without_value == {"lessons": 8, "raw": 8}


def test_another_curriculum_is_another_plan_and_report_and_the_same_rows(tmp_path: Path) -> None:
    made = [
        planned(tmp_path / str(number), text)
        for number, text in enumerate(
            [
                "",
                "  curriculum: {by: scores.level}\n",
                "  curriculum: {by: scores.level, order: descending}\n",
            ]
        )
    ]
    assert len({folder.name for folder, _ in made}) == 3
    assert len({str(identity["plans"]) for _, identity in made}) == 3
    first, *others = ({**identity, "plans": None} for _, identity in made)
    assert all(other == first for other in others)
    digests = {PlanManifest.read(folder).streams["lessons"].digest for folder, _ in made}
    assert len(digests) == 1
