"""Bills with a `target`: what they become, every wrong field named with file and line, and one run to the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import yaml

from flows.editor_schema import bill_schema
from flows.run_bill import run_bill
from flows.training_section import Training, read_training
from mashbill.errors import BillError
from mashbill.progress import Silent
from mashbill.read_bill import read_bill
from mashbill.settings import Settings
from tests.flows.fake_kitchen import Project, project
from train.plan_manifest import PlanManifest
from train.recipe import Lora
from train.supervision import Supervision, read_supervision

STEPS = '''\
"""Questions and rationales about a document, of its first words."""
from dataclasses import dataclass
from mashbill.records import QA, Document, Rationale, Triple
from mashbill.step import Generator

@dataclass(frozen=True, kw_only=True)
class {name}(Generator[Document, {kind}]):
    """Makes rows without a model."""
    async def make(self, record, ask):
        words = record.text.split()
        return [record.child({kind}, {fields}) for at in range(3)]
'''
FIELDS = {
    "QA": 'question=f"Word {at}?", answer=words[at]',
    "Rationale": 'question="Which word?", rationale=" ".join(words[:at + 2]), answer=words[at], draw=at',
    "Triple": 'head="a", relation="b", tail=words[at]',
}
HEAD = """\
name: a
steps: [steps]
sources: {almanac: {read_documents: {path: corpus}}}
release: {streams: {raw: 1}}
engine: {scripted_teacher: {}}
streams:
  raw: {from: almanac}
  asked: {from: almanac, generate: [make_qa]}
  worked: {from: almanac, generate: [make_rationale]}
  graph: {from: almanac, generate: [make_triple]}
