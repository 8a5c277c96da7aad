"""A loaded model with its tokenizer, answering requests in the calling thread."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from mashbill.engine import Reply, Request
from mashbill.errors import EngineDown, EngineRefused, RequestRefused, SettingsError
from synth.engines import shared_attention
from synth.engines.decode import Batch
from synth.engines.prefix import PrefixStore
from synth.engines.prompts import Prompts
from synth.engines.replies import Replies
from synth.engines.sampling import Row
from synth.engines.schema import Grammars

if TYPE_CHECKING:
    from synth.engines.transformers import TransformersRun

ATTENTION = {"full_attention", "sliding_attention"}
"""Layer kinds this engine can run: within its window a sliding layer is a full one."""


@dataclass(eq=False)
class LocalModel:
    """Weights, tokenizer and what is kept between calls."""

    model: Any
    tokenizer: Any
    run: TransformersRun

    def __post_init__(self) -> None:
        config = self.model.config.get_text_config()
        self.limit = context_limit(config)
        self.ends = _end_tokens(self.model, self.tokenizer)
        self.grammars = Grammars(self.tokenizer, config.vocab_size, sorted(_eos(self.model, self.tokenizer)))
        pad = self.tokenizer.pad_token_id
        self.prompts = Prompts(self.model, PrefixStore(self.run.prefix_bytes), self.run.prompt_tokens, pad or 0)
        self.rows = self.run.rows or (256 if self.model.device.type == "cuda" else 64)

    @classmethod
    def load(cls, source: str, revision: str, run: TransformersRun) -> Self:
        """Load a checkpoint directory, or a name at a revision.

        Raises:
            SettingsError: when it is not there, or is of a kind this engine cannot run.
        """
        shared_attention.register()
        if run.threads:
            torch.set_num_threads(run.threads)
        device = run.device if run.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        dtype = run.dtype if run.dtype != "auto" else "float32" if device == "cpu" else "bfloat16"
        pinned = {"revision": revision} if revision else {}
        try:
            with _no_progress_bar():
                tokenizer = AutoTokenizer.from_pretrained(source, **pinned)
                model = AutoModelForCausalLM.from_pretrained(
                    source, dtype=getattr(torch, dtype), attn_implementation=shared_attention.NAME, **pinned
                )
        except (OSError, ValueError) as error:
            raise SettingsError(f"the model {source!r} cannot be loaded: {error}") from error
        return cls(model.to(device).eval(), tokenizer, run)

    @torch.inference_mode()
    def answer(
        self, requests: Sequence[Request], emit: Callable[[int, Reply], None], stopped: Callable[[], bool]
    ) -> None:
        """Answer all requests; `emit` gets each reply as soon as it is known.

        Raises:
            EngineRefused: when a request cannot be served, after all the others were.
            EngineDown: when one row alone does not fit in memory.
        """
        replies = Replies(self.tokenizer, self.ends, emit)
        prompts = self._encode(requests, replies)
        rows = self.rows
        while len(replies.done) < len(requests) and not stopped():
            left = [self._row(index, requests[index], prompts[index], replies) for index in prompts]
            try:
                self._generate([row for row in left if row.index not in replies.done], replies, rows, stopped)
            except RuntimeError as error:
                if not _out_of_memory(error):
                    raise
                rows = self._halved(rows, error)
        if replies.refused is not None:
            raise replies.refused

    def _generate(self, rows: Sequence[Row], replies: Replies, most: int, stopped: Callable[[], bool]) -> None:
        waiting = self.prompts.plan(rows)
        while waiting and not stopped():
            Batch(self.prompts, waiting, replies.take, rows=most, tokens=self.run.tokens).run(stopped)

    def _halved(self, rows: int, error: RuntimeError) -> int:
        self.prompts.store.clear()
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        if rows == 1:
            raise EngineDown(f"one request alone does not fit in memory: {error}: shorten it or use a smaller model")
        return max(1, rows // 2)

    def _row(self, index: int, request: Request, ids: list[int], replies: Replies) -> Row:
        row = Row(index, request, list(ids))
        if request.schema and index not in replies.done:
            try:
                row.matcher = self.grammars.matcher(request.schema)
            except EngineRefused as error:
                replies.refuse(index, error)
        return row

    def _encode(self, requests: Sequence[Request], replies: Replies) -> dict[int, list[int]]:
        """Token ids of each request that fits the model."""
        texts: dict[int, str] = {}
        for index, request in enumerate(requests):
            try:
                texts[index] = self._render(request)
            except (TemplateError, ValueError) as error:
                replies.refuse(index, RequestRefused(f"the model's chat template does not take the request: {error}"))
        if not texts:
            return {}
        special = not self.tokenizer.chat_template
        encoded = self.tokenizer(list(texts.values()), add_special_tokens=special)["input_ids"]
        found = dict(zip(texts, encoded, strict=True))
        for index, ids in found.items():
            wanted = requests[index].sampling.max_tokens
            if not ids or len(ids) + wanted > self.limit:
                replies.refuse(index, _too_long(index, len(ids), wanted, self.limit))
        return {index: ids for index, ids in found.items() if index not in replies.done}

    def _render(self, request: Request) -> str:
        if not self.tokenizer.chat_template:
            return "\n\n".join(message.content for message in request.messages)
        continued = request.messages[-1].role == "assistant"
        text: str = self.tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.content} for message in request.messages],
            tokenize=False,
            add_generation_prompt=not continued,
            continue_final_message=continued,
        )
        return text


def context_limit(config: Any) -> int:
    """How many tokens a model of this configuration can hold here.

    Raises:
        SettingsError: when it has layers this engine cannot run.
    """
    kinds = set(getattr(config, "layer_types", None) or ())
    strange = sorted(kinds - ATTENTION)
    if getattr(config, "attn_logit_softcapping", None):
        strange.append("attention soft-capping")
    if strange or getattr(config, "is_encoder_decoder", False):
        raise SettingsError(
            f"a {config.model_type} model has {', '.join(strange) or 'an encoder'}, which the transformers engine "
            "does not run: serve it with the vllm engine"
        )
    limits = [config.max_position_embeddings]
    window = getattr(config, "sliding_window", None)
    if window and ("sliding_attention" in kinds or not kinds):
        limits.append(window)
    return int(min(limits))


@contextlib.contextmanager
def _no_progress_bar() -> Iterator[None]:
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _too_long(index: int, found: int, wanted: int, limit: int) -> RequestRefused:
    if not found:
        return RequestRefused(f"request {index} is empty: at least one token of prompt is wanted")
    return RequestRefused(
        f"request {index} has {found} prompt tokens and asks for {wanted} more, and the model holds {limit}: "
        "split the document into shorter ones, or lower max_tokens"
    )


def _eos(model: Any, tokenizer: Any) -> set[int]:
    named = model.generation_config.eos_token_id
    ids = set(named if isinstance(named, list) else [named]) | {tokenizer.eos_token_id}
    return ids - {None}


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    # A weak model may begin a new turn (<|im_start|>) instead of ending its own: that is an end as well.
    return frozenset(_eos(model, tokenizer) | set(tokenizer.all_special_ids))


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
