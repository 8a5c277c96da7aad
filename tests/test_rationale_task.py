"""The arithmetic task of the benchmark and of `examples/arithmetic`."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from benchmarks.rationale_run import ERRS, teacher
from benchmarks.rationale_task import MOST, main, problems, task_tokenizer
from mashbill.engine import Request, user
from mashbill.matching.checks import check_arithmetic
from train.tokenizer import StudentTokenizer


def test_chains_stay_within_bounds_and_their_equations_hold() -> None:
    chains = list(itertools.islice(problems(3, 6), 300))
    assert len({chain.question for chain in chains}) == 300
    for chain in chains:
        assert all(1 <= value <= MOST for value in chain.values)
        assert check_arithmetic(chain.rationale).passed
        assert chain.rationale.endswith(f"= {chain.answer}.")
    assert chains == list(itertools.islice(problems(3, 6), 300))
    assert chains != list(itertools.islice(problems(4, 6), 300))


def test_text_goes_through_the_tokenizer_unchanged() -> None:
    tokenizer = StudentTokenizer(task_tokenizer())
    for chain in itertools.islice(problems(0, 6), 50):
        text = f"predict: Question: {chain.question}\nAnswer: {chain.rationale}\nAnswer: {chain.answer}"
        (ids,) = tokenizer.ids([text])
        assert tokenizer.inner.unk_token_id not in ids
        assert tokenizer.decode(ids) == text


def test_the_teacher_errs_as_often_as_it_says() -> None:
    chains = list(itertools.islice(problems(0, 3), 1000))
    answer = teacher(chains)
    replies = [answer(Request(messages=(user(chain.question),))) for chain in chains]
    wrong = sum(not reply.endswith(f"#### {chain.answer}") for reply, chain in zip(replies, chains, strict=True))
    assert abs(wrong / len(chains) - ERRS) < 0.03


def test_the_files_of_the_example_are_what_the_task_writes(tmp_path: Path) -> None:
    main(["--steps", "3", "--problems", "1500", "--out", str(tmp_path)])
    kept = Path(__file__).parents[1] / "examples" / "arithmetic"
    asked = []
    for name in ("problems.jsonl", "validation.jsonl", "test.jsonl"):
        assert (tmp_path / name).read_bytes() == (kept / name).read_bytes()
        asked += [json.loads(line)["question"] for line in (kept / name).read_text().splitlines()]
    assert len(set(asked)) == 1700, "no question stands in two files"
