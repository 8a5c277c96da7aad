"""The contract of `mashbill.engine.Engine`, held by every engine there is.

The openai engine talks to a fake server, the transformers engine runs a random model of a few thousand weights, and
the vllm engine (`make test-vllm`) a real server with the embedded model.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from pydantic import BaseModel, ConfigDict

from mashbill.engine import Engine, Reply, Request, Sampling, SingleEngine, canonical_json, system, user
from mashbill.errors import EngineRefused
from tests.contract.engines_under_test import openai, openai_batches, scripted, transformers, vllm

pytestmark = pytest.mark.asyncio(loop_scope="module")

Under = Callable[[Path], AbstractAsyncContextManager[Engine]]
ENGINES: tuple[Under, ...] = (scripted, openai, openai_batches, transformers, vllm)
GREEDY = Sampling(max_tokens=12, temperature=0.0)
ASK = Request(messages=(user("Name three things a barge carries."),), sampling=GREEDY)


class Verdict(BaseModel):
    """A shape with a bounded number of values, so that even random weights come to its end."""

    model_config = ConfigDict(extra="forbid")

    colour: Literal["red", "green"]
    sure: bool
    marks: Literal[1, 2, 3]


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[pytest.param(one, id=one.__name__, marks=[pytest.mark.vllm] * (one is vllm)) for one in ENGINES],
)
async def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    under: Under = request.param
    if under is transformers and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed: pip install 'mashbill[local]'")
    async with under(tmp_path_factory.mktemp(under.__name__)) as started:
        yield started


async def replies(engine: Engine, *requests: Request) -> list[Reply]:
    pairs = [pair async for pair in engine.complete(requests)]
    assert sorted(index for index, _ in pairs) == list(range(len(requests)))
    return [reply for _, reply in sorted(pairs, key=lambda pair: pair[0])]


async def reply(engine: Engine, request: Request) -> Reply:
    return (await replies(engine, request))[0]


def sampled(seed: int, max_tokens: int = 12) -> Request:
    return replace(ASK, sampling=Sampling(max_tokens=max_tokens), seed=seed)


async def test_it_is_an_engine(engine: Engine) -> None:
    assert isinstance(engine, Engine)
    assert engine.batch >= 1
    assert engine.calls >= 1


async def test_identity_says_what_and_not_where(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert engine.identity == engine.identity
    for where in ("://", "127.0.0.1", "localhost", "Bearer", str(Path.home()), str(tmp_path_factory.getbasetemp())):
        assert where not in engine.identity
    assert "/" in engine.identity


async def test_every_request_is_answered_once_with_its_own_reply(engine: Engine) -> None:
    requests = [replace(ASK, sampling=replace(GREEDY, max_tokens=1 + i)) for i in range(9)]
    answered = await replies(engine, *requests)
    for request, got in zip(requests, answered, strict=True):
        assert got.completion_tokens <= request.sampling.max_tokens
        if got.finish_reason == "length":
            assert got.completion_tokens == request.sampling.max_tokens


async def test_nothing_asked_nothing_answered(engine: Engine) -> None:
    assert await replies(engine) == []


async def test_what_is_answered_in_place_is_what_a_batch_of_one_gives(engine: Engine) -> None:
    if isinstance(engine, SingleEngine):
        assert engine.batch == 1
        assert await engine.answer(ASK) == await reply(engine, ASK)


async def test_max_tokens_cuts(engine: Engine) -> None:
    got = await reply(engine, replace(ASK, sampling=replace(GREEDY, max_tokens=2)))
    assert (got.finish_reason, got.completion_tokens) == ("length", 2)


async def test_greedy_repeats(engine: Engine) -> None:
    first, second = [await reply(engine, ASK) for _ in range(2)]
    assert first == second


async def test_a_seed_repeats_and_another_differs(engine: Engine) -> None:
    first, again = [await reply(engine, sampled(seed=11)) for _ in range(2)]
    assert first.text == again.text
    others = [await reply(engine, sampled(seed=seed)) for seed in (12, 13, 14)]
    assert any(other.text != first.text for other in others)


async def test_a_seed_repeats_with_every_sampling_parameter(engine: Engine) -> None:
    request = replace(ASK, sampling=Sampling(max_tokens=8, temperature=0.7, top_p=0.9, top_k=20), seed=5)
    first, again = [await reply(engine, request) for _ in range(2)]
    assert first.text == again.text


async def test_stop_strings_end_the_text_and_are_not_in_it(engine: Engine) -> None:
    request = sampled(seed=4, max_tokens=40)
    whole = (await reply(engine, request)).text
    letters = [i for i, letter in enumerate(whole) if letter.isalnum() and letter.isascii()]
    assert letters, f"the reply has no letter to stop at: {whole!r}"
    at = letters[len(letters) // 2]
    got = await reply(engine, replace(request, sampling=replace(request.sampling, stop=("\x01never", whole[at]))))
    assert whole[at] not in got.text
    assert got.text == whole[: whole.index(whole[at])]
    assert got.finish_reason == "stop"


async def test_a_schema_is_obeyed(engine: Engine) -> None:
    schema = canonical_json(Verdict.model_json_schema())
    for seed in range(3):
        request = Request(
            messages=(user("Judge the text. Answer in JSON."),),
            sampling=Sampling(max_tokens=120, temperature=1.0),
            schema=schema,
            seed=seed,
        )
        got = await reply(engine, request)
        assert got.finish_reason == "stop"
        Verdict.model_validate_json(got.text)


async def test_logprobs_when_asked(engine: Engine) -> None:
    assert (await reply(engine, ASK)).logprobs == ()
    got = await reply(engine, replace(ASK, sampling=replace(GREEDY, max_tokens=4, logprobs=3)))
    assert len(got.logprobs) == got.completion_tokens
    for token in got.logprobs:
        assert token.logprob <= 0
        assert len(token.top) >= 3
        # Greedy: the token chosen is the likeliest.
        assert token.logprob == pytest.approx(max(value for _, value in token.top))


async def test_any_text_may_be_asked(engine: Engine) -> None:
    said = (
        'Żółć, наводнение, 潮が満ちる, ملح, e\u0301, 👩‍👩‍👧‍👧, \u200b\ufeff, \t\r\n, <|im_end|>, "quoted" \\ {braces}'
    )
    got = await reply(engine, replace(ASK, messages=(system("Be brief."), user(said))))
    got.text.encode()
    assert got.prompt_tokens > 0
    assert got.completion_tokens > 0


async def test_how_a_message_is_split_changes_nothing(engine: Engine) -> None:
    text = ASK.messages[0].content
    assert await reply(engine, replace(ASK, messages=(user(text[:9], text[9:20], text[20:]),))) == await reply(
        engine, ASK
    )


async def test_no_special_token_in_the_text(engine: Engine) -> None:
    for got in await replies(engine, *(sampled(seed, max_tokens=48) for seed in range(4))):
        for special in ("<|im_end|>", "<|im_start|>", "<|endoftext|>"):
            assert special not in got.text


async def test_a_prompt_beyond_the_context_is_refused_and_the_engine_lives(engine: Engine) -> None:
    with pytest.raises(EngineRefused) as caught:
        await reply(engine, replace(ASK, messages=(user("the salt road and the barge " * 20_000),)))
    assert len(str(caught.value)) < 2000
    assert (await reply(engine, ASK)).text


async def test_leaving_early_leaves_the_engine_usable(engine: Engine) -> None:
    async def endless(requests: Sequence[Request]) -> None:
        while True:
            await replies(engine, *requests)

    task = asyncio.create_task(endless([sampled(seed, max_tokens=100) for seed in range(8)]))
    await asyncio.sleep(0.05)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (await reply(engine, ASK)).text


async def test_several_calls_at_once(engine: Engine) -> None:
    count = min(engine.calls, 4)
    both = await asyncio.gather(*(replies(engine, ASK, sampled(seed)) for seed in range(count)))
    assert len(both) == count


async def test_closing_twice_is_closing_once(engine: Engine, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    under: Under = request.node.callspec.params["engine"]
    if under is vllm:
        return  # the fixture closes it twice: a server of its own for this would take a minute
    async with under(tmp_path) as another:
        await reply(another, ASK)
        await another.close()
        await another.close()
