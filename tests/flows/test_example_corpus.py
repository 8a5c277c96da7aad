"""The two example flows, run whole: a training corpus out of several makers, and documents to a measured student."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.run_bill import run_bill
from flows.run_record import runs_under
from mashbill.progress import Silent
from mashbill.release_manifest import ReleaseManifest
from mashbill.settings import Settings
from tests.flows.by_rule import engine_by_rule

EXAMPLES = Path(__file__).parents[2] / "examples"
RULE = engine_by_rule(
    "A teacher by rule: names for a list of names, a text of its own for everything else.",
    r"""
import json
import random

WORDS = (
    "the guild of salt and lamps keeps its old custom in the town by the river and of the sea with that which have "
    "to be said in the market where weavers sold barrels of oak for coins that were paid each spring"
).split()


def said(request, model):
    if request.schema:
        return json.dumps({"summary": "Of Tolvarey.", "entities": ["Quennit", "Oskelby", "Moorcurl", "Port Adrow"]})
    draw = random.Random(request.seed)
    sentences = []
    for number in range(6):
        words = draw.choices(WORDS, k=draw.randrange(11, 19))
        sentences.append(f"In the year {draw.randrange(999)} " + " ".join(words) + ".")
    return " ".join(sentences)
""",
    tokens=(90, 60),
)


def example(folder: Path, name: str, **changed: Any) -> Path:
    """The example's bill beside the files it reads, with a teacher by rule in the place of the embedded one."""
    place = folder / "examples" / name
    (place / "steps").mkdir(parents=True)
    (place / "steps" / "by_rule.py").write_text(RULE, encoding="utf-8")
    (folder / "examples" / "tolvarey-small").symlink_to(EXAMPLES / "tolvarey-small")
    bill = yaml.safe_load((EXAMPLES / name / "bill.yaml").read_text(encoding="utf-8"))
    bill |= {"steps": "steps", "engine": {"by_rule": {}}, **changed}
    (place / "bill.yaml").write_text(yaml.safe_dump(bill, sort_keys=False), encoding="utf-8")
    return place / "bill.yaml"


def settings_of(folder: Path) -> Settings:
    return dataclasses.replace(Settings(), root=folder / "runs", tables={"hardware": {"device": "cpu"}})


def test_the_corpus_is_one_release_with_shares_by_tokens(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    whole = yaml.safe_load((EXAMPLES / "corpus" / "bill.yaml").read_text(encoding="utf-8"))
    release = {**whole["release"], "tokenizer": "bytes"}
    bill = example(tmp_path, "corpus", release=release)
    made = run_bill(bill, settings_of(tmp_path), Silent())
    assert made.releases is not None
    manifest = ReleaseManifest.read(made.releases)
    assert manifest.shares_by == "tokens"
    assert set(manifest.streams) == {"raw", "rephrase", "entigraph", "replay"}
    assert all(stream.released for stream in manifest.streams.values())
    steps = {name: [one.step for one in stream.steps] for name, stream in manifest.streams.items()}
    assert steps["rephrase"][-1] == "take_first"
    assert manifest.streams["rephrase"].released <= 4
    assert all("decontaminate" in one for one in steps.values())
    sizes = {name: stream.size or 0 for name, stream in manifest.streams.items()}
    unit = min((sizes[name] + 1) / share for name, share in release["streams"].items())
    largest = 6000  # bytes of the longest document: a share is met within a row
    assert all(sizes[name] <= unit * share + largest for name, share in release["streams"].items())


def test_from_documents_to_a_student_with_one_report(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tests.train.taught_plans import teacher_at

    teacher_at(tmp_path / "examples" / "end-to-end" / "student")
    whole = yaml.safe_load((EXAMPLES / "end-to-end" / "bill.yaml").read_text(encoding="utf-8"))
    train = {**whole["train"], "tokens": 2048, "sequence_length": 128}
    (tmp_path / "questions.jsonl").write_text(
        "".join(
            f"{line}\n"
            for line in (EXAMPLES / "tolvarey-small" / "questions.jsonl").read_text(encoding="utf-8").splitlines()[:6]
        ),
        encoding="utf-8",
    )
    bill = example(
        tmp_path,
        "end-to-end",
        student={"path": "student"},
        train=train,
        evaluate={"questions": "../../questions.jsonl", "most_tokens": 4},
    )
    made = run_bill(bill, settings_of(tmp_path), Silent())
    assert made.report is not None
    report = json.loads((made.report / "report.json").read_bytes())
    assert set(report["arms"]) == {"raw", "held-ce", "held"}
    assert set(report["evaluations"]) == {"base", "raw", "held-ce", "held"}
    (rephrase,) = report["dataset"]
    assert (rephrase["stream"], rephrase["records"]) == ("rephrase", 3)
    assert rephrase["asks"] >= rephrase["made"] > 0
    assert rephrase["prompt_tokens"] == 90 * rephrase["asks"]
    assert list((tmp_path / "runs" / "teachers" / "general").glob("*/manifest.json")), "teacher columns, stored once"
    page = (made.report / "report.md").read_text(encoding="utf-8")
    for part in ("## The dataset", "| rephrase |", "| arm | tokens |", "Each arm is", "held-ce"):
        assert part in page, part
    card = (made.releases or Path() / "none") / "README.md"
    assert "## The dataset" not in card.read_text(encoding="utf-8"), "the card has its own counts"

    again = run_bill(bill, settings_of(tmp_path), Silent())
    assert (again.report, again.summary) == (made.report, made.summary)
    (last, *_) = reversed(runs_under(tmp_path / "runs"))
    assert last.report == str(made.report)
