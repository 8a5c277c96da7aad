"""Several devices: the model's weights spread over the processes that torchrun started (FSDP2).

One process needs none of this. With more, each decoder layer's weights are gathered for its turn and dropped after;
the arithmetic is the same, so a run may go on from its checkpoint with another number of processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from transformers import PreTrainedModel

from mashbill.errors import UserError
from train.world import World


@contextlib.contextmanager
def joined(world: World, device: torch.device) -> Iterator[None]:
    """The process group, for as long as a run takes; nothing for one process."""
    if world.size == 1 or distributed.is_initialized():
        yield
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def decoder_layers(model: PreTrainedModel) -> list[nn.Module]:
    """The repeated blocks of a model: the longest list of modules as long as its configuration says."""
    count = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return list(module)
    raise UserError(
        f"{type(model).__name__}: found no list of {count} decoder layers to shard or compile; "
        "train it in one process and without `compile`"
    )


def shard(model: PreTrainedModel, world: World, device: torch.device, *, bf16: bool) -> None:
    """Spread the weights, in place: computed in bf16 where asked, kept and summed in float32."""
    mesh = init_device_mesh(device.type, (world.size,))
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16 if bf16 else None, reduce_dtype=torch.float32)
    for layer in decoder_layers(model):
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)


def gathered(model: PreTrainedModel, world: World) -> dict[str, torch.Tensor] | None:
    """All weights of a sharded model, on the first process; None where the model is whole as it is."""
    if world.size == 1:
        return None
    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    return {name: value for name, value in weights.items() if isinstance(value, torch.Tensor)}


def summed(values: torch.Tensor, world: World) -> torch.Tensor:
    """The sum of a small tensor over all processes."""
    if world.size > 1:
        distributed.all_reduce(values)
    return values


def agreed(stop: bool, device: torch.device, world: World) -> bool:
    """Whether any process wants to stop: they must all do it after the same step."""
    if world.size == 1:
        return stop
    wanted = torch.tensor(float(stop), device=device)
    distributed.all_reduce(wanted, distributed.ReduceOp.MAX)
    return bool(wanted.item())
