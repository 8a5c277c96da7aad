"""One arm of the benefit benchmark: its corpus through the real steps, its plan, its student, its accuracy.

``("entigraph", seed 0)`` -> Entigraph executed over 120 documents -> a plan of 70 % texts and 30 % questions ->
a Llama of 0.9M weights -> ``{"curve": [[153600, 0.07], …, [1251328, 0.99]], …}``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from benchmarks.benefit_corpus import WORDINGS, Person, Teacher, World, question
from filters.minhash_dedup import MinhashDedup
from mashbill.asker import Asker
from mashbill.counts import Counts
from mashbill.disk import file_digest, write_json, write_parquet
from mashbill.engine import ScriptedEngine
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import Document, Record, Reject, to_table
from mashbill.runtime import Runtime
from mashbill.step import Step
from mashbill.store import Manifest, PartEntry, Stored, part_name
from synth.generators.entigraph import Entigraph
from synth.generators.rephrase import Rephrase
from train.batches import PlanReader
from train.hardware import Hardware
from train.loop import Loop
from train.plan import PlanSpec, build_plan
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.render import RenderSpec, token_tables
from train.student import Student, load_student
from train.tokenizer import StudentTokenizer

SHARE_OF_QUESTIONS = 0.3
PLAIN = RenderSpec(domain=False, title=False)

MAIN_ARMS = ("raw", "rephrase", "entigraph")
MIN_WORDS = 20
"""The documents have some 45 words; the steps' default of 100 is for the paper's documents of 5,000."""

REPHRASE = Rephrase(copies=10, min_words=MIN_WORDS)
"""30 texts a document: the paper's baseline grew its corpus 29 times."""
ENTIGRAPH = Entigraph(max_triples=35, min_words=MIN_WORDS)
"""Seven entities a document: all 21 pairs and all 35 triples."""


class ArmResult(BaseModel):
    """What one run of one arm measured."""

    arm: str
    seed: int
    tokens: int
    texts: int
    corpus_tokens: int
    """Tokens of the arm's texts, without the questions."""
    passes: float
    """How often the texts were read."""
    mentions: float
    """How often a value of a held-out person's fact stood in the training text, on average."""
    removed: float
    """Share of rows that deduplication took away."""
    rejected: dict[str, int]
    curve: list[tuple[int, float]]
    """Training tokens -> accuracy on the people without questions in training."""
    trained_people: float
    """Accuracy at the end on the people with questions in training."""
    final_loss: float
    seconds: float

    @property
    def accuracy(self) -> float:
        """Accuracy at the end on the people without questions in training."""
        return self.curve[-1][1]


@dataclass(frozen=True)
class Arm:
    """What to run."""

    name: str
    seed: int
    tokens: int
    work: Path

    @property
    def key(self) -> str:
        """Its name among the results."""
        return f"{self.name} seed={self.seed} tokens={self.tokens}"

    @property
    def plan_dir(self) -> Path:
        """Where its plan lies."""
        return self.work / f"seed-{self.seed}" / "plans" / f"{self.name}-{self.tokens}"


@dataclass(frozen=True)
class Prepared:
    """An arm ready to train."""

    arm: Arm
    texts: int
    corpus_tokens: int
    mentions: float
    removed: float
    rejected: dict[str, int]


def prepare(arm: Arm) -> Prepared:
    """Make the arm's corpus through the real steps, and plan its training."""
    world = World.made(arm.seed)
    stored = asyncio.run(_corpus(arm, world))
    tokenizer = _tokenizer(arm, world)
    known, held_out = world.halves()
    texts = list(token_tables(stored, tokenizer, PLAIN))
    unknown = tokenizer.inner.unk_token_id
    if any(unknown in row for table in texts for row in table.column("tokens").to_pylist()):
        raise AssertionError(f"{arm.key}: a text has a word that the vocabulary lacks; add it to World.vocabulary")
    lines = [Document.new(kind="qa", text=f"{question(p, name)} {p.facts[name]}") for p in known for name in p.facts]
    streams = {"text": texts, "qa": list(token_tables([to_table(lines, Document)], tokenizer, PLAIN))}
    shares = {"text": 1 - SHARE_OF_QUESTIONS, "qa": SHARE_OF_QUESTIONS}
    spec = PlanSpec(tokens=arm.tokens, sequence_length=128, batch=16, shares=shares, seed=arm.seed)
    plan = build_plan(streams, spec=spec, out=arm.plan_dir, tokenizer=tokenizer.identity)
    passes = plan.streams["text"].planned_tokens / plan.streams["text"].tokens
    counts = stored.manifest.counts
    return Prepared(
        arm=arm,
        texts=counts.kept,
        corpus_tokens=plan.streams["text"].tokens,
        mentions=passes * _mentions(stored, held_out),
        removed=counts.rejects / counts.attempts if "dedup" in arm.name else 0.0,
        rejected=counts.rejected,
    )


