"""One arm of the benchmark of rationale targets: its rows through the real steps, its plan, its student, its answers.

``("full_cot", seed 0)`` -> `TeacherRationale` executed over 20,000 questions -> a supervised plan of 1.5M tokens -> a
Llama of 0.4M weights -> what it writes to 300 questions that nobody was taught.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel

from benchmarks.benefit_run import stored_source
from benchmarks.rationale_task import Problem, problems, write_tokenizer
from mashbill.asker import Asker
from mashbill.engine import Request, ScriptedEngine
from mashbill.execute import execute
from mashbill.fingerprint import seed_of
from mashbill.ledger import Ledger
from mashbill.records import QA, Rationale, to_row
from mashbill.runtime import Runtime
from mashbill.store import Stored
from synth.generators.teacher_rationale import TeacherRationale
from train.batches import PlanReader
from train.example_tokens import Rejected, Room, example_tables
from train.generate_eval import evaluate_written
from train.hardware import Hardware
from train.loop import Loop
from train.plan import PlanSpec
from train.plan_manifest import PlanManifest
from train.prompt_form import prompt_form
from train.questions import question_of
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.student import load_student
from train.supervised_plan import build_supervised_plan
from train.supervision import Supervision, Target
from train.tokenizer import load_tokenizer
from train.write_spec import WriteSpec

SEQUENCE, ROWS = 256, 2
"""Three worked answers in a row, six in an optimiser step: with thirty-two or with three a student learned less."""
ERRS = 0.1
"""Share of the questions to which the teacher reasons wrong: verification has to find them, and does."""
STEPS = 6
TEACHER = TeacherRationale(task="maths")
WRITE = WriteSpec(samples=8, k=(1, 8), temperature=0.7, most_tokens=80, matcher="numeric")


@dataclass(frozen=True)
class Arm:
    """What to run."""

    target: Target
    budget: str
    """``examples``: each question once; ``tokens``: the steps, and so the tokens, that `full_cot` takes for that."""
    seed: int
    questions: int
    work: Path

    @property
    def supervision(self) -> Supervision:
        """How its student is asked."""
        return Supervision(target=self.target, template="plain")

    @property
    def name(self) -> str:
        """Its name in tables."""
        return f"{self.target} at equal {self.budget}"

    @property
    def key(self) -> str:
        """Its name among the results."""
        return f"{self.name} seed={self.seed} questions={self.questions}"

    @property
    def store(self) -> Path:
        """Where the teacher's rows lie: all arms of a seed share them."""
        return self.work / f"seed-{self.seed}-{self.questions}"

    @property
    def plan_dir(self) -> Path:
        """Where its plan lies."""
        return self.store / "plans" / f"{self.target}-{self.budget}"


class ArmResult(BaseModel):
    """What one run of one arm measured."""

    target: Target
    budget: str
    seed: int
    tokens: int
    """Places of the plan that hold a token."""
    learned: int
    """Tokens that carried loss."""
    examples: int
    """Examples seen, both views of ``multitask`` as one."""
    accepted: int
    """Questions whose rationale passed verification, of all that were asked."""
    asked: int
    accuracy: float
    pass_at_1: float
    pass_at_8: float
    majority_at_8: float
    tokens_per_answer: float
    outcomes: dict[str, float]
    final_loss: float
    seconds: float
    """Of training, on one core."""

    @property
    def name(self) -> str:
        """Its name in tables."""
        return f"{self.target} at equal {self.budget}"


