"""How much each part of a model does on calibration rows: heads, neurons, channels and layers (Minitron, 2407.14679).

One forward pass over some rows gives, for each layer::

    kv_heads   (kv heads,)        of the outputs of a key-value head's query heads, before they are joined
    neurons    (mlp width,)       of what the gated activation hands to the down projection
    layer      one number         1 - cosine of what goes in and what comes out (block importance, 2403.03853)
    channels   (width,)           over all layers: of what the norms hand to attention and MLP

each aggregated as the paper found best (section 2.2 and table 8): the L2 norm over rows of the mean of magnitudes over
positions. No gradients: estimating in one shot from activations did as well as iterating there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from mashbill.errors import BillError
from train.batches import IGNORED, Batch
from train.shard import decoder_layers

PARTS = ("self_attn", "mlp", "input_layernorm", "post_attention_layernorm")
PROJECTIONS = {"self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"), "mlp": ("gate_proj", "up_proj", "down_proj")}


@dataclass
class Importance:
    """One number for each part that could go; squared sums while rows are being added."""

    kv_heads: list[torch.Tensor]
    neurons: list[torch.Tensor]
    channels: torch.Tensor
    layers: list[float]
    rows: int = 0
    loss: float = 0.0
    """Mean next-token loss over the rows."""
    _cosines: list[list[float]] = field(default_factory=list)


def check_architecture(model: PreTrainedModel) -> list[Any]:
    """The decoder layers of a model that can be pruned.

    Raises:
        BillError: when it is not built like Llama's: attention with four projections, a gated MLP, two norms a layer.
    """
    layers = decoder_layers(model)
    for layer in layers:
        lacking = [part for part in PARTS if not hasattr(layer, part)]
        lacking += [
            f"{part}.{name}"
            for part, names in PROJECTIONS.items()
            for name in names
            if not isinstance(getattr(getattr(layer, part, None), name, None), nn.Linear)
        ]
        if lacking:
            raise BillError(
                f"prune: {type(model).__name__} has no {lacking[0]} in its layers; models built like Llama "
                "(Llama, Mistral, Qwen2, Qwen3, SmolLM) can be pruned"
            )
    return layers


@torch.no_grad()
def importance(model: PreTrainedModel, batches: Iterable[Batch]) -> Importance:
    """Run the model over batches and measure; its mode and weights stay as they are."""
    layers = check_architecture(model)
    config = model.config.get_text_config()
    heads, kv = config.num_attention_heads, config.num_key_value_heads
    found = Importance(
        kv_heads=[torch.zeros(kv) for _ in layers],
        neurons=[torch.zeros(layer.mlp.down_proj.in_features) for layer in layers],
        channels=torch.zeros(config.hidden_size),
        layers=[],
        _cosines=[[] for _ in layers],
    )
    masks: list[torch.Tensor] = []
    hooks = [hook for at, layer in enumerate(layers) for hook in _hooks(found, at, layer, heads // kv, masks)]
    was_training = model.training
    model.eval()
    losses, tokens = 0.0, 0
    try:
        for batch in batches:
            valid = batch.labels != IGNORED
            masks[:] = [valid.float()]
            logits = model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False).logits
            found.rows += len(batch.input_ids)
            labels = batch.labels[:, 1:]
            flat = functional.cross_entropy(
                logits[:, :-1].flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
            )
            losses, tokens = losses + float(flat), tokens + int((labels != IGNORED).sum())
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    if not tokens:
        raise BillError("prune: the calibration rows hold no token; give a plan with rows")
    found.loss = losses / tokens
    found.layers = [1.0 - sum(cosines) / len(cosines) for cosines in found._cosines]
    for squares in (*found.kv_heads, *found.neurons, found.channels):
        squares.sqrt_()
    return found


def _hooks(found: Importance, at: int, layer: Any, share: int, masks: list[torch.Tensor]) -> list[Any]:
    """Hooks that add what one layer does; `share` query heads have one key-value head."""

    def attention(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        joined = given[0]
        groups = len(found.kv_heads[at])
        by_group = joined.float().view(*joined.shape[:2], groups, -1).pow(2).sum(dim=-1).sqrt()
        found.kv_heads[at] += _over_rows(by_group, masks[0])

    def neurons(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        found.neurons[at] += _over_rows(given[0].float().abs(), masks[0])

    def channels(module: nn.Module, given: Any, made: torch.Tensor) -> None:
        found.channels += _over_rows(made.float().abs(), masks[0])

    def block(module: nn.Module, given: tuple[torch.Tensor, ...], made: Any) -> None:
        out = made[0] if isinstance(made, tuple) else made
        cosines = functional.cosine_similarity(given[0].float(), out.float(), dim=-1)
        found._cosines[at] += cosines[masks[0] > 0].tolist()

    before: Callable[..., Any] = layer.self_attn.o_proj.register_forward_pre_hook
    return [
        before(attention),
        layer.mlp.down_proj.register_forward_pre_hook(neurons),
        layer.input_layernorm.register_forward_hook(channels),
        layer.post_attention_layernorm.register_forward_hook(channels),
        layer.register_forward_hook(block),
    ]


def _over_rows(magnitudes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(rows, positions, parts) -> (parts,): the sum over rows of the squared mean over positions."""
    means = (magnitudes * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
    return means.pow(2).sum(dim=0).cpu()