async def _corpus(arm: Arm, world: World) -> Stored:
    root = arm.work / f"seed-{arm.seed}" / "store"
    source = stored_source(root, [person.document for person in world.people], Document)
    if arm.name == "raw":
        return source
    ledger = Ledger(root / "ledger.sqlite")
    try:
        engine = ScriptedEngine(Teacher(world), name=f"perfect-teacher-{arm.seed}")
        async with Asker(engine, ledger) as asker:
            runtime = Runtime(root=root, asker=asker)
            name, _, threshold = arm.name.partition("_dedup_")
            stored = await execute({"rephrase": REPHRASE, "entigraph": ENTIGRAPH}[name], source, runtime)
            if threshold:
                # Across documents only equal texts go, so that the threshold within one is all that differs.
                dedup: Step = MinhashDedup(threshold=1.0, within_source_threshold=float(threshold))
                stored = await execute(dedup, stored, runtime)
            return stored
    finally:
        await ledger.close()


def stored_source(root: Path, records: Sequence[Record], kind: type[Record]) -> Stored:
    """Records that were never in a file, as a source would have stored them."""
    place = root / "read" / kind.__name__.lower()
    rows, none = place / part_name(0), place / "rejects" / part_name(0)
    write_parquet(rows, to_table(records, kind))
    write_parquet(none, to_table([], Reject))
    counts = Counts(read=len(records), attempts=len(records), kept=len(records))
    part = PartEntry(name=rows.name, sha256=file_digest(rows), rejects_sha256=file_digest(none), counts=counts)
    manifest = Manifest(
        step="read", kind=kind.__name__, fingerprint=part.sha256, identity={}, parts=(part,), counts=counts
    )
    write_json(place / "manifest.json", manifest.model_dump(mode="json"))
    return Stored.open(place)


def _tokenizer(arm: Arm, world: World) -> StudentTokenizer:
    """A word-level tokenizer of the world's words, saved where the student finds it."""
    symbols = ["<|endoftext|>", "<|unk|>", *world.vocabulary()]
    inner = Tokenizer(models.WordLevel({word: at for at, word in enumerate(symbols)}, unk_token="<|unk|>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=symbols[0], unk_token=symbols[1])
    made.save_pretrained(str(arm.plan_dir / "tokenizer"))
    return StudentTokenizer(made)


def _mentions(stored: Stored, people: tuple[Person, ...]) -> float:
    """How often one pass over the corpus names the value of a fact beside its person, on average."""
    values = {person.name: set(person.facts.values()) for person in people}
    found = 0
    for table in stored:
        for row in table.select(["title", "text"]).to_pylist():
            held = values.get(row["title"], set())
            found += sum(word in held for word in row["text"].split())
    return found / sum(len(facts) for facts in values.values())


def train(prepared: Prepared, points: int = 8) -> ArmResult:
    """Train the arm's student and measure it at `points` equal steps of the run."""
    torch.set_num_threads(1)
    arm, started = prepared.arm, time.perf_counter()
    scratch = Scratch(layers=4, width=128, heads=4, mlp_width=384, seed=arm.seed)
    student = load_student(StudentSpec(scratch=scratch, tokenizer=arm.plan_dir / "tokenizer"), context=128)
    reader = PlanReader(arm.plan_dir)
    recipe = TrainRecipe(learning_rate=2e-3, warmup_share=0.05)
    loop = Loop(student.model, reader, recipe, Hardware(device="cpu", micro_batch=16))
    world = World.made(arm.seed)
    known, held_out = world.halves()
    stops = {round(reader.steps * (point + 1) / points) for point in range(points)}
    curve, losses = [], []
    for step in range(reader.steps):
        losses.append(loop.step(step).loss)
        if step + 1 in stops:
            curve.append((reader.tokens_until(step + 1), accuracy(student, world, held_out)))
    stream = reader.manifest.streams["text"]
    return ArmResult(
        arm=arm.name,
        seed=arm.seed,
        tokens=reader.manifest.tokens,
        texts=prepared.texts,
        corpus_tokens=prepared.corpus_tokens,
        passes=stream.planned_tokens / stream.tokens,
        mentions=prepared.mentions,
        removed=prepared.removed,
        rejected=prepared.rejected,
        curve=curve,
        trained_people=accuracy(student, world, known),
        final_loss=sum(losses[-10:]) / len(losses[-10:]),
        seconds=time.perf_counter() - started,
    )


@torch.inference_mode()
def accuracy(student: Student, world: World, people: tuple[Person, ...]) -> float:
    """The share of facts whose value gets the highest logit of the attribute's twenty; chance is 5 %."""
    student.model.eval()
    right = 0
    for attribute in WORDINGS:
        # The questions of one attribute have equally many words, so they need no padding.
        ids = torch.tensor(student.tokenizer.ids([question(person, attribute) for person in people]))
        choices = torch.tensor([ids[0] for ids in student.tokenizer.ids(list(world.values[attribute]))])
        logits = student.model(input_ids=ids, use_cache=False).logits[:, -1, choices]
        answers = [world.values[attribute][at] for at in logits.argmax(-1).tolist()]
        right += sum(answer == person.facts[attribute] for answer, person in zip(answers, people, strict=True))
    student.model.train()
    return right / (len(people) * len(WORDINGS))
