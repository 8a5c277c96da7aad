"""Every controller over scripted models of known faults: the budget, difficulty, answers, exactly N, replay."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.boostqa_world import DIFFICULTIES, FIELDS, GRADES, Faults, Models, World, right_answers, seeds
from mashbill.engine import Request, ScriptedEngine
from mashbill.errors import BillError, EngineDown
from mashbill.records import QA
from mashbill.store import Stored
from synth.annotation import Annotator
from synth.budget import BudgetSpec
from synth.generators.boostqa import Boostqa, row_tokens
from tests.support.kernel import bytes_of, rejects_in, rows_of
from tests.synth.kg_path_run import run_step

WORLD = World.made(7)
EVEN = dict.fromkeys(((name, difficulty) for name in FIELDS for difficulty in DIFFICULTIES), 0.5)
PERFECT = Faults(
    easier=0, mends=1, points_outside=0, copies=0, writer_wrong=0, draw_wrong=0, talks=0, editor_changes=0, label_off=0
)


def step(total: int = 60, **fields: Any) -> Boostqa:
    budget = BudgetSpec(total=total, **fields.pop("spec", {}))
    given = {
        "budget": budget,
        "annotator": Annotator(engine="judge"),
        "teachers": ("solver",),
        "grades": GRADES,
        "grade_slack": 0,
        "same_language": False,
        "leaks": False,  # tested where they live; a third of the time here
    }
    return Boostqa(**{**given, **fields})


async def made(
    root: Path,
    one: Boostqa,
    faults: Faults = PERFECT,
    *,
    rates: Mapping[tuple[str, int], float] = EVEN,
    each: int = 5,
    source: list[QA] | None = None,
    engines: Mapping[str, ScriptedEngine] | None = None,
) -> Stored:
    models = Models(WORLD, faults)
    rows = seeds(WORLD, each, pass_rates=rates) if source is None else source
    return await run_step(root, one, rows, {**models.engines(), **(engines or {})})


def items(stored: Stored) -> list[Any]:
    return [WORLD.read(row.question) for row in rows_of(stored)]


async def test_each_cell_ends_with_exactly_its_budget(tmp_path: Path) -> None:
    stored = await made(tmp_path, step(100), Faults())
    notes, rows = stored.manifest.notes, rows_of(stored)
    wanted = {(one["discipline"], one["difficulty"]): one["budget"] for one in notes["budget"]["cells"]}
    assert sum(wanted.values()) == len(rows) == 100
    found = Counter((row.discipline.split("/")[0], int(_score(row, "target_difficulty"))) for row in rows)
    assert found == Counter(wanted)
    assert (notes["wanted"], notes["have"], notes["short"]) == (100, 100, {})
    assert len({row.id for row in rows}) == 100


async def test_the_budget_follows_weakness_and_its_baseline_does_not(tmp_path: Path) -> None:
    rates = {cell: 0.95 if cell[0] == "mathematics" else 0.1 for cell in EVEN}
    weak = rows_of(await made(tmp_path / "weak", step(90, spec={"gamma": 1.0}), rates=rates))
    even = rows_of(await made(tmp_path / "even", step(90, spec={"by": "uniform"}), rates=rates))
    strong = [sum(row.domain == "mathematics" for row in rows) for rows in (weak, even)]
    assert strong[0] < 10
    assert strong[1] == 30


async def test_only_seeds_that_nobody_tried_are_written_from(tmp_path: Path) -> None:
    rows = seeds(WORLD, 5, pass_rates=EVEN)
    tried = {row.id for row in rows if row.pass_rate is not None}
    stored = await made(tmp_path, step(80), source=rows)
    assert {parent for row in rows_of(stored) for parent in row.parents}.isdisjoint(tried)


async def test_degradation_is_measured_and_corrected(tmp_path: Path) -> None:
    stored = await made(tmp_path, step(100), Faults(label_off=0))
    report = stored.manifest.notes["difficulty_degradation"]
    assert report["drafts_too_easy"] > 0.4
    assert report["before"] > report["after"] + 0.4
    for row, item in zip(rows_of(stored), items(stored), strict=True):
        target = _score(row, "target_difficulty")
        assert row.difficulty == item.difficulty
        assert row.difficulty >= target if target >= 4 else row.difficulty == target


async def test_degradation_is_the_mean_of_hand_made_differences(tmp_path: Path) -> None:
    source = [one for one in seeds(WORLD, 6) if one.difficulty == 4 and one.domain == "law"]
    stored = await made(
        tmp_path, step(4, spec={"non_stem": 0.0}), dataclasses.replace(PERFECT, easier=1.0), source=source
    )
    drafts = [reply for reply in _drafts(stored)]
    assert drafts  # each first draft of difficulty 2 or 3, each row of 4
    report = stored.manifest.notes["difficulty_degradation"]
    assert report["after"] == 0
    assert 1 <= report["before"] <= 2
    assert report["drafts_too_easy"] == 1.0


async def test_without_re_annotation_nobody_notices(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda request: pytest.fail("the annotator was asked"), name="judge")
    stored = await made(tmp_path, step(100, reannotate=False), Faults(), engines={"judge": engine})
    rows = rows_of(stored)
    assert stored.manifest.notes["difficulty_degradation"]["before"] is None
    easier = [row for row, item in zip(rows, items(stored), strict=True) if item.difficulty < row.difficulty]
    assert len(easier) > 40  # they carry what was asked for, and are not it


async def test_what_a_hard_question_lacks_is_told_at_most_twice(tmp_path: Path) -> None:
    deaf = dataclasses.replace(PERFECT, easier=1.0, mends=0.0)
    source = [one for one in seeds(WORLD, 6) if one.difficulty == 5 and one.domain == "law"]
    models = Models(WORLD, deaf)
    writer = ScriptedEngine(models.write, name="writer")
    one = step(3, spec={"non_stem": 0.0}, give_up=5, wave=5)
    stored = await run_step(tmp_path, one, source, {**models.engines(), "": writer})
    assert stored.manifest.counts.rejected == {"too_easy": 5}
    assert stored.manifest.notes["short"] == {"law/5": "gave_up"}
    assert len(writer.seen) == 5 * 3
    told = [request.messages[-1].content for request in writer.seen if len(request.messages) > 2]
    assert len(told) == 5 * 2
    assert all("judged its difficulty as" in one and "wanted is at least 5" in one for one in told)
    assert all(len(request.messages) in (2, 4) for request in writer.seen)  # the last draft alone follows the prompt
    first = rejects_in(stored)[0]
    assert {"cell:law/5", "drafts:3"} <= set(first.subjects)


async def test_the_annotator_is_blind_to_the_target(tmp_path: Path) -> None:
    judge = ScriptedEngine(Models(WORLD, PERFECT).label, name="judge")
    stored = await made(tmp_path, step(40), engines={"judge": judge})
    texts = "\n".join(message.content for request in judge.seen for message in request.messages)
    assert "at least" not in texts
    assert not any(row.id in texts for row in rows_of(stored))
    assert all("<seeds>" not in request.messages[-1].content for request in judge.seen)


async def test_no_row_is_its_seed_again_nor_another_row(tmp_path: Path) -> None:
    stored = await made(tmp_path, step(100, rewrites=0), Faults(copies=0.5, points_outside=0.3))
    reasons = stored.manifest.counts.rejected
    assert reasons["number_swap"] > 20
    assert reasons["not_self_contained"] > 10
    rows = rows_of(stored)
    assert len({row.question for row in rows}) == len(rows) > 60
    old = {row.question for row in seeds(WORLD, 5, pass_rates=EVEN)}
    assert not old & {row.question for row in rows}


async def test_each_seed_meets_the_grades_in_their_own_notation(tmp_path: Path) -> None:
    rows = rows_of(await made(tmp_path, step(120)))
    assert {row.grade for row in rows} == set(GRADES)
    for row in rows:
        assert _score(row, "target_grade") == {"primary": 1, "high": 3}[row.grade]


async def test_without_grades_the_writer_is_told_of_none(tmp_path: Path) -> None:
    writer = ScriptedEngine(Models(WORLD, PERFECT).write, name="writer")
    stored = await made(tmp_path, step(40, grade_conditioning=False), engines={"": writer})
    assert not any("It is for" in request.messages[1].content for request in writer.seen)
    assert {row.grade for row in rows_of(stored)} == {"primary"}


async def test_a_wrong_answer_of_the_writer_is_overruled_by_the_draws(tmp_path: Path) -> None:
    stored = await made(tmp_path, step(80), dataclasses.replace(PERFECT, writer_wrong=1.0))
    rows = rows_of(stored)
    assert right_answers(WORLD, rows) == 80
    assert stored.manifest.notes["writer_overruled"] >= 80
    said = [verdict for row in rows for verdict in row.verdicts if verdict.name == "writer_answer"]
    assert all(verdict.outcome == "fail" for verdict in said)


async def test_draws_that_disagree_make_no_row(tmp_path: Path) -> None:
    stored = await made(tmp_path, step(60), dataclasses.replace(PERFECT, draw_wrong=0.5))
    rows = rows_of(stored)
    assert stored.manifest.counts.rejected["no_majority"] > 10
    assert right_answers(WORLD, rows) / len(rows) > 0.8  # two of three wrong in the same way are rare


async def test_an_editor_that_changes_answers_is_caught_every_time(tmp_path: Path) -> None:
    faults = dataclasses.replace(PERFECT, editor_changes=0.4)
    models = Models(WORLD, faults)
    stored = await run_step(tmp_path, step(80), seeds(WORLD, 5, pass_rates=EVEN), models.engines())
    found = stored.manifest.notes["refinement"]
    assert models.done["edits_wrong"] > 20
    # Every change was seen; two attempts at one question share one edit, so it may be counted more often.
    assert found["upheld"] + found["changed"] >= models.done["edits_wrong"]
    assert found["kept"] >= models.done["edits"] - models.done["edits_wrong"]
    assert right_answers(WORLD, rows_of(stored)) == 80
    upheld = [row for row in rows_of(stored) if any(one.outcome == "fail" for one in row.verdicts)]
    assert all("upheld the first" in row.verdicts[-1].detail for row in upheld)
    assert len(upheld) > 10


async def test_without_a_further_draw_a_changed_answer_is_rejected(tmp_path: Path) -> None:
    faults = dataclasses.replace(PERFECT, editor_changes=0.4)
    stored = await made(tmp_path, step(60, adjudicate=False), faults)
    found = stored.manifest.notes["refinement"]
    assert found["upheld"] == 0
    assert found["changed"] == stored.manifest.counts.rejected["refinement_changed_answer"] > 10
    assert right_answers(WORLD, rows_of(stored)) == 60


async def test_refinement_takes_out_talk_and_without_it_the_talk_stays(tmp_path: Path) -> None:
    talks = dataclasses.replace(PERFECT, talks=1.0)
    edited = rows_of(await made(tmp_path / "a", step(40), talks))
    raw = rows_of(await made(tmp_path / "b", step(40, refine=False), talks))
    assert not any("hm ," in row.rationale for row in edited)
    assert all("hm ," in row.rationale for row in raw)


async def test_edited_work_that_cannot_be_read_leaves_the_first_work(tmp_path: Path) -> None:
    editor = ScriptedEngine(lambda request: "I would rather not.", name="editor")
    stored = await made(tmp_path, step(30), engines={"refiner": editor})
    assert stored.manifest.notes["refinement"]["unusable"] >= 30
    assert right_answers(WORLD, rows_of(stored)) == 30
    assert all(row.rationale == WORLD.reasons(WORLD.read(row.question)) for row in rows_of(stored))  # type: ignore[arg-type]


async def test_an_editor_that_is_the_teacher_is_refused(tmp_path: Path) -> None:
    solver = ScriptedEngine(Models(WORLD, PERFECT).solve, name="one")
    same = ScriptedEngine(Models(WORLD, PERFECT).edit, name="one")
    with pytest.raises(BillError, match="the refiner refiner and the teacher solver are one engine"):
        await made(tmp_path, step(10), engines={"solver": solver, "refiner": same})
    assert await made(tmp_path / "ok", step(10, same_engine_ok=True), engines={"solver": solver, "refiner": same})


async def test_the_bytes_do_not_depend_on_which_reply_came_first(tmp_path: Path) -> None:
    whole = await made(tmp_path / "a", step(40), Faults())
    models = Models(WORLD, Faults())
    slow = {
        role: ScriptedEngine(one.script, name=one.name, batch=3, calls=7, delay=0.001 * at)
        for at, (role, one) in enumerate(models.engines().items())
    }
    other = await made(tmp_path / "b", step(40), Faults(), engines=slow)
    assert bytes_of(whole.path) == bytes_of(other.path)


async def test_a_crash_in_the_middle_costs_nothing_and_changes_no_byte(tmp_path: Path) -> None:
    whole = await made(tmp_path / "a", step(40, part_rows=10), Faults())
    models, calls = Models(WORLD, Faults()), 0

    def dies(request: Request) -> str | Exception:
        nonlocal calls
        calls += 1
        return EngineDown("the machine went away") if calls > 60 else models.solve(request)

    name = models.engines()["solver"].name
    with pytest.raises(EngineDown):
        await made(
            tmp_path / "b", step(40, part_rows=10), Faults(), engines={"solver": ScriptedEngine(dies, name=name)}
        )
    again = ScriptedEngine(models.solve, name=name)
    resumed = await made(tmp_path / "b", step(40, part_rows=10), Faults(), engines={"solver": again})
    assert bytes_of(resumed.path) == bytes_of(whole.path)
    assert len(resumed.manifest.parts) > 1
    total = ScriptedEngine(models.solve, name=name)
    await made(tmp_path / "c", step(40, part_rows=10), Faults(), engines={"solver": total})
    assert len(again.seen) <= len(total.seen) - 60


async def test_a_budget_of_tokens_is_filled_by_tokens(tmp_path: Path) -> None:
    spec = {"unit": "tokens", "most": 20.0}
    stored = await made(tmp_path, step(2000, spec=spec), Faults())
    rows = rows_of(stored)
    wanted = {
        f"{one['discipline']}/{one['difficulty']}": one["budget"] for one in stored.manifest.notes["budget"]["cells"]
    }
    have = Counter[str]()
    for row in rows:
        have[f"{row.domain}/{int(_score(row, 'target_difficulty'))}"] += row_tokens(row)
    longest = max(map(row_tokens, rows))
    for name, amount in wanted.items():
        assert amount <= have[name] < amount + longest
    assert stored.manifest.notes["unit"] == "tokens"


async def test_a_cell_that_runs_dry_is_reported(tmp_path: Path) -> None:
    source = [one for one in seeds(WORLD, 3) if one.difficulty == 1 and one.domain == "law"]
    stored = await made(tmp_path, step(200, spec={"non_stem": 0.0}, repeats=2, give_up=10**6), source=source)
    notes = stored.manifest.notes
    assert notes["short"] == {"law/1": "used_up"}
    cell = notes["cells"]["law/1"]
    assert cell["tried"] == 3 * len(GRADES) * 2
    assert cell["have"] == len(rows_of(stored)) < 200


async def test_seeds_of_a_discipline_that_the_annotator_has_no_word_for_are_refused(tmp_path: Path) -> None:
    source = [dataclasses.replace(one, discipline="mathmatics/algebra") for one in seeds(WORLD, 2)]
    with pytest.raises(BillError, match=r"discipline .mathmatics. .did you mean mathematics or "):
        await made(tmp_path, step(10, spec={"non_stem": 0.0}), source=source)


async def test_seeds_without_labels_are_counted(tmp_path: Path) -> None:
    source = [*seeds(WORLD, 3), QA.new(question="What is it that is not labelled?", answer="this")]
    stored = await made(tmp_path, step(20), source=source)
    assert stored.manifest.notes["seeds_without_labels"] == 1


async def test_code_is_run_against_the_writers_tests_in_the_sandbox(tmp_path: Path) -> None:
    source = [one for one in seeds(WORLD, 3) if one.difficulty == 2 and one.domain == "computing"]

    def write(request: Request) -> str:
        number = len(request.messages[1].content) + request.seed % 1000
        return json.dumps(
            {
                "question": f"Write a Python function grow(x) that returns x plus {number}, for task {request.seed}.",
                "answer": "def grow(x): return x",
                "knowledge_points": ["functions"],
                "tests": f"assert grow(1) == {number + 1}\nassert grow(0) == {number}",
            }
        )

    def label(request: Request) -> str:
        return json.dumps(
            {
                **{"knowledge_points": ["functions"], "discipline": "computing/algorithms", "question_type": "code"},
                **{"grade": "high", "takes": "one line", "difficulty": 2},
            }
        )

    def solve(request: Request) -> str:
        number = int(request.messages[-1].content.split("x plus ")[1].split(",")[0])
        wrong = request.seed % 5 == 0
        return f"Add the number.\n```python\ndef grow(x):\n    return x + {number - wrong}\n```"

    def edit(request: Request) -> str:
        work = request.messages[-1].content
        code = work.split("```python\n")[1].split("```")[0]
        return f"It adds.\n```python\n{code}```"

    scripts = {"": write, "judge": label, "solver": solve, "refiner": edit}
    engines = {role: ScriptedEngine(script, name=role or "writer") for role, script in scripts.items()}
    stored = await run_step(tmp_path, step(4, spec={"non_stem": 0.0}, grades=("high",), draws=3), source, engines)
    rows = rows_of(stored)
    assert len(rows) == 4
    for row in rows:
        number = int(row.question.split("x plus ")[1].split(",")[0])
        assert f"return x + {number}\n" in row.answer
        assert row.kind == "code"
        assert next(one for one in row.verdicts if one.name == "writer_answer").outcome == "fail"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rewrites": -1}, "rewrites is -1"),
        ({"grades": ()}, "name one or more of primary"),
        ({"grades": ("kindergarten",)}, "name one or more of primary"),
        ({"styles": ("proof", "proof")}, "each once"),
        ({"most_alike": 0.0}, "most_alike is 0.0"),
        ({"group": 4}, "from 1 to 3 seeds"),
        ({"wave": 0}, "wave is 0; it must be 1 or more"),
        ({"write_prompt": "Write."}, "lacks {seeds}"),
        ({"feedback": "Again."}, "lacks {fault}"),
        ({"refine_prompt": "{work}"}, "lacks {question}"),
        ({"refiner": ""}, "refiner is empty"),
        ({"writer": ""}, "writer is empty"),
        ({"form": "json"}, "form is json"),
        ({"answer_only": True}, "answer_only is true"),
    ],
)
def test_fields_that_mean_nothing_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("{", r"\{").replace("?", r"\?")):
        step(**fields)


def test_the_roles_are_those_it_asks() -> None:
    assert set(step(writer="author").engines()) == {"author", "judge", "solver", "refiner"}
    assert set(step(reannotate=False, refine=False).engines()) == {"solver"}


def _score(row: QA, name: str) -> float:
    return next(one.value for one in row.scores if one.name == name)


def _drafts(stored: Stored) -> list[QA]:
    return [row for row in rows_of(stored) if row.difficulty is not None]
