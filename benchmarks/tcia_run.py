"""One arm of the benchmark of task-centric instructions: its rows through the real steps, its plan, its student.

``("tcia", seed 0)`` -> 400 sets of constraints through `TCIA` with a scripted teacher -> a supervised plan with a fifth
of general tasks as replay -> a Llama of 0.7M weights -> what it writes to instructions with constraints kept back.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel

from benchmarks.benefit_run import stored_source
from benchmarks.tcia_task import (
    BASE,
    CARE,
    OTHER_TASKS,
    TASK_TYPE,
    Rules,
    answer,
    asked,
    instruction_of,
    notes,
    task_tokenizer,
)
from mashbill.asker import Asker
from mashbill.disk import write_bytes
from mashbill.engine import Request, ScriptedEngine
from mashbill.execute import execute
from mashbill.fingerprint import seed_of
from mashbill.ledger import Ledger
from mashbill.records import Constraint, Instruction, Operation, from_table
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import Step
from mashbill.store import Stored
from synth.generators.best_response import BestResponse
from synth.generators.evolve_instruction import EvolveInstruction
from synth.generators.fixed_instruction import FixedInstruction
from synth.generators.pair_contexts import PairContexts
from synth.generators.tcia import TCIA
from train.batches import PlanReader
from train.example_tokens import Rejected, Room, example_tables
from train.generate_eval import evaluate_written
from train.hardware import Hardware
from train.loop import Loop
from train.plan import PlanSpec
from train.plan_manifest import PlanManifest
from train.prompt_form import prompt_form
from train.questions import Question
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.student import load_student
from train.supervised_plan import build_supervised_plan
from train.supervision import Supervision
from train.tokenizer import load_tokenizer
from train.write_spec import WriteSpec

ARMS = ("fixed", "evolved", "tcia")
SEQUENCE, ROWS = 128, 8
REPLAY = 0.2
CONTEXTS = 3000
RESPOND = BestResponse(judge_constraints=False)
WRITE = WriteSpec(most_tokens=48)
ASKED = Supervision(target="answer_only", template="plain")


@dataclass(frozen=True)
class Arm:
    """What to run."""

    name: str
    seed: int
    instructions: int
    each: int
    """Inputs for one instruction."""
    tokens: int
    """Of training, replay included: the same for every arm."""
    work: Path

    @property
    def key(self) -> str:
        """Its name among the results."""
        return f"{self.name} seed={self.seed} instructions={self.instructions} each={self.each} tokens={self.tokens}"

    @property
    def store(self) -> Path:
        """Where its rows and its plan lie."""
        return self.work / f"{self.name}-{self.seed}-{self.instructions}-{self.each}"


class ArmResult(BaseModel):
    """What one run of one arm measured."""

    name: str
    seed: int
    rows: int
    texts: int
    """Different instructions among them."""
    on_task: float
    """Share of the rows that are still minutes."""
    tokens: int
    kept: dict[str, float]
    """Questions -> share of the answers that keep every constraint by code: ``seen``, ``unseen``."""
    done: dict[str, float]
    """Questions -> share of the answers that are the teacher's, the notes right too: with ``general`` tasks."""
    by_sort: dict[str, float]
    """Sort of the constraint kept back -> share of answers that keep it."""
    final_loss: float
    seconds: float
    """Of training, on one core."""


