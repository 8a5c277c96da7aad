"""A share of the sources, drawn by their ids: the same on any machine and in any order.

>>> sum(drawn(f"source-{at}", 0.25, seed=42, purpose="probe") for at in range(1000))
226
"""

from __future__ import annotations

from mashbill.fingerprint import seed_of


def drawn(source_id: str, share: float, seed: int, purpose: str) -> bool:
    """Whether a source is among the share drawn for a purpose; another purpose draws another share.

    More is drawn by a larger share, and nothing that a smaller one had is left out.
    """
    return seed_of(purpose, seed, source_id) < share * (1 << 31)
