"""STaR: what is kept of a round, what is hidden, where each round begins, and that a stopped run goes on."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from flows.kitchen import Outcome
from flows.run_bill import kitchen_for
from flows.star import MakeEngine, best_of, bootstrap, prompts
from flows.star_section import read_star
from flows.student_engine import StudentEngine
from mashbill.engine import Engine, Request, Sampling, ScriptedEngine, system, user
from mashbill.errors import BillError, EngineRefused
from mashbill.progress import Silent
from mashbill.read_bill import read_bill
from mashbill.records import QA
from mashbill.settings import Settings
from tests.flows.fake_kitchen import Project, project
from train.examples import Asked
from train.hardware import Hardware
from train.recipe import Scratch, StudentSpec
from train.student import load_student, save_student
from train.supervision import Supervision, read_supervision

PAIRS = [(one, two) for one in range(2, 6) for two in range(2, 5)]
PROBLEMS = [{"question": f"What is {one} plus {two}?", "answer": str(one + two)} for one, two in PAIRS]
BILL: dict[str, Any] = {
    "engine": None,
    "steps": None,
    "sources": {"problems": {"read_qa": {"path": "problems", "readable_by": "numeric"}}},
    "streams": {"problems": {"from": "problems"}},
    "curate": None,
    "release": {"streams": {"problems": 1}},
    "train": None,
    "star": {
        "from": "problems", "rounds": 2, "steps": 2, "growth": 1.5, "sequence_length": 96, "batch": 2,
        "learning_rate": 1.0e-2, "template": "plain",
        "draw": {"task": "maths", "draws": 2, "hint_draws": 1, "sampling": {"temperature": 0.7, "max_tokens": 24}},
    },
    "evaluate": {
        "questions": "test.jsonl", "validation": "validation.jsonl", "write": {"most_tokens": 6, "matcher": "numeric"},
    },
}  # fmt: skip
HINT = "Only for you"


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def made(folder: Path, **sections: Any) -> Project:
    found = project(folder, **{**BILL, **sections})
    (folder / "problems").mkdir(exist_ok=True)
    for name, lines in {
        "problems/p.jsonl": PROBLEMS,
        "test.jsonl": [{"id": "t", "question": "What is 9 plus 9?", "answer": "18"}],
        "validation.jsonl": [{"id": "v", "question": "What is 8 plus 9?", "answer": "17"}],
    }.items():
        (folder / name).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return found


class Students:
    """A scripted student for each round: it solves what is even, and with the hint what is divisible by three."""

    def __init__(self) -> None:
        self.models: list[Path] = []
        self.engines: list[ScriptedEngine] = []

    def __call__(self, model: Path, asks: Mapping[str, Asked]) -> Engine:
        number = len(self.models)

        def answer(request: Request) -> str:
            asked = asks[request.messages[-1].content].question
            one, two = (int(word.strip("?")) for word in asked.partition("?")[0].split() if word.strip("?").isdigit())
            total = one + two
            hinted = HINT in asked
            if total % 2 == 0 or (hinted and total % 3 == 0):
                return f"{one} + {two} = {total}, round {number}.\nAnswer: {total}"
            if hinted and total == 5:
                return f"The hint is right: {one} + {two} = {total}.\nAnswer: {total}"
            return f"{one} + {two} = {total + 1}.\nAnswer: {total + 1}"

        self.models.append(model)
        self.engines.append(ScriptedEngine(answer, name=f"student-{number}"))
        return self.engines[-1]


def run(one: Project, engine: MakeEngine | None = None) -> Outcome:
    async def inside() -> Outcome:
        settings = Settings(root=one.root, tables={"hardware": {"device": "cpu"}})
        async with kitchen_for(one.bill, settings, Silent()) as kitchen:
            return await bootstrap(kitchen, engine)

    return asyncio.run(inside())


def rows(one: Project, number: int) -> list[dict[str, Any]]:
    found = [
        row
        for part in one.root.glob("teacher_rationale/*/part-*.parquet")
        for row in pq.read_table(part).to_pylist()
        if row["round"] == number
    ]
    return sorted(found, key=lambda row: str(row["id"]))


def test_rounds_keep_what_is_right_hide_the_hint_and_begin_at_the_base(tmp_path: Path) -> None:
    one, students = made(tmp_path), Students()
    outcome = run(one, students)
    assert outcome.report is not None
    report = json.loads((outcome.report / "star.json").read_bytes())
    totals = [first + second for first, second in PAIRS]
    even, by_hint = sum(n % 2 == 0 for n in totals), sum(n % 2 == 1 and n % 3 == 0 for n in totals)
    for number in range(2):
        found = report["rounds"][number]
        assert (found["questions"], found["right"], found["hinted"]) == (len(PAIRS), even, by_hint)
        # A rationale that says it was told, and one that is wrong with the answer in sight, are kept nowhere.
        leaks = ("hinted_mentions_given_answer", "hinted_hint_leaked")
        assert sum(found["rejected"].get(reason, 0) for reason in leaks) == sum(n == 5 for n in totals)
        assert found["rejected"]["hinted_wrong_answer"] == sum(n % 2 == 1 and n % 3 > 0 and n != 5 for n in totals)
        kept = rows(one, number)
        assert len(kept) == found["rows"]
        assert HINT not in json.dumps([{**row, "made": None} for row in kept])
        assert all(f"round {number}." in row["rationale"] for row in kept)
    assert any(HINT in request.messages[-1].content for engine in students.engines for request in engine.seen)
    assert [found["steps"] for found in report["rounds"]] == [2, 3]
    assert "Chosen by validation: round 0." in (outcome.report / "star.md").read_text()
    # The second round asks the student of the first, and trains the base once more: same first loss, other end.
    assert students.models[0].parent.name == "base"
    assert students.models[1].parts[-3] == "tiny-star-0"
    results = [json.loads(next(one.root.glob(f"students/tiny-star-{n}/*/result.json")).read_bytes()) for n in (0, 1)]
    assert results[0]["run"]["student"] == results[1]["run"]["student"]
    assert results[0]["run"]["plan"] != results[1]["run"]["plan"]


def test_no_prompt_that_is_learned_has_the_hint(tmp_path: Path) -> None:
    one = made(tmp_path, star={**BILL["star"], "rounds": 1})
    run(one, Students())
    (tokens,) = one.root.glob("plans/tiny-star-0/*/tokens.arrow")
    # The byte tokenizer: a byte is its place in the vocabulary, so the file holds texts one byte to four.
    from train.token_store import TokenStore
    from train.tokenizer import StudentTokenizer, byte_tokenizer

    store, tokenizer = TokenStore(tokens), StudentTokenizer(byte_tokenizer())
    texts = [tokenizer.decode(store.tokens(number).tolist()) for number in range(len(store))]
    assert texts
    assert all(text.startswith("Question: What is ") and HINT not in text for text in texts)


def test_a_run_that_ended_goes_on_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    one, first = made(tmp_path), Students()
    outcome = run(one, first)
    assert outcome.report is not None
    before = (outcome.report / "star.json").read_bytes()
    again = Students()
    assert run(one, again).report == outcome.report
    assert [engine.seen for engine in again.engines] == [[], []]
    # As if it had been killed after the first round: its rows and replies stay, the rest is made again.
    for path in [*one.root.glob("students/tiny-star-1"), outcome.report]:
        shutil.rmtree(path)
    third = Students()
    run(one, third)
    assert [engine.seen for engine in third.engines] == [[], []]
    assert (outcome.report / "star.json").read_bytes() == before


def test_a_round_without_a_row_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(BillError, match=r"round 0 kept no rationale \(.*: the student cannot begin by itself"):
        run(made(tmp_path), lambda model, asks: ScriptedEngine(lambda request: "I do not know."))


def test_the_real_student_engine_asks_in_the_form_of_training(tmp_path: Path) -> None:
    """From scratch, with a rationale of its own on each question: round 0 learns those, and the loop closes."""
    one = made(tmp_path)
    given = [{**line, "rationale": f"It is {line['answer']}."} for line in PROBLEMS]
    (tmp_path / "problems" / "p.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in given))
    problems = {"read_qa": {"path": "problems", "readable_by": "numeric", "rationale": "rationale"}}
    one.write(**{**BILL, "sources": {"problems": problems}})
    outcome = run(one)
    assert outcome.report is not None
    report = json.loads((outcome.report / "star.json").read_bytes())
    assert [found["given"] for found in report["rounds"]] == [len(PAIRS)] * 2
    model = next(one.root.glob("students/tiny-star-1/*/model"))
    supervision = read_supervision(model)
    assert supervision is not None
    assert (supervision.target, supervision.template) == ("full_cot", "plain")


async def test_a_student_answers_by_its_own_form_and_refuses_what_it_was_not_told(tmp_path: Path) -> None:
    student = load_student(StudentSpec(scratch=Scratch(layers=1, width=16, heads=2)), context=64)
    save_student(student, tmp_path)
    supervision = Supervision(target="full_cot", template="plain")
    asks = {"Two?": Asked("Two?", ""), "Three?": Asked("Three?", "")}
    engine = StudentEngine(model=tmp_path, supervision=supervision, asks=asks, hardware=Hardware(device="cpu"))
    warm = Sampling(temperature=0.8, max_tokens=5)
    requests = [
        Request(messages=(system("Solve."), user(text)), sampling=sampling, seed=seed)
        for text, sampling, seed in [("Two?", warm, 1), ("Three?", Sampling(max_tokens=3), 0), ("Two?", warm, 2)]
    ]
    replies = {index: reply async for index, reply in engine.complete(requests)}
    alone = [reply async for _, reply in engine.complete(requests[:1])]
    assert [replies[0]] == alone
    assert replies[0].text != replies[2].text
    # "Question: Two?\nAnswer:", a byte a token.
    assert replies[0].prompt_tokens == len("Question: Two?\nAnswer:")
    assert replies[1].completion_tokens <= 3
    with pytest.raises(EngineRefused, match=r"answers the questions it was told of.*'Four\?'"):
        _ = [one async for one in engine.complete([Request(messages=(user("Four?"),))])]
    other = dataclasses.replace(supervision, system="Think.")
    again = StudentEngine(model=tmp_path, supervision=other, asks=asks, hardware=Hardware(device="cpu"))
    assert again.identity != engine.identity
    await engine.close()


def test_every_prompt_of_the_step_is_known_beforehand(tmp_path: Path) -> None:
    star = read_star(read_bill(made(tmp_path).bill))
    assert star is not None
    record = QA.new(question="Which?", options=("1", "2"), answer="2", context="A passage.")
    found = prompts(star, [record])
    assert len(found) == 2
    plain, hinted = found.values()
    assert plain == Asked("Which?\n\nA) 1\nB) 2", "A passage.")
    assert "Which?" in hinted.question
    assert "the right answer is 2" in hinted.question
    assert [star.steps_of(number) for number in range(3)] == [2, 3, 4]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"star": {**BILL["star"], "rounds": 0}}, r"tiny\.yaml:\d+: star\.rounds: from 1 to 100"),
        ({"star": {**BILL["star"], "growth": 0.5}}, r"star\.growth: is what the steps are multiplied with"),
        ({"star": {**BILL["star"], "steps": 0}}, r"star\.steps: at least one"),
        ({"star": {**BILL["star"], "from": "raw"}}, r"star\.from: no stream is called 'raw'"),
        (
            {"star": {**BILL["star"], "answer_lead": " => "}},
            r"star\.answer_lead: what leads to the answer must be one of",
        ),
        ({"star": {**BILL["star"], "target": "multitask"}}, r"star\.target: unknown field"),
        ({"star": {**BILL["star"], "draw": {"drawz": 1}}}, r"star\.draw\.drawz: unknown field \(did you mean draws"),
        ({"evaluate": {"questions": "test.jsonl"}}, r"star: chooses a round by `evaluate.validation`"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, sections: dict[str, Any], message: str) -> None:
    with pytest.raises(BillError, match=message):
        read_star(read_bill(made(tmp_path, **sections).bill))


def test_what_is_tested_is_not_learned_and_a_bill_without_rounds_is_told(tmp_path: Path) -> None:
    one = made(tmp_path)
    (tmp_path / "validation.jsonl").write_text('{"id": "v", "question": "What is  2 PLUS 2?", "answer": "4"}')
    with pytest.raises(BillError, match=r"validation\.jsonl asks .*which the stream 'problems' teaches"):
        run(one, Students())
    one.write(**{**BILL, "star": None, "student": None, "evaluate": None})
    with pytest.raises(BillError, match="has no `star` section"):
        run(one)


def test_of_equal_rounds_the_first_is_chosen(tmp_path: Path) -> None:
    class Fake:
        def __init__(self, number: int, accuracy: float) -> None:
            from train.intervals import Interval

            self.number = number
            measures = type("Measures", (), {"accuracy": Interval(accuracy, 0, 1)})()
            self.validation = type("Result", (), {"overall": measures})()

    rounds: Any = [Fake(0, 0.2), Fake(1, 0.6), Fake(2, 0.6)]
    assert best_of(rounds).number == 1
