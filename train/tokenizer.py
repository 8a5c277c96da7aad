r"""The student's tokenizer as training and evaluation use it.

A document becomes ``begin + ids(text) + end``. `begin` is what the tokenizer itself puts first (a BOS for Llama,
nothing for SmolLM2 or Qwen), so that training, evaluation and later use agree. `end` is the separator of pretraining
where the vocabulary names one (``<|endoftext|>``, ``<|end_of_text|>``): a chat-tuned student's `eos_token` ends a
turn, and teaching it after every document would teach it to stop talking. Otherwise `end` is `eos_token`.

>>> student = StudentTokenizer(byte_tokenizer())
>>> student.documents(["Hi\n"])
[[41, 74, 200, 0]]
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

from jinja2 import TemplateError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from mashbill.errors import InputError
from mashbill.fingerprint import fingerprint

SEPARATORS = ("<|endoftext|>", "<|end_of_text|>")
END, PAD = "<|endoftext|>", "<|pad|>"
_PROBE = "mashbillprobe"


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A token for each byte, an end and a pad: needs no file, loses nothing, and 258 entries keep a tiny model tiny."""
    alphabet = [END, PAD, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE(vocab={symbol: number for number, symbol in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=END, pad_token=PAD)


def load_tokenizer(path: Path) -> StudentTokenizer:
    """The tokenizer of a Hugging Face directory.

    Raises:
        InputError: when the directory has none.
    """
    try:
        return StudentTokenizer(AutoTokenizer.from_pretrained(str(path), local_files_only=True))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"no tokenizer can be read here ({error}); a student's directory needs tokenizer.json and "
            "tokenizer_config.json, as `tokenizer.save_pretrained` writes them",
            path=path,
        ) from error


class StudentTokenizer:
    """A transformers tokenizer with its document begin and end."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.inner = tokenizer
        self.begin: list[int] = self._begin()
        self.end: int = self._end()

    def _begin(self) -> list[int]:
        plain = self._ids(["a"], special=False)[0]
        framed = self._ids(["a"], special=True)[0]
        return framed[: framed.index(plain[0])]

    def _end(self) -> int:
        vocabulary = self.inner.get_vocab()
        named = [vocabulary[name] for name in SEPARATORS if name in vocabulary]
        if named:
            return int(named[0])
        if self.inner.eos_token_id is None:
            raise InputError(
                f"the tokenizer {self.inner.name_or_path or type(self.inner).__name__} has no eos_token and none of "
                f"{', '.join(SEPARATORS)}; set eos_token in tokenizer_config.json, so that documents can be told apart"
            )
        return int(self.inner.eos_token_id)

    @cached_property
    def ends(self) -> list[int]:
        """Tokens at which a written answer is over: the end of a document, and that of a turn.

        That of a turn is asked of the chat template too, since it need not be `eos_token`: Gemma's turns end with
        ``<end_of_turn>`` and its documents with ``<eos>``.
        """
        own = self.inner.eos_token_id
        return sorted({self.end, *([] if own is None else [int(own)]), *self._turn_ends()})

    def _turn_ends(self) -> list[int]:
        if not self.inner.chat_template:
            return []
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}]
        try:
            chat = str(self.inner.apply_chat_template(turns, tokenize=False))
        except (TemplateError, ValueError):
            return []  # a template that takes no such chat is refused by name where it is wanted
        _, found, after = chat.rpartition(_PROBE)
        vocabulary = self.inner.get_vocab()
        placed = [(after.index(text), vocabulary[text]) for text in self.special_texts if found and text in after]
        return [int(min(placed)[1])] if placed else []

    @property
    def pad(self) -> int:
        """A token to fill with; it is never attended to or learned."""
        return int(self.inner.pad_token_id) if self.inner.pad_token_id is not None else self.end

    def __len__(self) -> int:
        return len(self.inner)

    def _ids(self, texts: list[str], *, special: bool) -> list[list[int]]:
        # split_special_tokens: "<|endoftext|>" inside a text is that text, not the end of the document.
        encoded = self.inner(
            texts, add_special_tokens=special, split_special_tokens=True, return_attention_mask=False, verbose=False
        )
        return [list(ids) for ids in encoded["input_ids"]]

    def ids(self, texts: list[str]) -> list[list[int]]:
        """Token ids of bare texts."""
        return self._ids(texts, special=False) if texts else []

    def templated_ids(self, texts: list[str]) -> list[list[int]]:
        """Token ids of texts that a chat template wrote: special tokens in them are tokens, and none is added."""
        if not texts:
            return []
        encoded = self.inner(
            texts, add_special_tokens=False, split_special_tokens=False, return_attention_mask=False, verbose=False
        )
        return [list(ids) for ids in encoded["input_ids"]]

    @cached_property
    def special_texts(self) -> tuple[str, ...]:
        """The texts that `templated_ids` takes for special tokens."""
        return tuple(sorted(str(token) for token in self.inner.added_tokens_decoder.values() if token.special))

    def documents(self, texts: list[str]) -> list[list[int]]:
        """Token ids of whole documents."""
        return [[*self.begin, *ids, self.end] for ids in self.ids(texts)]

    def decode(self, ids: list[int]) -> str:
        """Text of ids, special tokens left out."""
        return str(self.inner.decode(ids, skip_special_tokens=True))

    @cached_property
    def identity(self) -> str:
        """A hash of all that decides the ids of a text."""
        backend = json.loads(self.inner.backend_tokenizer.to_str())
        # Padding and truncation are set by use, and do not change the ids of a text.
        backend.pop("padding", None)
        backend.pop("truncation", None)
        return fingerprint({"backend": backend, "begin": self.begin, "end": self.end})
