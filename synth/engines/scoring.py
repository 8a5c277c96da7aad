"""What scorers share: the model's identity, texts as tokens in batches of like length, and one loading a process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mashbill import embedded
from mashbill.errors import SettingsError
from synth.engines.transformers import directory_digest

TOKENS = 8192
"""Tokens in one pass, padding included: some 200 MB of activations of a model of 135M weights."""
INSTALL = "pip install 'mashbill[local]'"


def model_identity(kind: str, model: str, revision: str) -> str:
    """``<kind>/<model>@<revision>``; a directory's revision is a digest of its weights and tokenizer.

    Raises:
        SettingsError: when the model is neither embedded, nor a directory, nor a name with a revision.
    """
    if model == embedded.NAME:
        return f"{kind}/{embedded.embedded_model_id()}"
    if Path(model).is_dir():
        return f"{kind}/local@{directory_digest(Path(model))}"
    if revision:
        return f"{kind}/{model}@{revision}"
    raise SettingsError(
        f"the model {model!r} is neither {embedded.NAME!r} nor a directory here: for a model by name give its revision "
        "too (a commit), or give the path of a checkpoint directory"
    )


def load_model(auto: str, model: str, revision: str) -> tuple[Any, Any]:
    """A tokenizer and a model of one of transformers' automatic classes, in float32 on a CPU.

    Raises:
        SettingsError: when torch or transformers is not installed, or the model cannot be loaded.
    """
    try:
        import torch
        import transformers
        from transformers.utils import logging
    except ImportError as error:
        raise SettingsError(f"scoring by a model needs torch and transformers: `{INSTALL}`") from error
    source = str(embedded.embedded_model_dir()) if model == embedded.NAME else model
    pinned = {"revision": revision} if revision else {}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, **pinned)
        kind = getattr(transformers, auto)
        loaded = kind.from_pretrained(source, dtype=torch.float32 if device == "cpu" else torch.bfloat16, **pinned)
    except (OSError, ValueError) as error:
        raise SettingsError(f"the model {model!r} cannot be loaded: {error}") from error
    finally:
        if shown:
            logging.enable_progress_bar()
    return tokenizer, loaded.to(device).eval()


def batches(lengths: Sequence[int], tokens: int = TOKENS) -> Iterator[list[int]]:
    """Places of texts of like length, as many together as `tokens` hold; those without a token are left out.

    >>> list(batches([3, 0, 9, 2], tokens=9))
    [[3, 0], [2]]
    """
    order = sorted((at for at, length in enumerate(lengths) if length), key=lambda at: (lengths[at], at))
    held = list[int]()
    for at in order:
        if held and (len(held) + 1) * lengths[at] > tokens:
            yield held
            held = []
        held.append(at)
    if held:
        yield held
