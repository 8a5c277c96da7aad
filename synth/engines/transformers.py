"""The in-process engine: a transformers model on this machine, with no key and no network.

::

    Transformers()                                     the embedded SmolLM2-135M-Instruct
    Transformers(model="runs/student/final")           a checkpoint directory of your own
    Transformers(model="org/name", revision="a1b2c3")  a model in the local Hugging Face cache, pinned

It runs many rows at once and gives a finished row's place to the next request, computes a document that many requests
share once, writes its cache in place, and enforces JSON schemas while decoding. On a GPU with more than a few
thousand requests to answer, the vLLM engine is faster.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

from mashbill import embedded
from mashbill.disk import file_digest
from mashbill.engine import Reply, Request
from mashbill.engine_env import engine_environ
from mashbill.errors import SettingsError

if TYPE_CHECKING:
    from synth.engines.local_model import LocalModel

IDENTITY_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "*.safetensors",
    "*.bin",
    "*.model",
)
"""What decides a checkpoint's answers. Optimiser states and logs beside it do not."""

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True)
class TransformersRun:
    """How it runs; never identity."""

    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``; ``auto`` takes CUDA where there is one."""
    dtype: Dtype = "auto"
    """``auto`` is float32 on a CPU (bfloat16 products stop the process on CPUs without it) and bfloat16 on a GPU."""
    window: int = 256
    """Requests handed to one call."""
    rows: int = 0
    """Rows decoded at once; 0 chooses 64 on a CPU and 256 on a GPU."""
    tokens: int = 131_072
    """Rows times columns in the cache; a token of the embedded model takes 46 kB in float32."""
    prompt_tokens: int = 4_096
    """Prompt tokens computed at once."""
    prefix_bytes: int = 1 << 30
    """Memory for document beginnings kept between calls."""
    threads: int = 0
    """CPU threads; 0 leaves torch's own choice."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> TransformersRun:
        """Read ``MASHBILL_DEVICE``, ``MASHBILL_DTYPE``, ``MASHBILL_ENGINE_ROWS`` and ``MASHBILL_ENGINE_THREADS``.

        Raises:
            SettingsError: for a number or a type that cannot be read.
        """
        env = engine_environ(environ)
        dtype = env.get("MASHBILL_DTYPE", "") or cls.dtype
        if dtype not in get_args(Dtype):
            raise SettingsError(f"MASHBILL_DTYPE is {dtype!r}; wanted one of {', '.join(get_args(Dtype))}")
        return cls(
            device=env.get("MASHBILL_DEVICE", "") or cls.device,
            dtype=cast(Dtype, dtype),
            rows=_count(env, "MASHBILL_ENGINE_ROWS"),
            threads=_count(env, "MASHBILL_ENGINE_THREADS"),
        )


def _count(env: Mapping[str, str], name: str) -> int:
    text = env.get(name, "").strip() or "0"
    if not text.isdecimal():
        raise SettingsError(f"{name} is {text!r}; wanted a whole number, or nothing")
    return int(text)


@dataclass(kw_only=True)
class Transformers:
    """A transformers model in this process."""

    model: str = embedded.NAME
    """``smollm2-135m-instruct`` (embedded), a checkpoint directory, or a model's name with a revision."""
    revision: str = ""
    """For a model by name: the commit, so that the same bill means the same weights tomorrow."""
    run: TransformersRun = field(default_factory=TransformersRun.from_env)
    calls: int = field(default=1, init=False)
    """One call at a time: a second would only share the same cores."""
    _loaded: LocalModel | None = field(default=None, init=False, repr=False)
    _worker: ThreadPoolExecutor | None = field(default=None, init=False, repr=False)

    @property
    def batch(self) -> int:
        """Requests handed to one call."""
        return self.run.window

    @property
    def identity(self) -> str:
        """``transformers/<model>@<revision>``; a directory's revision is a digest of its weights and tokenizer.

        Raises:
            SettingsError: when the model is neither embedded, nor a directory, nor a name with a revision.
        """
        if self.model == embedded.NAME:
            return f"transformers/{embedded.embedded_model_id()}"
        if Path(self.model).is_dir():
            return f"transformers/local@{directory_digest(Path(self.model))}"
        if self.revision:
            return f"transformers/{self.model}@{self.revision}"
        raise SettingsError(
            f"the model {self.model!r} is neither {embedded.NAME!r} nor a directory here: for a model by name give its "
            "revision too (a commit), or give the path of a checkpoint directory"
        )

    async def start(self) -> None:
        """Load the weights, in the worker thread."""
        if self._loaded is None:
            self._worker = self._worker or ThreadPoolExecutor(max_workers=1, thread_name_prefix="transformers")
            self._loaded = await asyncio.get_running_loop().run_in_executor(self._worker, self._load)

    async def close(self) -> None:
        """Let the weights go; waits for a step under way."""
        worker, self._worker, self._loaded = self._worker, None, None
        if worker is not None:
            await asyncio.to_thread(worker.shutdown, cancel_futures=True)

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        """Answer the requests, each as soon as its row is done."""
        await self.start()
        assert self._loaded is not None
        assert self._worker is not None
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[int, Reply] | None] = asyncio.Queue()
        stop = threading.Event()

        def emit(index: int, reply: Reply) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, (index, reply))

        work = loop.run_in_executor(self._worker, self._loaded.answer, list(requests), emit, stop.is_set)
        # Runs after every `emit`, since both go through the loop in order.
        work.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (found := await queue.get()) is not None:
                yield found
            await work
        finally:
            stop.set()
            if work.done() and not work.cancelled():
                work.exception()  # seen, so that asyncio does not warn of it when the caller left early

    def _load(self) -> LocalModel:
        from synth.engines.local_model import LocalModel

        if self.model == embedded.NAME:
            return LocalModel.load(str(embedded.embedded_model_dir()), "", self.run)
        _ = self.identity  # refuses a name without a revision before anything is looked for
        return LocalModel.load(self.model, self.revision, self.run)


def directory_digest(place: Path) -> str:
    """A digest of a checkpoint directory's weights, configuration and tokenizer (16 hex digits).

    The bytes count, not the names and sizes: a student and the model it began from have the same of those.

    Raises:
        SettingsError: when the directory holds no checkpoint.
    """
    files = sorted({file for pattern in IDENTITY_FILES for file in place.glob(pattern)})
    if not any(file.suffix in {".safetensors", ".bin"} for file in files) or not (place / "config.json").is_file():
        raise SettingsError(f"{place} is not a checkpoint: config.json and *.safetensors were wanted there")
    digest = hashlib.sha256()
    for file in files:
        stat = file.stat()
        digest.update(f"{file.name}:{_file_digest(file, stat.st_size, stat.st_mtime_ns)}\n".encode())
    return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=256)
def _file_digest(file: Path, size: int, changed: int) -> str:
    return file_digest(file)
