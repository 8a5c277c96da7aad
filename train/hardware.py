"""How a run runs: device, micro-batch, precision, compilation. None of it is identity.

The same plan and recipe give the same losses (to rounding) on any of these, so two runs that differ only here share
a fingerprint and either can go on from the other's checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mashbill.errors import SettingsError

PEAK_TFLOPS = {"H100 PCIe": 756.0, "H100": 989.0, "H200": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0}
"""Dense bf16 TFLOP/s from NVIDIA's data sheets, by a part of the device's name; the first that fits counts."""


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Where and how to train.

    >>> Hardware(device="cpu").peak("cpu") is None
    True
    """

    device: str = "auto"
    """``auto`` takes CUDA where there is one, else the CPU."""
    micro_batch: int = 8
    """Rows in one forward pass; the rest of the batch is accumulated."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto``: bf16 autocast over fp32 weights on CUDA, fp32 on the CPU."""
    attention: str = "sdpa"
    """The attention of transformers: ``sdpa``, ``eager`` or ``flex_attention``."""
    compile: bool = False
    """`torch.compile` per decoder layer."""
    gradient_checkpointing: bool = False
    peak_tflops: float | None = None
    """Peak of the device for MFU; known devices need not say it."""
    processes: int = 1
    """Processes of this machine, one a device, that share the weights (FSDP2). For several machines: `train.job`."""
    checkpoint_every: int = 200
    """Optimiser steps between checkpoints; the last step always has one."""
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        for name in ("micro_batch", "processes", "checkpoint_every", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise SettingsError(f"hardware: {name} is {getattr(self, name)}; at least 1 is wanted")

    def peak(self, device_name: str) -> float | None:
        """Peak FLOP/s of a device, or None where it is not known: then MFU is not reported."""
        if self.peak_tflops is not None:
            return self.peak_tflops * 1e12
        return next((peak * 1e12 for part, peak in PEAK_TFLOPS.items() if part in device_name), None)
