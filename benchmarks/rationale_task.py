"""A small arithmetic task: a chain of sums, differences and products, with its steps and its answer.

Chain of 4 steps, seed 0 (one of millions)::

    question   Start with 38, take 2, add 6, add 8, add 7.
    rationale  38 - 2 = 36. 36 + 6 = 42. 42 + 8 = 50. 50 + 7 = 57.
    answer     57

Every number on the way lies from 1 to 99, so a step is one of some two thousand facts and easy. The chain is not: each
step wants the result of the one before, so a student of two layers that has to say the answer at once has fewer layers
than steps, and the same student that writes the steps down has them all in sight. The files of `examples/arithmetic`
are made by::

    .venv/bin/python -m benchmarks.rationale_task --steps 3 --problems 1500 --out examples/arithmetic
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mashbill.disk import write_bytes
from mashbill.fingerprint import seed_of

MOST = 99
_SIGNS = {"add": "+", "take": "-", "times": "*"}
_PIECES = r"[A-Za-z]+ ?|[0-9]| ?[^\sA-Za-z0-9] ?|\n| "
"""A word or a mark with the space around it, a figure, an end of line. Figures have no space, so that there is one
token for each: with two, the facts have to be learned four times over."""
_WORDS = ("a", "Start ", "with ", "add ", "take ", "times ", "Question", "Answer", "predict", "explain")
_MARKS = (", ", ".", ". ", ":", ": ", " = ", " + ", " - ", " * ", " ", "\n")


@dataclass(frozen=True)
class Problem:
    """One chain."""

    start: int
    steps: tuple[tuple[str, int], ...]

    @property
    def question(self) -> str:
        """What is asked."""
        chain = ", ".join(f"{name} {number}" for name, number in self.steps)
        return f"Start with {self.start}, {chain}."

    @property
    def values(self) -> tuple[int, ...]:
        """The number before the first step and after each."""
        values = [self.start]
        for name, number in self.steps:
            values.append(_taken(name, values[-1], number))
        return tuple(values)

    @property
    def rationale(self) -> str:
        """The steps as equations."""
        values = self.values
        return " ".join(
            f"{before} {_SIGNS[name]} {number} = {after}."
            for (name, number), before, after in zip(self.steps, values, values[1:], strict=False)
        )

    @property
    def answer(self) -> str:
        """The last number."""
        return str(self.values[-1])


def problems(seed: int, steps: int) -> Iterator[Problem]:
    """Different chains without end."""
    rng = random.Random(seed_of("rationale_task", seed, steps))
    seen: set[Problem] = set()
    while True:
        problem = _problem(rng, steps)
        if problem not in seen:
            seen.add(problem)
            yield problem


def _problem(rng: random.Random, steps: int) -> Problem:
    start = value = rng.randint(1, MOST)
    taken: list[tuple[str, int]] = []
    while len(taken) < steps:
        name = rng.choice(tuple(_SIGNS))
        number = rng.randint(2, 3) if name == "times" else rng.randint(1, 9)
        after = _taken(name, value, number)
        if 1 <= after <= MOST:
            taken.append((name, number))
            value = after
    return Problem(start, tuple(taken))


def _taken(name: str, value: int, number: int) -> int:
    return {"add": value + number, "take": value - number, "times": value * number}[name]


def task_tokenizer() -> PreTrainedTokenizerFast:
    """A token for each word, figure and mark of the task; text goes through it and back unchanged."""
    symbols = ["<|endoftext|>", "<|unk|>", *_WORDS, *_MARKS, *"0123456789"]
    inner = Tokenizer(models.WordLevel({symbol: at for at, symbol in enumerate(symbols)}, unk_token="<|unk|>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), "isolated")
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=symbols[0], unk_token=symbols[1])


def write_tokenizer(place: Path) -> Path:
    """The tokenizer where a student finds it."""
    task_tokenizer().save_pretrained(str(place))
    return place


def main(arguments: Sequence[str] | None = None) -> None:
    """Write problems with their rationales, a hundred questions each for validation and test, and the tokenizer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=3, help="of a chain")
    parser.add_argument("--problems", type=int, default=1500, help="to learn from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    chains = problems(options.seed, options.steps)
    learned = [
        {"question": one.question, "rationale": one.rationale, "answer": one.answer}
        for one in itertools.islice(chains, options.problems)
    ]
    _lines(options.out / "problems.jsonl", learned)
    for name in ("validation", "test"):
        asked = [
            {"id": f"{name}-{number}", "question": one.question, "answer": one.answer}
            for number, one in enumerate(itertools.islice(chains, 100))
        ]
        _lines(options.out / f"{name}.jsonl", asked)
    write_tokenizer(options.out / "tokenizer")


def _lines(path: Path, rows: Sequence[dict[str, str]]) -> None:
    write_bytes(path, "".join(f"{json.dumps(row)}\n" for row in rows).encode())


if __name__ == "__main__":
    main()
