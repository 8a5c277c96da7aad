"""A curriculum: what comes first comes first, nothing is lost, and plans without one are what they were."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill.errors import BillError
from mashbill.fingerprint import fingerprint
from mashbill.records import QA, Document, Edge, Rationale, Score, to_table
from tests.train.supervised_plans import questions, supervision, tables, worked
from train.batches import PlanReader
from train.curriculum import Curriculum, Label, Order, Values, order_of
from train.hardware import Hardware
from train.metrics import read_metrics
from train.plan import PLAN, PlanSpec, build_plan
from train.plan_manifest import PlanManifest
from train.recipe import StudentSpec, TrainRecipe
from train.run import train_student
from train.supervised_plan import build_supervised_plan
from train.tokenizer import StudentTokenizer

MakeTokens = Callable[..., pa.Table]
STAGED = Curriculum(by="difficulty", mode="stages")


def rows_of(out: Path) -> list[list[dict[str, Any]]]:
    rows: list[list[dict[str, Any]]] = pq.read_table(out / PLAN).column("segments").to_pylist()
    return rows


def noted(curriculum: Curriculum, labels: dict[str, list[Label]], prefix: str = "r") -> Values:
    """Values of records that are called r0, r1, …."""
    return Values(
        curriculum, {name: {f"{prefix}{at}": one for at, one in enumerate(mine)} for name, mine in labels.items()}
    )


def test_plans_without_a_curriculum_are_what_they_were(
    make_tokens: MakeTokens, tokenizer: StudentTokenizer, tmp_path: Path
) -> None:
    """The numbers are from before there were curricula."""
    spec = PlanSpec(
        tokens=600, sequence_length=10, batch=2, shares={"a": 1, "b": 2}, replay="web", replay_share=0.25, seed=3
    )
    made = {"a": [make_tokens([3, 17, 9])], "b": [make_tokens([5] * 9)], "web": [make_tokens([30, 2])]}
    assert fingerprint(spec) == fingerprint(spec.identity) == "0304370d22b7b70fd40c82ecf80ac028"
    assert build_plan(made, spec=spec, out=tmp_path / "texts").hash == "24f7da9c0987588294c04ffaa32bd9b7"
    learn = supervision("multitask")
    examples = tables({"a": worked(23), "b": worked(9, seed=1)}, tokenizer, learn, sequence=160, batch=4)
    shape = PlanSpec(tokens=12 * 4 * 160, sequence_length=160, batch=4, seed=3)
    answers = build_supervised_plan(examples, spec=shape, supervision=learn, out=tmp_path / "answers")
    assert answers.hash == "77343653f76b3768958082c2a1d94b1c"
    digests = [
        hashlib.blake2b((tmp_path / name / "manifest.json").read_bytes(), digest_size=16).hexdigest()
        for name in ("texts", "answers")
    ]
    assert digests == ["6eb79b64ee85d551353734f400d61535", "34782ec17e908c9b22fc2e6f30316a76"]
    listed = repr([rows_of(tmp_path / name) for name in ("texts", "answers")]).encode()
    assert hashlib.blake2b(listed, digest_size=16).hexdigest() == "b1fb9985fbcce723cf481d2d47058b97"


def test_a_curriculum_and_its_values_are_part_of_the_hash(make_tokens: MakeTokens, tmp_path: Path) -> None:
    spec = PlanSpec(tokens=60, sequence_length=10, batch=1)
    hashes = {build_plan({"a": [make_tokens([5] * 4)]}, spec=spec, out=tmp_path / "none").hash}
    wanted: list[tuple[Curriculum, list[Label]]] = [
        (Curriculum(by="difficulty"), [1.0, 2.0, 3.0, None]),
        (Curriculum(by="difficulty"), [1.0, 2.0, 2.0, None]),
        (Curriculum(by="difficulty"), [10.0, 20.0, 20.0, None]),
        (Curriculum(by="difficulty", order="descending"), [1.0, 2.0, 2.0, None]),
        (Curriculum(by="pass_rate"), [1.0, 2.0, 2.0, None]),
        (STAGED, [1.0, 2.0, 2.0, None]),
    ]
    for number, (curriculum, labels) in enumerate(wanted):
        made = build_plan(
            {"a": [make_tokens([5] * 4)]},
            spec=replace(spec, curriculum=curriculum),
            out=tmp_path / str(number),
            values=noted(curriculum, {"a": labels}),
        )
        hashes.add(made.hash)
        assert PlanManifest.read(tmp_path / str(number)) == made
    assert len(hashes) == 1 + len(wanted)


LABELS = st.sampled_from([1.0, 2.0, 3.5, 7.0, None])
SIZED = st.lists(st.tuples(st.integers(1, 30), LABELS), min_size=1, max_size=14)
STREAMS = st.dictionaries(st.sampled_from("abc"), SIZED, min_size=1).filter(
    lambda streams: any(label is not None for mine in streams.values() for _, label in mine)
)


def place(curriculum: Curriculum, label: Label) -> float:
    """Where a value comes; what has none is last."""
    assert not isinstance(label, str)
    return math.inf if label is None else label if curriculum.order == "ascending" else -label


def assert_sorted(
    groups: list[list[dict[str, Any]]], values: Values, replay: str = "", curriculum: Curriculum | None = None
) -> None:
    """No group (a row of texts, a step of examples) holds what belongs before a thing in an earlier one."""
    curriculum = curriculum or values.curriculum
    highest: dict[str, tuple[int, float]] = {}
    for group in groups:
        found = defaultdict(list)
        for one in group:
            if one["stream"] != replay:
                label = values.of[one["stream"]][one["record_id"]]
                found[one["stream"]].append((one["epoch"], place(curriculum, label)))
        for name, mine in found.items():
            assert min(mine) >= highest.get(name, (0, -math.inf))
            highest[name] = max(mine)


@settings(max_examples=60, deadline=None)
@given(
    streams=STREAMS,
    order=st.sampled_from(["ascending", "descending"]),
    tokens=st.integers(1, 900),
    row=st.integers(2, 16),
    batch=st.integers(1, 4),
    replay=st.booleans(),
    seed=st.integers(0, 3),
)
def test_the_rows_of_texts_rise_in_every_epoch(
    make_tokens: MakeTokens, streams: dict[str, list[tuple[int, Label]]], order: Any, tokens: int, row: int, batch: int,
    replay: bool, seed: int,
) -> None:  # fmt: skip
    curriculum = Curriculum(by="difficulty", order=order)
    more: dict[str, Any] = {"replay": "web", "replay_share": 0.25} if replay else {}
    spec = PlanSpec(tokens=tokens, sequence_length=row, batch=batch, seed=seed, curriculum=curriculum, **more)
    made = {name: make_tokens([length for length, _ in mine]) for name, mine in streams.items()}
    made |= {"web": make_tokens([7, 20, 3])} if replay else {}
    values = noted(curriculum, {name: [label for _, label in mine] for name, mine in streams.items()})
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        manifest = build_plan({name: [table] for name, table in made.items()}, spec=spec, out=Path(one), values=values)
        turned = {name: [table.slice(len(table) // 2), table.slice(0, len(table) // 2)] for name, table in made.items()}
        assert build_plan(turned, spec=spec, out=Path(two), values=values) == manifest
        rows = rows_of(Path(one))
        assert rows == rows_of(Path(two))
    assert_sorted(rows, values, "web")
    assert all(sum(segment["length"] for segment in packed) == row for packed in rows)
    assert tokens <= manifest.tokens < tokens + batch * row
    for name, mine in streams.items():
        seen = Counter(tokens_of(rows, name))
        assert max(seen.values(), default=0) <= 1
        size = sum(length for length, _ in mine)
        for epoch in range(manifest.streams[name].planned_tokens // size):
            assert sum(1 for key in seen if key[2] == epoch) == size, "an epoch that was finished lost a token"
    assert manifest.curriculum is not None
    assert manifest.curriculum.stages == []
    missing = {name: sum(label is None for _, label in mine) for name, mine in streams.items()}
    assert manifest.curriculum.without_value == {name: count for name, count in sorted(missing.items()) if count}


def tokens_of(rows: list[list[dict[str, Any]]], name: str) -> list[tuple[str, int, int]]:
    return [
        (one["record_id"], place, one["epoch"])
        for row in rows
        for one in row
        if one["stream"] == name
        for place in range(one["start"], one["start"] + one["length"])
    ]


def steps_of(out: Path) -> list[list[dict[str, Any]]]:
    """The segments of each step."""
    table = pq.read_table(out / PLAN)
    steps: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for step, segments in zip(table.column("step").to_pylist(), table.column("segments").to_pylist(), strict=True):
        steps[step].extend(segments)
    return [steps[number] for number in range(len(steps))]


@settings(max_examples=60, deadline=None)
@given(
    streams=STREAMS, cumulative=st.booleans(), row=st.integers(2, 16), batch=st.integers(1, 4), seed=st.integers(0, 3)
)
def test_stages_of_texts_follow_each_other_and_lose_nothing(
    make_tokens: MakeTokens, streams: dict[str, list[tuple[int, Label]]], cumulative: bool, row: int, batch: int,
    seed: int,
) -> None:  # fmt: skip
    curriculum = replace(STAGED, cumulative=cumulative)
    spec = PlanSpec(
        tokens=10**6, sequence_length=row, batch=batch, seed=seed, curriculum=curriculum,
        max_repetitions=1, when_exhausted="stop",
    )  # fmt: skip
    # One stream: with several, one may end before the others, shares kept.
    records = [one for mine in streams.values() for one in mine]
    values = noted(curriculum, {"a": [label for _, label in records]})
    with tempfile.TemporaryDirectory() as out:
        made = make_tokens([length for length, _ in records])
        manifest = build_plan({"a": [made]}, spec=spec, out=Path(out), values=values)
        steps, rows = steps_of(Path(out)), rows_of(Path(out))
        reader = PlanReader(Path(out))
        assert sum(reader.valid_tokens(step) for step in range(reader.steps)) == manifest.tokens - manifest.segments
    assert manifest.curriculum is not None
    stages = manifest.curriculum.stages
    assert [stage.value for stage in stages] == curriculum.sorted(label for _, label in records)
    assert sum(stage.steps for stage in stages) == manifest.steps == len(steps)
    assert sum(stage.tokens for stage in stages) == manifest.tokens
    assert (manifest.rows, manifest.padding) == (len(rows), len(rows) * row - manifest.tokens)
    first = 0
    for number, stage in enumerate(stages):
        assert stage.first_step == first
        first += stage.steps
        seen = Counter(tokens_of(steps[stage.first_step : first], "a"))
        known = {one.value for one in stages[: number + 1]} if cumulative else {stage.value}
        wanted = {f"r{at}": length for at, (length, label) in enumerate(records) if label in known}
        assert seen == Counter((name, at, 0) for name, length in wanted.items() for at in range(length))
        assert (stage.records, stage.tokens, stage.passes) == (len(wanted), sum(wanted.values()), 1.0)


def test_stages_have_steps_by_their_tokens_and_passes(make_tokens: MakeTokens, tmp_path: Path) -> None:
    def stages(**fields: Any) -> list[tuple[Label, int, float]]:
        curriculum = replace(STAGED, **fields)
        made = build_plan(
            {"a": [make_tokens([10] * 6)], "web": [make_tokens([10] * 8)]},
            spec=PlanSpec(
                tokens=480, sequence_length=10, batch=2, curriculum=curriculum, replay="web", replay_share=0.25
            ),
            out=tmp_path / str(fields),
            values=noted(curriculum, {"a": [1.0, 1.0, 2.0, 1.0, 3.0, 2.0]}),
        )
        assert made.tokens == 480
        assert made.streams["web"].planned_tokens == 120
        assert made.streams["web"].exposures.max - made.streams["web"].exposures.min <= 1, "replay goes on"
        assert made.curriculum is not None
        return [(one.value, one.steps, one.passes) for one in made.curriculum.stages]

    assert stages() == [(1.0, 12, 6.0), (2.0, 8, 6.0), (3.0, 4, 6.0)]
    assert stages(order="descending") == [(3.0, 4, 6.0), (2.0, 8, 6.0), (1.0, 12, 6.0)]
    assert [steps for _, steps, _ in stages(cumulative=True)] == [5, 9, 10]
    assert [steps for _, steps, _ in stages(passes=(1, 3, 3))] == [6, 12, 6]


def test_many_short_stages_have_their_share_of_replay(make_tokens: MakeTokens, tmp_path: Path) -> None:
    spec = PlanSpec(tokens=800, sequence_length=10, batch=2, curriculum=STAGED, replay="web", replay_share=0.1)
    made = build_plan(
        {"a": [make_tokens([10] * 40)], "web": [make_tokens([10] * 8)]},
        spec=spec,
        out=tmp_path,
        values=noted(STAGED, {"a": [float(at) for at in range(40)]}),
    )
    assert made.steps == 40
    assert made.streams["web"].planned_tokens == pytest.approx(80, abs=10)


@settings(max_examples=25, deadline=None)
@given(
    labels=st.lists(LABELS, min_size=1, max_size=30).filter(lambda labels: set(labels) != {None}),
    others=st.lists(LABELS, max_size=9),
    target=st.sampled_from(["answer_only", "multitask"]),
    mode=st.sampled_from(["order", "stages", "cumulative"]),
    passes=st.sampled_from([1, 3]),
    batch=st.integers(2, 4),
)
def test_examples_rise_step_by_step_and_none_is_lost(
    tokenizer: StudentTokenizer, labels: list[Label], others: list[Label], target: Any, mode: str, passes: int,
    batch: int,
) -> None:  # fmt: skip
    curriculum = Curriculum(by="difficulty", mode="order" if mode == "order" else "stages")
    curriculum = replace(curriculum, cumulative=mode == "cumulative")
    learn = supervision(target)
    streams: dict[str, list[Any]] = {"a": worked(len(labels), most_words=20)}
    given_labels = {"a": labels}
    if others and mode == "order":
        streams["b"], given_labels["b"] = worked(len(others), seed=1), others
    made = tables(streams, tokenizer, learn, sequence=240, batch=batch)
    values = Values(
        curriculum,
        {
            name: {row.id: label for row, label in zip(rows, given_labels[name], strict=True)}
            for name, rows in streams.items()
        },
    )
    spec = PlanSpec(
        tokens=10**6, sequence_length=240, batch=batch, curriculum=curriculum,
        max_repetitions=passes, when_exhausted="stop",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        manifest = build_supervised_plan(made, spec=spec, supervision=learn, out=Path(out), values=values)
        steps = steps_of(Path(out))
    assert manifest.curriculum is not None
    if mode == "order":
        assert_sorted(steps, values)
        if len(streams) == 1:
            seen = Counter((one["record_id"], one["view"]) for step in steps for one in step)
            assert seen == Counter({(row.id, view): passes for row in streams["a"] for view in learn.views})
        return
    known = curriculum.sorted(labels)
    for number, stage in enumerate(manifest.curriculum.stages):
        mine = steps[stage.first_step : stage.first_step + stage.steps]
        seen = Counter((one["record_id"], one["view"]) for step in mine for one in step)
        took = set(known[: number + 1]) if mode == "cumulative" else {known[number]}
        wanted = [row.id for row, label in zip(streams["a"], labels, strict=True) if label in took]
        assert seen == Counter({(name, view): passes for name in wanted for view in learn.views})
    assert sum(stage.steps for stage in manifest.curriculum.stages) == manifest.steps == len(steps)
    assert sum(stage.tokens for stage in manifest.curriculum.stages) == manifest.tokens


def test_replay_goes_on_over_the_stages_of_examples(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    streams: dict[str, list[Any]] = {"a": worked(30), "web": questions(12)}
    learn = supervision("answer_only")
    values = Values(STAGED, {"a": {row.id: float(at % 3) for at, row in enumerate(streams["a"])}})
    spec = PlanSpec(
        tokens=9 * 4 * 160, sequence_length=160, batch=4, curriculum=STAGED, replay="web", replay_share=0.25
    )
    made = tables(streams, tokenizer, learn, sequence=160, batch=4)
    manifest = build_supervised_plan(made, spec=spec, supervision=learn, out=tmp_path, values=values)
    assert manifest.streams["web"].share == pytest.approx(0.25, abs=0.05)
    assert manifest.streams["web"].exposures.max - manifest.streams["web"].exposures.min <= 1
    for step in steps_of(tmp_path):
        own = {values.of["a"][one["record_id"]] for one in step if one["stream"] == "a"}
        assert len(own) == 1
        assert any(one["stream"] == "web" for one in step)


class Stopped(Exception):
    """A run that is cut off."""


def test_a_staged_run_trains_over_its_empty_rows_and_goes_on_to_the_same_bytes(
    tokenizer: StudentTokenizer, tiny: StudentSpec, tmp_path: Path
) -> None:
    streams: dict[str, list[Any]] = {"a": worked(11)}
    learn = supervision("full_cot")
    values = Values(STAGED, {"a": {row.id: float(at % 3) for at, row in enumerate(streams["a"])}})
    spec = PlanSpec(
        tokens=10**6, sequence_length=160, batch=4, curriculum=STAGED, max_repetitions=3, when_exhausted="stop"
    )
    made = tables(streams, tokenizer, learn, sequence=160, batch=4)
    plan = tmp_path / "plan"
    build_supervised_plan(made, spec=spec, supervision=learn, out=plan, tokenizer=tokenizer.identity, values=values)
    assert [] in rows_of(plan)[:-4], "a stage ends in empty rows"

    def run(out: Path, stop_at: int = 0) -> None:
        def progress(line: dict[str, object]) -> None:
            if line["step"] == stop_at:
                raise Stopped

        train_student(
            plan_dir=plan, student=tiny, recipe=TrainRecipe(learning_rate=1e-3), out=out, progress=progress,
            hardware=Hardware(device="cpu", checkpoint_every=2, micro_batch=1),
        )  # fmt: skip

    run(tmp_path / "whole")
    card = (tmp_path / "whole" / "model" / "README.md").read_text(encoding="utf-8")
    assert "| curriculum | by difficulty, ascending, 3 stages |" in card
    with pytest.raises(Stopped):
        run(tmp_path / "cut", stop_at=3)
    run(tmp_path / "cut")
    losses = [[line["loss"] for line in read_metrics(tmp_path / name / "metrics.jsonl")] for name in ("whole", "cut")]
    assert losses[0] == losses[1]
    assert all(math.isfinite(float(str(loss))) for loss in losses[0])
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]


def question(number: int, **fields: Any) -> QA:
    return QA.new(question=f"What is {number}?", answer="salt", **fields)


EDGES = tuple(Edge(head=f"n{at}", relation="taxes", tail=f"n{at + 1}") for at in range(3))
ROWS = [
    question(0, difficulty=3, pass_rate=0.25, discipline="law", path=EDGES, scores=(Score(name="loops", value=2.0),)),
    question(1, difficulty=None, pass_rate=math.nan, discipline="trade", path=EDGES[:1]),
    question(2, difficulty=0, pass_rate=None, discipline="", scores=(Score(name="words", value=5.0),)),
]


@pytest.mark.parametrize(
    ("curriculum", "wanted"),
    [
        (Curriculum(by="hops"), [3.0, 1.0, None]),
        (Curriculum(by="difficulty"), [3.0, None, 0.0]),
        (Curriculum(by="pass_rate"), [0.25, None, None]),
        (Curriculum(by="scores.loops"), [2.0, None, None]),
        (Curriculum(by="discipline", values=("trade", "law")), ["law", "trade", None]),
        (Curriculum(by="discipline", values=("trade",)), [None, "trade", None]),
    ],
)
def test_a_value_is_read_from_any_column_that_orders(curriculum: Curriculum, wanted: list[Label]) -> None:
    table = to_table(ROWS, QA)
    assert curriculum.refusal(QA) == ""
    values = Values(curriculum)
    assert list(values.noted([table.slice(0, 1), table.slice(1)], "a"))[1].num_rows == 2
    assert list(values.of["a"].values()) == wanted


def test_values_come_in_their_order() -> None:
    lessons = Curriculum(by="kind", values=("lesson_1", "lesson_2", "lesson_3"))
    assert lessons.sorted(["lesson_3", None, "lesson_1"]) == ["lesson_1", "lesson_3", None]
    backwards = replace(lessons, order="descending")
    assert backwards.sorted(["lesson_3", None, "lesson_1"]) == ["lesson_3", "lesson_1", None]
    assert Curriculum(by="difficulty").sorted([10.0, 9.0, None]) == [9.0, 10.0, None]


@pytest.mark.parametrize(
    ("curriculum", "kind", "said"),
    [
        (Curriculum(by="dificulty"), QA, r"QA has no 'dificulty' .*did you mean difficulty\?"),
        (Curriculum(by="hops"), Document, "Document has no 'hops' to order by"),
        (Curriculum(by="verdicts"), Rationale, "Rationale has no 'verdicts' to order by"),
        (Curriculum(by="scores."), QA, "QA has no 'scores.' to order by"),
        (Curriculum(by="kind"), Document, "'kind' is a text; say in which order"),
        (Curriculum(by="hops", values=("1", "2")), QA, "'hops' is a number"),
    ],
)
def test_what_cannot_order_is_refused(curriculum: Curriculum, kind: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(curriculum.refusal(kind))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"cumulative": True}, "cumulative means something in mode: stages"),
        ({"passes": (1.0, 2.0)}, "passes means something in mode: stages"),
        ({"mode": "stages", "passes": (1.0, 0.0)}, "passes must be above 0"),
        ({"values": ("a", "b", "a")}, "names one twice"),
    ],
)
def test_fields_that_mean_nothing_together_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BillError, match=said):
        Curriculum(by="kind", **fields)


def test_a_plan_is_refused_where_its_curriculum_does_nothing(make_tokens: MakeTokens, tmp_path: Path) -> None:
    def build(curriculum: Curriculum, labels: list[Label], tokens: int = 100) -> None:
        spec = PlanSpec(tokens=tokens, sequence_length=10, batch=1, curriculum=curriculum)
        made = {"a": [make_tokens([5, 5, 90])]}
        build_plan(made, spec=spec, out=tmp_path, values=noted(curriculum, {"a": labels}))

    with pytest.raises(BillError, match=r"no row of the streams a has a value in 'scores\.hps'"):
        build(Curriculum(by="scores.hps"), [None, None, None])
    with pytest.raises(BillError, match=r"difficulty = 1\.0 has 5 tokens and gets none of the 2 steps over 3 stages"):
        build(STAGED, [1.0, 2.0, 3.0], tokens=20)
    with pytest.raises(BillError, match=r"passes has 2 numbers and 'difficulty' makes 3 stages \(1\.0, 2\.0, None\)"):
        build(replace(STAGED, passes=(1, 1)), [1.0, 2.0, None])
    with pytest.raises(ValueError, match="needs the values"):
        order_of(STAGED, None, {"a": ["r0"]}, "")
    assert not list(tmp_path.glob("*.json"))


def test_streams_that_have_no_rows_in_a_stage_leave_it_to_the_others() -> None:
    order = order_of(STAGED, noted(STAGED, {"a": [1.0, 2.0], "b": [2.0]}), {"a": ["r0", "r1"], "b": ["r0"]}, "web")
    one, two = order.stages({"a": [10, 10], "b": [10], "web": [50]}, 30, "web")
    shares = {"a": Fraction(1, 2), "b": Fraction(1, 4), "web": Fraction(1, 4)}
    assert one.shares(shares, "web") == {"a": Fraction(3, 4), "web": Fraction(1, 4)}
    assert two.shares(shares, "web") == shares
    assert Order().stages({"a": [10]}, 3, "")[0].shares({"a": Fraction(1)}, "") == {"a": 1}