def run(arm: Arm, questions: int) -> ArmResult:
    """Write the rows, train, ask."""
    torch.set_num_threads(1)
    stored = asyncio.run(_written(arm))
    rows = [row for table in stored for row in from_table(table, Instruction)]
    _plan(arm, stored)
    reader = PlanReader(arm.store / "plan")
    scratch = Scratch(layers=3, width=128, heads=4, mlp_width=384, seed=arm.seed)
    student = load_student(StudentSpec(scratch=scratch, tokenizer=arm.store / "tokenizer"), context=SEQUENCE)
    recipe = TrainRecipe(learning_rate=2e-3, warmup_share=0.05)
    loop = Loop(student.model, reader, recipe, Hardware(device="cpu", micro_batch=ROWS))
    started = time.perf_counter()
    losses = [loop.step(step).loss for step in range(reader.steps)]
    seconds = time.perf_counter() - started
    kept, done, by_sort = dict[str, float](), dict[str, float](), dict[str, float]()
    for name in ("seen", "unseen", "general"):
        put = _questions(arm.seed, questions, name)
        result = evaluate_written(student, put, spec=WRITE, supervision=ASKED)
        texts = {row.id: row.text.strip() for row in result.rows}
        done[name] = sum(texts[one.id] == one.answer for one in put) / len(put)
        if name != "general":
            assert result.overall.accuracy is not None
            kept[name] = result.overall.accuracy.value
        if name == "unseen":
            by_sort = _by_sort(arm.seed, put, texts)
    return ArmResult(
        name=arm.name,
        seed=arm.seed,
        rows=len(rows),
        texts=len({row.text for row in rows}),
        on_task=sum(BASE in row.text for row in rows) / len(rows),
        tokens=reader.manifest.tokens,
        kept=kept,
        done=done,
        by_sort=by_sort,
        final_loss=sum(losses[-20:]) / len(losses[-20:]),
        seconds=seconds,
    )


def _questions(seed: int, count: int, name: str) -> list[Question]:
    """Questions with the teacher's answer; the constraints are checked by code, whatever else is said."""
    pairs: list[tuple[str, tuple[str, ...], str]]
    if name == "general":
        texts = itertools.islice(notes(seed, "test-general"), count)
        pairs = [(OTHER_TASKS[at % len(OTHER_TASKS)], (), text) for at, text in enumerate(texts)]
    else:
        found = asked(seed, count, name == "unseen")
        pairs = [(instruction_of(constraints), constraints, text) for constraints, text in found]
    return [
        Question(
            id=f"{name}-{at}",
            kind="short",
            question=text,
            context=context,
            answer=answer(text, context),
            matcher={"keeps": {"constraints": list(constraints)}} if constraints else "",
        )
        for at, (text, constraints, context) in enumerate(pairs)
    ]


def _by_sort(seed: int, put: Sequence[Question], texts: dict[str, str]) -> dict[str, float]:
    from mashbill.constraints import checker_of

    found: dict[str, list[bool]] = {}
    for sort, held in Rules.of(seed).unseen.items():
        for one in put:
            for text in held:
                if f"{text} ." in one.question and (checker := checker_of(text)):
                    found.setdefault(sort, []).append(checker.check(texts[one.id]).passed)
    return {sort: sum(passed) / len(passed) for sort, passed in sorted(found.items())}


async def _written(arm: Arm) -> Stored:
    """The arm's rows: every step that makes them is the real one, and only the model is scripted."""
    rules, rng = Rules.of(arm.seed), random.Random(seed_of("tcia_sets", arm.seed))
    contexts = arm.store / "contexts.jsonl"
    texts = itertools.islice(notes(arm.seed, "train"), CONTEXTS)
    write_bytes(contexts, "".join(f"{json.dumps({'text': text})}\n" for text in texts).encode())
    pair = PairContexts(contexts=str(contexts), each=arm.each)
    ledger = Ledger(arm.store / "ledger.sqlite")
    try:
        async with Asker(ScriptedEngine(teacher(rules), name=f"tcia-{arm.seed}"), ledger) as asker:
            runtime = Runtime(root=arm.store, asker=asker, records_in_flight=64)
            stored = stored_source(arm.store, _seeds(arm, rules, rng), Instruction)
            for step in _steps(arm, pair):
                stored = await execute(step, stored, runtime, RejectPolicy(share=1.0))
            return stored
    finally:
        await ledger.close()


