"""Floating-point operations of a training step, and the share of the device's peak they make (MFU).

SmolLM2-135M at a sequence length of 4,096 with one document per row: 1.23 GFLOP per token, a third of it attention.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from transformers import PretrainedConfig, PreTrainedModel

MFU_FORMULA = (
    "mfu = tokens/s * (6*(body + V*d) + 6*L*h*hd*S) / peak; body = parameters outside embeddings and head, "
    "V*d = the head, S = mean segment length seen by a token = sum(len^2)/sum(len); causal attention counted at half "
    "the square, forward + backward, recomputation not counted"
)


FROZEN_FORMULA = MFU_FORMULA + "; less 2*frozen: a weight that is not trained has no gradient of its own"


@dataclass(frozen=True)
class FlopCount:
    """The dimensions that decide a model's cost."""

    body: int
    head: int
    layers: int
    attention_width: int
    frozen: int = 0
    """Of body and head: weights without a gradient of their own, which saves a third of their cost."""

    @classmethod
    def of(cls, model: PreTrainedModel) -> FlopCount:
        """Read them off a model."""
        config: PretrainedConfig = model.config.get_text_config()
        embedding = model.get_input_embeddings().weight
        output = model.get_output_embeddings().weight
        outside = embedding.numel() + (0 if output is embedding else output.numel())
        heads = config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        body = sum(parameter.numel() for parameter in model.parameters()) - outside
        still = [one for one in model.parameters() if not one.requires_grad and one is not embedding]
        frozen = sum(one.numel() for one in still)
        # A tied table is an embedding, which costs nothing, and the head, which does.
        frozen += output.numel() if output is embedding and not output.requires_grad else 0
        return cls(body, output.numel(), config.num_hidden_layers, heads * head_dim, frozen)

    @property
    def formula(self) -> str:
        """How MFU is computed from it, in words."""
        return FROZEN_FORMULA if self.frozen else MFU_FORMULA

    def per_token(self, mean_segment: float) -> float:
        """FLOPs of one token, forward and backward."""
        return (
            6.0 * (self.body + self.head) - 2.0 * self.frozen + 6.0 * self.layers * self.attention_width * mean_segment
        )


def mean_segment(lengths: npt.NDArray[np.int64]) -> float:
    """The length of the segment that a token finds itself in, on average.

    >>> mean_segment(np.array([100, 300]))
    250.0
    """
    return float((lengths.astype(np.float64) ** 2).sum() / lengths.sum())
