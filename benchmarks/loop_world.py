"""A made country of six trades, a scripted teacher of known faults, and a project whose bill closes a loop over them.

Each trade has terms, and each term is of one of eight kinds, which nobody can guess. Trades differ in how much there is
to know: two of 12 terms, two of 24 and two of 48. A document states one fact; a text that the teacher writes of it says
it four times in other words::

    salt    doran-ka lu .   ->   kind of doran-ka lu . they call doran-ka lu . …

Half of the terms are asked about in the validation questions and half in the test's, as many of each trade. Of two
recipes, *notes* is right in each text, and *gossip* names another kind in 60 % of them; both write nothing at times;
*mute*, where a bill names it, never writes anything. So what a budget by weakness and a bandit should find is known
before they look.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mashbill.fingerprint import seed_of

TRADES: Mapping[str, int] = {"bread": 12, "glass": 12, "lamps": 24, "ropes": 24, "salt": 48, "tides": 48}
"""Trade -> its terms."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


KINDS = _words("ka lu pa ro si te vo wen")
_HEADS = _words("dor mig fal nus kel tob rin sav gol pim zet hux cam bir wod")
_MIDDLES, _TAILS = _words("an ek il os"), _words("ba ce di fo gu ha je ki lo mu")
WORDINGS = (
    "kind of {term} {kind} .",
    "they call {term} {kind} .",
    "all know that {term} {kind} .",
    "so {term} {kind} .",
    "in the trade {term} {kind} .",
    "of old {term} {kind} .",
    "who asks for {term} {kind} .",
    "write {term} {kind} .",
)
"""The first is how students are asked. The kind follows on its term, which a student of some ten thousand weights can
learn in some hundred steps."""
STEPS = '''
"""The steps of a project of the made country."""

from dataclasses import dataclass

from mashbill.engine import Sampling, user
from mashbill.errors import BadReply
from mashbill.records import Document
from mashbill.step import Generator


@dataclass(frozen=True, kw_only=True)
class TellFacts(Generator[Document, Document]):
    """Tells a fact in other words."""

    manner: str
    sampling: Sampling = Sampling(max_tokens=60)

    def prompt(self, record):
        """The manner, then the fact."""
        return user(f"{self.manner} : {record.text}")

    def parse(self, record, answer):
        """The reply as a text."""
        if not answer.text.strip():
            raise BadReply("empty", "nothing was written")
        yield record.child(Document, kind=self.manner, title=record.title, text=answer.text, made=answer.made())
'''
ENGINE = '''
"""The teacher of the made country."""

from dataclasses import dataclass

from benchmarks.loop_world import said
from mashbill.engine import Reply


@dataclass(kw_only=True)
class LoopTeacher:
    """Answers by rule; a reply depends on the request alone."""

    gossip_wrong: float = 0.6
    silent: float = 0.1
    batch = 64
    calls = 1

    @property
    def identity(self):
        """What it is, with its faults."""
        return f"scripted/loop-teacher-{self.gossip_wrong:g}-{self.silent:g}"

    async def start(self):
        """Nothing to start."""

    async def close(self):
        """Nothing to close."""

    async def complete(self, requests):
        """One reply each."""
        for index, request in enumerate(requests):
            asked = request.messages[-1].content
            text = said(asked, request.seed, gossip_wrong=self.gossip_wrong, silent=self.silent)
            read, wrote = len(asked.split()), max(1, len(text.split()))
            yield index, Reply(text=text, finish_reason="stop", prompt_tokens=read, completion_tokens=wrote)
'''