def _steps(arm: Arm, pair: PairContexts) -> list[Step]:
    if arm.name == "tcia":
        return [TCIA(pair=pair, respond=RESPOND)]
    if arm.name == "evolved":
        return [EvolveInstruction(hops=3, chains=-(-arm.instructions // 3)), pair, RESPOND]
    return [FixedInstruction(count=arm.instructions), pair, RESPOND]


def _seeds(arm: Arm, rules: Rules, rng: random.Random) -> list[Instruction]:
    """The seed prompt for the baselines; for TCIA the sets that a search over the seen constraints comes to."""
    first = Instruction.new(text=instruction_of(("Use bullet points",)), task_type=TASK_TYPE, base_query=BASE)
    if arm.name != "tcia":
        return [first]
    sets = dict[frozenset[str], tuple[str, ...]]()
    while len(sets) < arm.instructions:
        drawn = rules.draw(rng, unseen=False)
        sets.setdefault(frozenset(drawn), drawn)
    return [
        Instruction.new(
            text="",
            task_type=TASK_TYPE,
            base_query=BASE,
            constraints=tuple(Constraint(category="format", text=text) for text in drawn),
            operations=tuple(Operation(name="add", constraint=text) for text in drawn),
            hop=len(drawn),
        )
        for drawn in sets.values()
    ]


def teacher(rules: Rules) -> Callable[[Request], str]:
    """A model that does each of the steps' questions by rule."""
    seen = rules.seen_texts

    def script(request: Request) -> str:
        text = request.messages[-1].content
        if not request.schema:
            context, _, instruction = text.partition("\n\n")
            return answer(instruction, context)
        inside = re.search(r"<instruction>\n(.*?)\n</instruction>", text, re.DOTALL)
        given = inside[1] if inside else ""
        wanted = re.findall(r"^\d+\. (.+)$", text, re.MULTILINE)
        names = set(json.loads(request.schema)["properties"])
        if "checks" in names:
            checks = [
                {"number": at, "reason": "It is read.", "stated": "yes" if one in given else "no"}
                for at, one in enumerate(wanted, 1)
            ]
            return json.dumps({"checks": checks})
        if "score" in names:
            return json.dumps({"reason": "It holds.", "score": 5})
        if "verdict" in names:
            return json.dumps({"reason": "They differ.", "verdict": "no"})
        return json.dumps({"instruction": instruction_of(wanted) if wanted else _evolved(text, given, request, seen)})

    return script


def _evolved(text: str, given: str, request: Request, seen: list[str]) -> str:
    """What rewriting does: one requirement more, words of care, or another task."""
    rng = random.Random(request.seed)
    if "new instruction" in text:
        return rng.choice(OTHER_TASKS)
    if "adding one more requirement" in text:
        return f"{given} {rng.choice(seen)} ."
    return f"{given} {rng.choice(CARE)}"


def _general(arm: Arm) -> Stored:
    """Tasks of no arm's making: what a student knows besides, as replay."""
    texts = itertools.islice(notes(arm.seed, "general"), CONTEXTS)
    pairs = [(OTHER_TASKS[at % len(OTHER_TASKS)], text) for at, text in enumerate(texts)]
    rows = [Instruction.new(text=task, context=text, response=answer(task, text)) for task, text in pairs]
    return stored_source(arm.store / "general", list({row.id: row for row in rows}.values()), Instruction)


def _plan(arm: Arm, stored: Stored) -> PlanManifest:
    place = arm.store / "tokenizer"
    task_tokenizer().save_pretrained(str(place))
    tokenizer = load_tokenizer(place)
    form, rejected, room = prompt_form(ASKED, tokenizer), Rejected(), Room(SEQUENCE, ROWS, SEQUENCE)
    streams = {
        name: list(example_tables(source, Instruction, form, room, stream=name, rejected=rejected))
        for name, source in {"task": stored, "general": _general(arm)}.items()
    }
    unknown = tokenizer.inner.unk_token_id
    tables = [table for own in streams.values() for table in own]
    if any(unknown in row for table in tables for row in table.column("tokens").to_pylist()):
        raise AssertionError(f"{arm.key}: a row has a word that the vocabulary lacks")
    spec = PlanSpec(
        tokens=arm.tokens,
        sequence_length=SEQUENCE,
        batch=ROWS,
        seed=arm.seed,
        replay="general",
        replay_share=REPLAY,
    )
    return build_supervised_plan(
        streams,
        spec=spec,
        supervision=ASKED,
        out=arm.store / "plan",
        tokenizer=tokenizer.identity,
        rejected=rejected,
    )