student: {scratch: {layers: 1, width: 16, heads: 2}}
"""
TRAIN = "train:\n  tokens: 4096\n"


def steps(folder: Path) -> None:
    for kind, fields in FIELDS.items():
        text = STEPS.replace("{name}", f"Make{kind}").replace("{kind}", kind).replace("{fields}", fields)
        name = f"make_{kind.lower()}.py"
        (folder / "steps" / name).write_text(text.replace("MakeQA", "MakeQa"), encoding="utf-8")


def bill_of(folder: Path, text: str) -> Path:
    project(folder)
    steps(folder)
    path = folder / "a.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def training_of(folder: Path, text: str) -> Training:
    training = read_training(read_bill(bill_of(folder, text)))
    assert training is not None
    return training


def test_a_target_makes_arms_of_questions_and_rationales(tmp_path: Path) -> None:
    more = (
        "  arms: {both: {asked: 1, worked: 2}}\n  target: answer_only\n  template: plain\n  lora: {r: 8, alpha: 128}\n"
    )
    training = training_of(tmp_path, TRAIN + more)
    assert training.supervision == Supervision(target="answer_only", template="plain")
    assert training.lora == Lora(r=8, alpha=128)
    assert {name: kind.__name__ for name, kind in training.kinds.items()} == {"asked": "QA", "worked": "Rationale"}


def test_without_a_target_nothing_is_supervised(tmp_path: Path) -> None:
    training = training_of(tmp_path, f"{TRAIN}  arms: {{raw: {{raw: 1}}}}\n")
    assert (training.supervision, training.lora) == (None, None)


PLAIN = "  template: plain\n"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("  arms: {a: {raw: 1}}\n  target: answer_only\n" + PLAIN, 14, "rows are Document, whole texts, and target"),
        ("  arms:\n    a:\n      graph: 1\n  target: full_cot\n" + PLAIN, 16, "Triple, which target full_cot cannot"),
        ("  arms:\n    a:\n      asked: 1\n", 16, "rows are QA, which have a question and an answer; say `target`"),
        ("  arms: {a: {graph: 1}}\n", 14, "rows are Triple and have no text"),
        ("  arms: {a: {raw: 1}}\n  alpha: 0.5\n", 15, "say `target` too"),
        ("  arms: {a: {asked: 1}}\n  target: answer_only\n  alpha: 0.5\n" + PLAIN, 16, "under target multitask alone"),
        ("  arms: {a: {asked: 1}}\n  target: multitask\n  answer_lead: x\n" + PLAIN, 16, "target full_cot alone"),
        ("  arms: {a: {asked: 1}}\n  target: multitask\n  alpha: 1\n" + PLAIN, 12, "alpha is 1"),
        ("  arms: {a: {asked: 1}}\n  target: answers\n" + PLAIN, 15, "'answer_only', 'multitask' or 'full_cot'"),
        ("  arms: {a: {asked: 1}}\n  target: answer_only\n", 15, "the student scratch has no chat template"),
        ("  arms: {a: {asked: 1}}\n  target: answer_only\n  template: chat\n", 16, "say `template: plain`"),
        ("  arms: {a: {asked: 1}}\n  target: answer_only\n  render: {}\n" + PLAIN, 16, "says how whole texts"),
        (
            "  arms: {a: {asked: 1}}\n  target: answer_only\n  per_question: each\n" + PLAIN,
            16,
            "'balanced' or 'natural'",
        ),
        ("  arms: {a: {asked: 1}}\n  target: answer_only\n  max_length: 1\n" + PLAIN, 12, "max_length is 1"),
        ("  arms: {a: {asked: 1}}\n  targt: answer_only\n", 15, "did you mean target"),
        (
            "  arms: {a: {asked: 1}}\n  target: answer_only\n  replay: {from: raw, share: 0.1}\n" + PLAIN,
            16,
            "train.replay.from: its rows are Document",
        ),
        ("  arms: {a: {raw: 1}}\n  lora: {rank: 8}\n", 15, "unknown field"),
        ("  arms: {a: {raw: 1}}\n  lora: {r: 0}\n", 15, "lora: r is 0"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(text: str, line: int, said: str, tmp_path: Path) -> None:
    path = bill_of(tmp_path, TRAIN + text)
    with pytest.raises(BillError) as caught:
        read_training(read_bill(path))
    assert said in str(caught.value)
    assert (caught.value.path, caught.value.line) == (path, line)


def test_an_editor_knows_the_fields() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = bill_schema()
    validator = jsonschema.Draft202012Validator(schema)

    def fits(**train: Any) -> bool:
        made = yaml.safe_load(HEAD.replace("steps: [steps]\n", "").replace("scripted_teacher", "openai"))
        made["streams"] = {"raw": {"from": "almanac"}}
        made["engine"] = {"openai": {"model": "m"}}
        made["train"] = {"tokens": 1, "arms": {"a": {"raw": 1}}, **train}
        return bool(validator.is_valid(made))

    assert fits(target="multitask", alpha=0.3, template="plain", lora={"r": 8, "targets": ["q_proj"]})
    assert not fits(target="everything")
    assert not fits(alpha=0.3), "without a target"
    assert not fits(lora={"rank": 8})
    alpha = schema["properties"]["train"]["properties"]["alpha"]
    assert alpha["default"] == 0.5
    assert "Distilling step-by-step" in alpha["description"]


def supervised(run: Project, **train: Any) -> None:
    steps(run.folder)
    run.write(
        engine={"scripted_teacher": {}},
        streams={"worked": {"from": "almanac", "generate": ["make_rationale"]}},
        curate=None,
        release={"streams": {"worked": 1}, "splits": {"validation": 0.25}},
        evaluate=None,
        train={
            "tokens": 6 * 4 * 256,
            "sequence_length": 256,
            "batch": 4,
            "target": "multitask",
            "template": "plain",
            "arms": {"worked": {"worked": 1}},
            **train,
        },
    )


def test_a_bill_with_a_target_runs_to_its_end(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    run = project(tmp_path)
    supervised(run, alpha=0.8, lora={"r": 2})
    settings = Settings(root=run.root, tables={"hardware": {"device": "cpu"}})
    outcome = run_bill(run.bill, settings, Silent())
    assert outcome.report is not None
    plan = run.one("plans/tiny-worked/*/manifest.json").parent
    manifest = PlanManifest.read(plan)
    assert manifest.supervised is not None
    assert manifest.supervised.spec["alpha"] == 0.8
    assert manifest.steps == 6
    # No example of a held-out document, and nothing of a kept one is lost without being listed.
    release = outcome.releases
    assert release is not None
    shard = next((release / "data").glob("validation-*"))
    held_out = set(pq.read_table(shard, partitioning=None).column("id").to_pylist())
    segments = [one for row in pq.read_table(plan / "plan.parquet").column("segments").to_pylist() for one in row]
    assert held_out
    assert not held_out & {one["record_id"] for one in segments}
    rejected = pq.read_table(plan / "rejected.parquet").num_rows
    assert manifest.streams["worked"].records + rejected + len(held_out) == 3 * len(corpus(run))
    student = run.one("students/tiny-worked/*/result.json").parent
    assert json.loads((student / "result.json").read_text())["trained"] > 0
    assert (student / "adapter" / "adapter_model.safetensors").is_file()
    assert read_supervision(student / "model") == Supervision(target="multitask", template="plain", alpha=0.8)
    card = (student / "model" / "README.md").read_text()
    assert "| alpha | `0.8` |" in card
    assert "| lora_r | 2 |" in card
    assert run_bill(run.bill, settings, Silent()) == outcome

    # Another target is another plan and another student, beside the first.
    supervised(run, target="answer_only")
    run_bill(run.bill, settings, Silent())
    assert len(list(run.root.glob("plans/tiny-worked/*/manifest.json"))) == 2
    assert len(list(run.root.glob("students/tiny-worked/*/result.json"))) == 2


def corpus(run: Project) -> list[Path]:
    return [path for path in (run.folder / "corpus").rglob("*") if path.is_file()]
