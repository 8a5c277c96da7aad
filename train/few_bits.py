"""Rows of numbers in few bits: each row by its own scale, the first rows in 8 bits and the others in 4.

A row of four numbers in 4 bits::

    [0.7, -0.2, 0.1, 0.0]  ->  scale 0.1, steps [7, -2, 1, 0]  ->  bytes [0xF6, 0x89]

Steps go from -7 to 7 (-127 to 127 in 8 bits) and are rounded to the nearest, so a number is off by half a step at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Packed:
    """Rows in few bits, under a name."""

    name: str
    fine: torch.Tensor
    """int8, (rows in 8 bits, columns)."""
    coarse: torch.Tensor
    """uint8, (rows in 4 bits, half the columns)."""
    scale: torch.Tensor
    """float32, (rows,): the size of a step."""
    columns: torch.Tensor
    """int32, one number: there may be half a byte too many."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """Its tensors by full name, for a file."""
        parts = {"fine": self.fine, "coarse": self.coarse, "scale": self.scale, "columns": self.columns}
        return {f"{self.name}.{part}": value for part, value in parts.items()}

    @classmethod
    def found(cls, name: str, tensors: Mapping[str, torch.Tensor]) -> Packed | None:
        """The rows of a name among tensors; None where there are none."""
        if f"{name}.scale" not in tensors:
            return None
        return cls(name, *(tensors[f"{name}.{part}"] for part in ("fine", "coarse", "scale", "columns")))


def pack(name: str, rows: torch.Tensor, fine: int) -> Packed:
    """Rows of float32, (rows, columns), the first `fine` in 8 bits."""
    most = torch.full((len(rows),), 7.0)
    most[:fine] = 127.0
    scale = rows.abs().amax(dim=1) / most
    steps = (rows / torch.where(scale == 0, 1.0, scale)[:, None]).round()
    low = (steps[fine:] + 8).to(torch.uint8)
    low = functional.pad(low, (0, rows.shape[1] % 2), value=8)
    packed = low[:, 0::2] | (low[:, 1::2] << 4)
    return Packed(name, steps[:fine].to(torch.int8), packed, scale, torch.tensor([rows.shape[1]], dtype=torch.int32))


def unpack(packed: Packed) -> torch.Tensor:
    """The rows again, in float32.

    >>> rows = torch.tensor([[0.7, -0.2, 0.1]])
    >>> unpack(pack("x", rows, 0)).round(decimals=3).tolist()
    [[0.699999988079071, -0.20000000298023224, 0.10000000149011612]]
    """
    columns = int(packed.columns)
    pairs = torch.stack([packed.coarse & 15, packed.coarse >> 4], dim=2).flatten(1)[:, :columns]
    steps = torch.cat([packed.fine.float(), pairs.float() - 8.0])
    return steps * packed.scale[:, None]
