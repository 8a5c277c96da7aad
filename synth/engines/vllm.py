"""A vLLM server that Mashbill starts, watches and stops, in an environment of its own (`make vllm`).

>>> Vllm(model="Qwen/Qwen3-8B", revision="9c925d64").identity
'vllm/Qwen/Qwen3-8B@9c925d64'

It is not imported: vLLM pins fastapi and transformers below what the rest needs. Requests go through the `openai`
engine's transport. A server of your own is just a URL: use `openai`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from mashbill import embedded, logs
from mashbill.engine import Reply, Request
from mashbill.errors import EngineDown, SettingsError
from synth.engines.openai import Openai
from synth.engines.openai_run import OpenaiRun
from synth.engines.transformers import directory_digest
from synth.engines.vllm_server import VllmRun, VllmServer

logger = logs.logger("engine")


@dataclass(frozen=True, kw_only=True, eq=False)
class Vllm:
    """A model served by a vLLM server of our own."""

    model: str = embedded.NAME
    """``smollm2-135m-instruct`` (embedded), a checkpoint directory, or a model's name with a revision."""
    revision: str = ""
    """For a model by name: the commit, so that the same bill means the same weights tomorrow."""
    run: VllmRun = field(default_factory=VllmRun.from_env, metadata={"identity": False}, repr=False)
    _state: _State = field(default_factory=lambda: _State(), init=False, metadata={"identity": False}, repr=False)

    @property
    def identity(self) -> str:
        """``vllm/<model>@<revision>``; a directory's revision is a digest of its weights and tokenizer.

        Raises:
            SettingsError: when the model is neither embedded, nor a directory, nor a name with a revision.
        """
        if self.model == embedded.NAME:
            return f"vllm/{embedded.embedded_model_id()}"
        if Path(self.model).is_dir():
            return f"vllm/local@{directory_digest(Path(self.model))}"
        if self.revision:
            return f"vllm/{self.model}@{self.revision}"
        raise SettingsError(
            f"the model {self.model!r} is neither {embedded.NAME!r} nor a directory here: for a model by name give its "
            "revision too (a commit), or give the path of a checkpoint directory"
        )

    @property
    def batch(self) -> int:
        """One, as for `openai`: the server makes the batches."""
        return 1

    @property
    def calls(self) -> int:
        """As many as the server is given at once."""
        return self.run.concurrency

    @property
    def server(self) -> VllmServer | None:
        """The server under way, if any."""
        return self._state.server

    async def start(self) -> None:
        """Start the server and wait until it is ready.

        Raises:
            SettingsError: when its environment is absent.
            EngineDown: when it does not come up, with the end of its log.
        """
        async with self._state.lock:
            if self._state.server is None:
                await self._bring_up()

    async def close(self) -> None:
        """Stop the server and everything it started."""
        async with self._state.lock:
            await self._bring_down()
            self._state.restarts = 0

    async def answer(self, request: Request) -> Reply:
        """Answer one request in place; a server that died is started once more."""
        while True:
            await self.start()
            client = self._state.client
            assert client is not None
            try:
                return await client.answer(request)
            except EngineDown as error:
                await self._revive(client, error)

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        """Answer the requests, each as soon as it is known; a server that died is started once more."""
        left = dict(enumerate(requests))
        while left:
            await self.start()
            client, indices = self._state.client, list(left)
            assert client is not None
            answers = cast("AsyncGenerator[tuple[int, Reply], None]", client.complete([left[i] for i in indices]))
            try:
                async with aclosing(answers):
                    async for position, reply in answers:
                        del left[indices[position]]
                        yield indices[position], reply
            except EngineDown as error:
                await self._revive(client, error)

    async def _revive(self, failed: Openai, error: EngineDown) -> None:
        state = self._state
        async with state.lock:
            if state.client is not failed or state.server is None:
                return  # another call was first
            server = state.server
            if server.alive:
                raise error
            if state.restarts >= self.run.restarts:
                raise EngineDown(
                    f"the vLLM server for {self._name} died {state.restarts + 1} times; mend what its log "
                    f"{server.log} ends with, then run the same command:\n{server.tail()}"
                ) from error
            logger.warning("the vLLM server for %s died; starting it again (log: %s)", self._name, server.log)
            state.restarts += 1
            await self._bring_down()
            await self._bring_up()

    async def _bring_up(self) -> None:
        server = VllmServer(name=self._name, weights=self._weights(), revision=self.revision, run=self.run)
        await server.start()
        how = OpenaiRun(
            endpoints=(server.url,),
            keys=(server.key,),
            concurrency=self.run.concurrency,
            first=self.run.concurrency,
            timeout=self.run.timeout,
            tries=3,  # it is on this machine: past that it is dead or ill
        )
        client = Openai(model=self._name, run=how)
        await client.start()
        self._state.server, self._state.client = server, client

    async def _bring_down(self) -> None:
        client, self._state.client = self._state.client, None
        server, self._state.server = self._state.server, None
        if client is not None:
            await client.close()
        if server is not None:
            await server.stop()

    @property
    def _name(self) -> str:
        return self.identity.removeprefix("vllm/").split("@")[0]

    def _weights(self) -> str:
        if self.model == embedded.NAME:
            return str(embedded.embedded_model_dir())
        return str(Path(self.model).resolve()) if Path(self.model).is_dir() else self.model


@dataclass
class _State:
    """What is open; the engine itself is frozen."""

    server: VllmServer | None = None
    client: Openai | None = None
    restarts: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
