"""One started engine of each kind, for the contract tests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mashbill.engine import Engine, Reply, Request, ScriptedEngine, TokenLogprob
from mashbill.errors import EngineRefused
from tests.contract.fake_openai import WORDS, FakeOpenai, instance, invent

CONTEXT = 4096


@asynccontextmanager
async def started(engine: Engine) -> AsyncIterator[Engine]:
    """Start it; close it twice."""
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()
        await engine.close()


@asynccontextmanager
async def scripted(_: Path) -> AsyncIterator[Engine]:
    """The fake in the product, with a script that minds the seed, the schema and the context."""
    async with started(ScriptedEngine(script, delay=0.001)) as engine:
        yield engine


def script(request: Request) -> str | Reply | Exception:
    """Words from a digest of the request, as the fake server makes them."""
    sampling = request.sampling
    words = sum(len(message.content.split()) for message in request.messages)
    if words > CONTEXT:
        return EngineRefused(f"{words} words and the model holds {CONTEXT}")
    if request.schema:
        schema = json.loads(request.schema)
        return json.dumps(instance(schema, schema), separators=(",", ":"))
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    made = invent({"messages": messages, "seed": request.seed, "temperature": sampling.temperature})
    if not sampling.logprobs:
        return " ".join(made)
    kept = made[: sampling.max_tokens]
    top = tuple((word, -0.5 - rank) for rank, word in enumerate(WORDS[: sampling.logprobs]))
    return Reply(
        text=" ".join(kept),
        finish_reason="length",
        prompt_tokens=words,
        completion_tokens=len(kept),
        logprobs=tuple(TokenLogprob(token=word, logprob=-0.5, top=top) for word in kept),
    )


@asynccontextmanager
async def openai(_: Path) -> AsyncIterator[Engine]:
    """The openai engine and the fake server, which wants a key."""
    from synth.engines.openai import Openai
    from synth.engines.openai_run import OpenaiRun, Secret

    async with FakeOpenai(key="k", context=CONTEXT) as server:
        run = OpenaiRun(endpoints=(server.url,), keys=(Secret("k"),))
        async with started(Openai(model="fake", revision="1", run=run)) as engine:
            yield engine


@asynccontextmanager
async def openai_batches(place: Path) -> AsyncIterator[Engine]:
    """The openai engine at a provider's batch endpoint."""
    from synth.engines.batch_run import BatchRun
    from synth.engines.openai import Openai
    from synth.engines.openai_run import OpenaiRun, Secret
    from tests.support.fake_batches import FakeBatches

    async with FakeBatches(key="k", context=CONTEXT) as server:
        how = BatchRun(folder=place / "batches", poll=0.01, linger=0.001)
        run = OpenaiRun(endpoints=(server.url,), keys=(Secret("k"),), batch=how)
        async with started(Openai(model="fake", revision="1", run=run)) as engine:
            yield engine


@asynccontextmanager
async def transformers(place: Path) -> AsyncIterator[Engine]:
    """The transformers engine with random weights."""
    from synth.engines.transformers import Transformers

    random_checkpoint(place)
    async with started(Transformers(model=str(place))) as engine:
        yield engine


@asynccontextmanager
async def vllm(_: Path) -> AsyncIterator[Engine]:
    """A real server with the embedded model."""
    from synth.engines.vllm import Vllm

    async with started(Vllm()) as engine:
        yield engine


TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def random_checkpoint(place: Path) -> None:
    """A Llama of a few thousand random weights over single bytes, as a checkpoint directory."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {letter: i for i, letter in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    fast: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", bos_token="<|im_start|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(place)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        eos_token_id=vocabulary["<|im_end|>"],
        bos_token_id=vocabulary["<|im_start|>"],
        pad_token_id=vocabulary["<|endoftext|>"],
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(place)
