"""The student of the BoostQA benchmark: its words, its training on a plan of whole texts, its accuracy by cell.

A Llama of two layers and 0.1M weights reads questions as plain text; asked ``law Question kind ( doran-ka ) = ?
Answer``, it is right where its likeliest next word is.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from benchmarks.boostqa_world import DIFFICULTIES, FIELDS, GRADES, Cell, Item, World
from mashbill.fingerprint import seed_of
from mashbill.records import Document, Record, to_row, to_table
from train.batches import PlanReader
from train.hardware import Hardware
from train.loop import Loop
from train.plan import PlanSpec, build_plan
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.render import RenderSpec, render, token_tables
from train.render_qa import QuestionText
from train.student import Student, load_student, save_student
from train.tokenizer import StudentTokenizer

SEQUENCE, ROWS = 128, 8
TEMPLATES = ("Question {question}\nAnswer {answer} .\n{rationale}", "{question}\nAnswer {answer} .\n{rationale}")
"""Two plain forms in the words of the world, the answer before its reasons; the student is asked in the first."""
RENDER = RenderSpec(questions=QuestionText(templates=TEMPLATES))
ASKED = 40
"""Questions of each cell, as many of each grade: 600 in all."""
SHARES = {"mathematics": 0.7, "computing": 0.2, "law": 0.1}
"""Of general text: what the student has read before, and of what too little."""
LENGTHS = {1: 0.4, 2: 0.3, 3: 0.2, 4: 0.07, 5: 0.03}
NOTATIONS = {"primary": 0.8, "high": 0.2}


def tokenizer_of(world: World, place: Path) -> StudentTokenizer:
    """A token for each word of the world, saved where the student finds it."""
    symbols = ["<|endoftext|>", "<|unk|>", *dict.fromkeys(world.words())]
    inner = Tokenizer(models.WordLevel({word: at for at, word in enumerate(symbols)}, unk_token="<|unk|>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=symbols[0], unk_token=symbols[1])
    made.save_pretrained(str(place))
    return StudentTokenizer(made)


def general(world: World, count: int) -> list[Document]:
    """Texts of three worked questions each, in the mix that the student has read before: mostly easy ones."""
    rng, texts = random.Random(seed_of("general", world.seed)), dict[str, None]()
    while len(texts) < count:
        worked = []
        for _ in range(3):
            name = rng.choices(list(SHARES), list(SHARES.values()))[0]
            length = rng.choices(list(LENGTHS), list(LENGTHS.values()))[0]
            grade = rng.choices(list(NOTATIONS), list(NOTATIONS.values()))[0]
            row = world.qa(world.item(rng, name, length, grade))
            worked.append(render(to_row(row), RENDER))
        texts["\n\n".join(worked)] = None
    return [Document.new(text=text) for text in texts]


def held_out(world: World, each: int = ASKED, what: str = "held out") -> dict[Cell, list[Item]]:
    """Questions to be asked, by cell, as many of each grade."""
    rng = random.Random(seed_of(what, world.seed))
    return {
        (name, difficulty): [world.item(rng, name, difficulty, GRADES[at % len(GRADES)]) for at in range(each)]
        for name in FIELDS
        for difficulty in DIFFICULTIES
    }


def plan(
    place: Path,
    streams: Mapping[str, Sequence[Record]],
    tokenizer: StudentTokenizer,
    spec: PlanSpec,
) -> PlanReader:
    """The order of the data, from rows that are written out as plain text."""
    tables = {
        name: list(token_tables([to_table(rows, type(rows[0]))], tokenizer, RENDER)) for name, rows in streams.items()
    }
    unknown = tokenizer.inner.unk_token_id
    for name, found in tables.items():
        if any(unknown in row for table in found for row in table.column("tokens").to_pylist()):
            raise AssertionError(f"{name}: a text has a word that the vocabulary lacks; add it to World.words")
    build_plan(tables, spec=spec, out=place, tokenizer=tokenizer.identity)
    return PlanReader(place)


def trained(start: StudentSpec, reader: PlanReader, rate: float, save: Path | None = None) -> tuple[Student, float]:
    """A student after the steps of a plan, and its loss at the end."""
    student = load_student(start, context=SEQUENCE)
    recipe = TrainRecipe(learning_rate=rate, warmup_share=0.05)
    loop = Loop(student.model, reader, recipe, Hardware(device="cpu", micro_batch=ROWS))
    losses = [loop.step(step).loss for step in range(reader.steps)]
    if save is not None:
        save_student(student, save)
    return student, sum(losses[-20:]) / len(losses[-20:])


def scratch(world: World, tokenizer: Path) -> StudentSpec:
    """The student before it has read anything."""
    return StudentSpec(
        scratch=Scratch(layers=2, width=96, heads=4, mlp_width=256, seed=world.seed), tokenizer=tokenizer
    )


@torch.inference_mode()
def accuracies(student: Student, world: World, asked: Mapping[Cell, Sequence[Item]]) -> dict[Cell, list[bool]]:
    """Cell -> for each of its questions whether the likeliest next word is the answer."""
    prompts: dict[int, list[tuple[Cell, int, list[int], str]]] = defaultdict(list)
    for cell, items in asked.items():
        for at, item in enumerate(items):
            ids = student.tokenizer.ids([f"{item.field} Question {item.text} Answer"])[0]
            prompts[len(ids)].append((cell, at, ids, world.answer(item)))
    right = {cell: [False] * len(items) for cell, items in asked.items()}
    student.model.eval()
    for group in prompts.values():  # those of one length need no padding
        logits = student.model(input_ids=torch.tensor([ids for _, _, ids, _ in group]), use_cache=False).logits[:, -1]
        for (cell, at, _, answer), said in zip(group, logits.argmax(-1).tolist(), strict=True):
            right[cell][at] = student.tokenizer.decode([said]).strip() == answer
    student.model.train()
    return right
