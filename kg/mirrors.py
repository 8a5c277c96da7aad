"""Relations that are each other's inverse: ``a part_of b`` and ``b has_part a`` say one thing.

Where both are in a graph and ``has_part`` is the inverse label of ``part_of``, the edge from b to a, walked backwards,
reads as the edge from a to b does. So a walk in both directions keeps one of the two, and what holds of one relation
(that it is excluded, that it is taxonomic) holds of the other. A relation that is its own inverse is symmetric.

>>> labels(["adjacent_to", "has_part", "part_of"], {"part_of": "has_part", "adjacent_to": "adjacent_to"})
{'part_of': 'has_part', 'adjacent_to': 'adjacent_to', 'has_part': 'part_of'}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mashbill.errors import InputError


def labels(names: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """The inverse label of each relation: the one given, the relation it is given to, or ``inverse of`` it.

    Raises:
        InputError: when a relation that is used as an inverse label has another inverse itself.
    """
    known, found = set(names), {name: label.strip() for name, label in given.items()}

    def claim(name: str) -> None:
        label = found[name]
        if label in known and found.setdefault(label, name) != name:
            raise InputError(
                f"the inverse label of {name!r} is {label!r}, a relation of the graph whose own inverse label is "
                f"{found[label]!r}: two relations can be the inverses of each other and of no third; mend the labels"
            )

    for name in list(found):
        claim(name)
    # The shortest first, so that in a file of walked paths `inverse of made_by` goes to `made_by`.
    for name in sorted(known - found.keys(), key=lambda one: (len(one), one)):
        if name not in found:
            found[name] = f"inverse of {name}"
            claim(name)
    return found


def mirrors(names: Sequence[str], inverses: Sequence[str]) -> npt.NDArray[np.int64]:
    """For each relation the number of the one that is its inverse, its own where it is symmetric, else -1.

    >>> mirrors(["has_part", "next_to", "part_of", "r"], ["part_of", "next_to", "has_part", "of"]).tolist()
    [2, 1, 0, -1]
    """
    codes = {name: code for code, name in enumerate(names)}
    found = [codes.get(label, -1) for label in inverses]
    return np.array(
        [other if other >= 0 and inverses[other] == name else -1 for name, other in zip(names, found, strict=True)],
        np.int64,
    )


def said_once(
    head: npt.NDArray[Any], relation: npt.NDArray[Any], tail: npt.NDArray[Any], mirror: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which edges to keep so that none is another one read backwards: of two, that of the first relation by name.

    Of two edges of a symmetric relation it is the one whose head comes first.
    """
    import polars as pl

    keep = np.ones(len(head), np.bool_)
    other = mirror[relation]
    first = (relation < other) | ((relation == other) & (head <= tail))
    ahead, behind = np.flatnonzero((other >= 0) & first), np.flatnonzero((other >= 0) & ~first)
    if not len(ahead) or not len(behind):
        return keep
    kept = pl.DataFrame({"h": head[ahead], "r": relation[ahead].astype(np.int64), "t": tail[ahead]})
    turned = pl.DataFrame({"h": tail[behind], "r": other[behind], "t": head[behind], "edge": behind})
    keep[turned.join(kept, on=["h", "r", "t"], how="semi")["edge"].to_numpy()] = False
    return keep