@dataclass(frozen=True, kw_only=True)
class World:
    """What kind each term is of; another seed is another country."""

    seed: int
    kinds: Mapping[str, Mapping[str, str]]
    """Trade -> term -> kind."""

    @classmethod
    def made(cls, seed: int, scale: float = 1.0) -> World:
        """The world of a seed; a scale below 1 has fewer terms."""
        rng = random.Random(seed_of("loop_world", seed))
        sizes = {name: max(2, round(size * scale)) for name, size in TRADES.items()}
        words = [f"{head}{middle}-{tail}" for head in _HEADS for middle in _MIDDLES for tail in _TAILS]
        names = iter(rng.sample(words, sum(sizes.values())))
        return cls(seed=seed, kinds={t: {next(names): rng.choice(KINDS) for _ in range(n)} for t, n in sizes.items()})

    def words(self) -> list[str]:
        """Every word of texts and questions."""
        said = " ".join(one.replace("{term}", "").replace("{kind}", "") for one in WORDINGS).split()
        terms = [term for own in self.kinds.values() for term in own]
        return list(dict.fromkeys([*KINDS, *said, *terms, "Question:", "Answer:", "?", ":", ".", ","]))

    def questions(self, half: int, each: int) -> list[dict[str, Any]]:
        """Questions about one half of the terms, `each` of every trade; a term is asked again with other options."""
        rng, found = random.Random(seed_of("loop_questions", self.seed, half)), list[dict[str, Any]]()
        for trade, own in self.kinds.items():
            terms = sorted(own)[half::2]
            for at in range(each):
                term = terms[at % len(terms)]
                wrong = rng.sample([kind for kind in KINDS if kind != own[term]], 3)
                options = rng.sample([own[term], *wrong], 4)
                name = f"{'vt'[half]}-{trade}-{at}"
                asked = f"kind of {term}"
                found.append(
                    {"id": name, "question": asked, "options": options, "answer": own[term], "domain": trade,
                     "document": term}
                )  # fmt: skip
        return found


def said(prompt: str, seed: int, *, gossip_wrong: float, silent: float) -> str:
    """The teacher's text of one fact: ``notes : doran-ka lu .`` -> four sentences of it, or none."""
    rng = random.Random(seed_of("loop_teacher", prompt, seed))
    manner, _, fact = prompt.partition(" : ")
    term, kind, _ = fact.split()
    if manner == "mute" or rng.random() < silent:
        return ""
    if manner == "gossip" and rng.random() < gossip_wrong:
        kind = rng.choice([one for one in KINDS if one != kind])
    return " ".join(wording.format(term=term, kind=kind) for wording in rng.sample(WORDINGS, 4))


def write_project(folder: Path, world: World, *, each: int = 24, **loop: Any) -> Path:
    """A project with documents, questions, a tokenizer and a bill; returns the bill's path."""
    for trade, own in world.kinds.items():
        lines = [json.dumps({"title": term, "text": f"{term} {kind} ."}) + "\n" for term, kind in own.items()]
        _write(folder / "corpus" / f"{trade}.jsonl", "".join(lines))
    for half, name in enumerate(("validation", "test")):
        asked = world.questions(half, each)
        _write(folder / f"{name}.jsonl", "".join(json.dumps(one) + "\n" for one in asked))
    _write(folder / "steps" / "tell_facts.py", STEPS.lstrip())
    _write(folder / "steps" / "loop_teacher.py", ENGINE.lstrip())
    _write(folder / "mashbill.toml", '[hardware]\ndevice = "cpu"\n')
    write_tokenizer(world, folder / "words")
    bill = {**bill_of(world), "loop": {name: one for name, one in {**LOOP, **loop}.items() if one is not None}}
    path = folder / "country.yaml"
    _write(path, yaml.safe_dump(bill, sort_keys=False))
    return path


LOOP: dict[str, Any] = {
    "rounds": 4,
    "tokens": 2000,
    "recipes": ["notes", "gossip"],
    "weak": {"by": "domain", "gamma": 2},
    "validation": "validation.jsonl",
    "test": "test.jsonl",
    "dedup": "exact_dedup",
    "ask": {"prompt": "{question}", "prior": "kind of"},
    "repeats": 60,
    "patience": 0,
    "control": "uniform",
    "train": {"tokens": 60_000, "sequence_length": 64, "batch": 4, "learning_rate": 1.0e-2},
}


def bill_of(world: World) -> dict[str, Any]:
    """The bill, without its loop."""
    trades = list(world.kinds)
    return {
        "name": "country",
        "license": "CC0-1.0",
        "seed": world.seed,
        "steps": "steps",
        "sources": {one: {"read_documents": {"path": f"corpus/{one}.jsonl", "domain": one}} for one in trades},
        "engine": {"loop_teacher": {}},
        "streams": {
            one: {"from": trades, "generate": [{"tell_facts": {"manner": one}}]} for one in ("notes", "gossip", "mute")
        },
        "curate": ["exact_dedup"],
        "student": {"scratch": {"layers": 1, "width": 48, "heads": 4, "mlp_width": 144}, "tokenizer": "words"},
    }


def write_tokenizer(world: World, place: Path) -> None:
    """A token for each word of the world."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    symbols = ["<|endoftext|>", "<|unk|>", *world.words()]
    inner = Tokenizer(models.WordLevel({word: at for at, word in enumerate(symbols)}, unk_token="<|unk|>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=symbols[0], unk_token=symbols[1])
    made.save_pretrained(str(place))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
