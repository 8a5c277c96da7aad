"""How far a student's distribution is from its teacher's, when the teacher is there and says all of it.

Over three tokens, the teacher's p = (0.7, 0.2, 0.1) and the student's q = (0.4, 0.4, 0.2)::

    forward_kl   sum p log(p / q)                     0.184   covers all that the teacher does
    reverse_kl   sum q log(q / p)                     0.192   keeps to what the teacher surely does (2306.08543)
    jsd          a KL(p | m) + (1 - a) KL(q | m),     0.046   m = a p + (1 - a) q, a = 0.5 (2306.13649, eq. 2)
    skew_kl      KL(p | a p + (1 - a) q)              0.147   a = 0.1: a gradient that cannot explode (2402.03898)
    tvd          1/2 sum |p - q|                      0.300   bounded by 1

Each is a sum over the vocabulary, for every row. The names in brackets are those of `DIVERGENCES`, what a bill says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch

Divergence = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
"""Of the logarithms of p and q, both (n, vocabulary), and `a`: (n,)."""


def forward_kl(p: torch.Tensor, q: torch.Tensor, a: float = 0.0) -> torch.Tensor:
    """KL(p | q)."""
    return (p.exp() * (p - q)).sum(1)


def reverse_kl(p: torch.Tensor, q: torch.Tensor, a: float = 0.0) -> torch.Tensor:
    """KL(q | p)."""
    return (q.exp() * (q - p)).sum(1)


def jsd(p: torch.Tensor, q: torch.Tensor, a: float = 0.5) -> torch.Tensor:
    """The generalised Jensen-Shannon divergence; symmetric at a = 0.5."""
    middle = _mixture(p, q, a)
    return a * forward_kl(p, middle) + (1 - a) * forward_kl(q, middle)


def skew_kl(p: torch.Tensor, q: torch.Tensor, a: float = 0.1) -> torch.Tensor:
    """KL(p | a p + (1 - a) q)."""
    return forward_kl(p, _mixture(p, q, a))


def tvd(p: torch.Tensor, q: torch.Tensor, a: float = 0.0) -> torch.Tensor:
    """Half the summed difference: the total variation distance."""
    return (p.exp() - q.exp()).abs().sum(1) / 2


DIVERGENCES: Mapping[str, Divergence] = {
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "jsd": jsd,
    "skew_kl": skew_kl,
    "tvd": tvd,
}
MIXES: Mapping[str, float] = {"jsd": 0.5, "skew_kl": 0.1}
"""The usual `a` of those that have one."""


def _mixture(p: torch.Tensor, q: torch.Tensor, a: float) -> torch.Tensor:
    return torch.logaddexp(p + math.log(a), q + math.log1p(-a))
