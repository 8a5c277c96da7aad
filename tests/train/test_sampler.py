from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from train.recipe import Scratch, StudentSpec
from train.sampler import Asked, Sampler, _Draw
from train.student import load_student


@pytest.fixture(scope="module")
def sampler(tiny: StudentSpec) -> Sampler:
    student = load_student(tiny, context=96)
    # Wider weights: the choices of a fresh model are near ties.
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in student.model.parameters():
            weight.normal_(0, 0.5)
    return Sampler(model=student.model.eval(), tokenizer=student.tokenizer, most_tokens=12)


def prompts(sampler: Sampler, texts: Sequence[str], seeds: Sequence[int]) -> list[Asked]:
    ids = sampler.tokenizer.ids(list(texts))
    return [Asked(tuple(one), seed) for one, seed in zip(ids, seeds, strict=True)]


TEXTS = ["a", "Question: how many?", "three bags of salt at four marks each", "b"]


@pytest.mark.parametrize(("temperature", "top_p"), [(0.0, 1.0), (1.0, 1.0), (0.7, 0.9)])
def test_an_answer_does_not_depend_on_its_neighbours(sampler: Sampler, temperature: float, top_p: float) -> None:
    warm = replace(sampler, temperature=temperature, top_p=top_p)
    asked = prompts(sampler, TEXTS * 3, range(len(TEXTS) * 3))
    together = warm.write(asked)
    alone = [warm.write([one])[0] for one in asked]
    narrow = replace(warm, batch_tokens=60).write(list(reversed(asked)))
    assert together == alone == narrow[::-1]


def test_a_seed_decides_the_draw(sampler: Sampler) -> None:
    warm = replace(sampler, temperature=1.0)
    first, again, other = warm.write(prompts(sampler, ["a", "a", "a"], [1, 1, 2]))
    assert first == again
    assert first.text != other.text


def test_greedy_is_the_argmax(sampler: Sampler) -> None:
    (asked,) = prompts(sampler, ["salt"], [0])
    ids = list(asked.ids)
    for _ in range(sampler.most_tokens):
        with torch.no_grad():
            ids.append(int(sampler.model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] in sampler.tokenizer.ends:
            break
    written = sampler.write([asked])[0]
    assert written.text == sampler.tokenizer.decode(ids[len(asked.ids) :])


def test_draws_follow_the_softmax_at_the_temperature() -> None:
    scores = torch.tensor([2.0, 0.0, 1.0, -1.0])
    rows = 4000
    draw = _Draw(range(rows), width=1, steps=1, temperature=0.8, top_p=1.0)
    taken = Counter(draw(torch.zeros(rows, 1), scores.expand(rows, 4)).argmax(-1).tolist())
    expected = (scores / 0.8).softmax(-1).tolist()
    # Three deviations of a share over 4,000 draws.
    for token, share in enumerate(expected):
        assert abs(taken[token] / rows - share) < 3 * math.sqrt(share * (1 - share) / rows)


def test_top_p_keeps_the_fewest_that_reach_it() -> None:
    scores = torch.log(torch.tensor([0.1, 0.5, 0.3, 0.1]))

    def tokens(top_p: float) -> set[int]:
        draw = _Draw(range(300), width=1, steps=1, temperature=1.0, top_p=top_p)
        return set(draw(torch.zeros(300, 1), scores.expand(300, 4)).argmax(-1).tolist())

    assert tokens(0.4) == {1}
    assert tokens(0.79) == {1, 2}
    assert tokens(0.85) == {0, 1, 2}
    assert tokens(1.0) == {0, 1, 2, 3}


def test_what_ended_an_answer_is_said(sampler: Sampler) -> None:
    cut = sampler.write(prompts(sampler, ["salt"], [0]))[0]
    assert (cut.finish, cut.tokens) == ("length", 12)
    # The student holds 96 tokens: here 5 are left, and here none.
    tight, full = sampler.write(prompts(sampler, ["x" * 91, "x" * 96], [0, 0]))
    assert (tight.finish, tight.tokens) == ("no_room", 5)
    assert (full.finish, full.tokens, full.text) == ("no_room", 0, "")
    assert sampler.write([]) == []


def test_a_stop_string_ends_the_answer_and_is_not_in_it(sampler: Sampler) -> None:
    warm = replace(sampler, temperature=1.0)
    asked = prompts(warm, ["salt"] * 1000, range(1000))
    whole = warm.write(asked)
    # Up to the first half character: what one decodes to changes with the next token.
    heads = [(one, text.text, text.text.partition("\ufffd")[0]) for one, text in zip(asked, whole, strict=True)]
    plain = [(one, text) for one, text, head in heads if len(head) > 3 and head.isprintable()]
    assert len(plain) > 2
    for one, text in plain:
        stop = text[2:4]
        stopped = replace(warm, stop=(stop, "never written")).write([one])[0]
        assert (stopped.text, stopped.finish) == (text[: text.index(stop)], "stop")
        # As many tokens as complete the stop string: one fewer does not.
        shorter, enough = (replace(warm, most_tokens=stopped.tokens - less).write([one])[0].text for less in (1, 0))
        assert stop in enough
        assert stop not in shorter


def test_an_end_token_ends_the_answer(sampler: Sampler) -> None:
    taught = load_student(StudentSpec(scratch=Scratch(layers=1, width=16, heads=2)), context=32)
    end = taught.tokenizer.end
    with torch.no_grad():
        taught.model.get_input_embeddings().weight.zero_()
        taught.model.get_input_embeddings().weight[end] = 1.0
        taught.model.get_input_embeddings().weight[5] = 1.0
    writer = Sampler(model=taught.model.eval(), tokenizer=taught.tokenizer, most_tokens=40, temperature=1.0)
    written = writer.write([Asked((5,), seed) for seed in range(30)])
    # Two tokens are likely, the end and one letter; 31 letters in a row do not come in 30 answers.
    assert {one.finish for one in written} == {"stop"}
    assert all(one.tokens == len(one.text) + 1 for one in written)
    assert len({one.tokens for one in written}) > 2


def test_a_stop_string_is_looked_for_in_the_answer_alone(sampler: Sampler) -> None:
    """A chat prompt ends with a line of its own, which is no half of a stop string."""
    asked = prompts(sampler, [f"salt{letter}" for letter in string.ascii_letters], [0] * 52)
    written = sampler.write(asked)
    seen = 0
    for one, letter, text in zip(asked, string.ascii_letters, written, strict=True):
        stop = letter + text.text[:1]
        if len(stop) == 2 and stop.isprintable() and stop not in text.text:
            assert replace(sampler, stop=(stop,)).write([one]) == [text]
            seen += 1
    assert seen > 2