def run(arm: Arm, held_out: int) -> ArmResult:
    """Teach, train, ask."""
    torch.set_num_threads(1)
    chains = list(itertools.islice(problems(arm.seed, STEPS), arm.questions + held_out))
    stored = asyncio.run(_taught(arm, chains[held_out:]))
    _plan(arm, stored)
    reader = PlanReader(arm.plan_dir)
    scratch = Scratch(layers=2, width=128, heads=4, mlp_width=384, seed=arm.seed)
    student = load_student(StudentSpec(scratch=scratch, tokenizer=arm.store / "tokenizer"), context=SEQUENCE)
    recipe = TrainRecipe(learning_rate=2e-3, warmup_share=0.05)
    loop = Loop(student.model, reader, recipe, Hardware(device="cpu", micro_batch=ROWS))
    started = time.perf_counter()
    losses = [loop.step(step).loss for step in range(reader.steps)]
    seconds = time.perf_counter() - started
    questions = [question_of(to_row(_asked(chain))) for chain in chains[:held_out]]
    measured = evaluate_written(student, questions, spec=WRITE, supervision=arm.supervision).overall
    assert measured.accuracy is not None
    assert measured.tokens is not None
    assert reader.manifest.supervised is not None
    return ArmResult(
        target=arm.target,
        budget=arm.budget,
        seed=arm.seed,
        tokens=reader.manifest.tokens,
        learned=reader.manifest.supervised.learned,
        examples=reader.manifest.supervised.examples,
        accepted=stored.manifest.counts.kept,
        asked=arm.questions,
        accuracy=measured.accuracy.value,
        pass_at_1=measured.pass_at["1"].value,
        pass_at_8=measured.pass_at["8"].value,
        majority_at_8=measured.majority_at["8"].value,
        tokens_per_answer=measured.tokens.value,
        outcomes=dict(measured.outcomes),
        final_loss=sum(losses[-20:]) / len(losses[-20:]),
        seconds=seconds,
    )


def _asked(chain: Problem) -> QA:
    return QA.new(question=chain.question, answer=chain.answer)


async def _taught(arm: Arm, chains: list[Problem]) -> Stored:
    """The teacher's rows, made once by the real step: drawn, read, compared with the gold answer."""
    source = stored_source(arm.store, [_asked(chain) for chain in chains], QA)
    ledger = Ledger(arm.store / "ledger.sqlite")
    try:
        engine = ScriptedEngine(teacher(chains), name=f"teacher-{arm.seed}-{ERRS}")
        async with Asker(engine, ledger) as asker:
            return await execute(TEACHER, source, Runtime(root=arm.store, asker=asker))
    finally:
        await ledger.close()


def teacher(chains: list[Problem]) -> Callable[[Request], str]:
    """Works every chain out, and slips in the last step of one in ten."""
    known = {chain.question: chain for chain in chains}

    def answer(request: Request) -> str:
        chain = known[request.messages[-1].content]
        wrong = seed_of("slip", chain.question) % 1000 < 1000 * ERRS
        if not wrong:
            return f"{chain.rationale}\n#### {chain.answer}"
        last = str(int(chain.answer) + 1)
        return f"{chain.rationale.removesuffix(f'{chain.answer}.')}{last}.\n#### {last}"

    return answer


def _plan(arm: Arm, stored: Stored) -> PlanManifest:
    """The arm's plan: one pass over all rows, or the steps that `full_cot` takes for one pass."""
    supervision = arm.supervision
    tokenizer = load_tokenizer(write_tokenizer(arm.store / "tokenizer"))
    form, rejected = prompt_form(supervision, tokenizer), Rejected()
    tables = list(
        example_tables(stored, Rationale, form, Room(SEQUENCE, ROWS, SEQUENCE), stream="worked", rejected=rejected)
    )
    unknown = tokenizer.inner.unk_token_id
    if rejected.rows or any(unknown in row for table in tables for row in table.column("tokens").to_pylist()):
        raise AssertionError(f"{arm.key}: an example is too long or has a word that the vocabulary lacks")
    shape = PlanSpec(tokens=10**12, sequence_length=SEQUENCE, batch=ROWS, seed=arm.seed)
    if arm.budget == "tokens":
        steps = _plan(dataclasses.replace(arm, target="full_cot", budget="examples"), stored).steps
        spec = dataclasses.replace(shape, tokens=steps * ROWS * SEQUENCE)
    else:
        spec = dataclasses.replace(shape, max_repetitions=1, when_exhausted="stop")
    return build_supervised_plan(
        {"worked": tables},
        spec=spec,
        supervision=supervision,
        out=arm.plan_dir,
        tokenizer=tokenizer.identity,
        rejected=rejected,
    )
