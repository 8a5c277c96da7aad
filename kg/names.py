"""Names in sorted Arrow arrays: found by halving, and the nearest ones for what is not there.

>>> names = pa.array(["alga", "fish", "plant"])
>>> find_name(names, "fish"), find_name(names, "fsh"), nearest_names("fsh", names)
(1, None, ['fish'])
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from mashbill.records import join_texts

FEW = 20_000
"""Names that can all be compared letter by letter: about 10 microseconds each."""


def find_name(names: pa.Array, name: str) -> int | None:
    """The place of a name in a sorted array, or None."""
    low, high = 0, len(names)
    while low < high:
        middle = (low + high) // 2
        if names[middle].as_py() < name:
            low = middle + 1
        else:
            high = middle
    return low if low < len(names) and names[low].as_py() == name else None


def nearest_names(name: str, names: pa.Array, most: int = 3) -> list[str]:
    """The names most like one: the same but for case, then those alike, then those that contain it."""
    lower = pc.utf8_lower(names)
    same = names.filter(pc.equal(lower, name.lower()))[:most].to_pylist()
    few = names if len(names) <= FEW else names.filter(_ends_alike(lower, name.lower()))[:FEW]
    alike = difflib.get_close_matches(name, few.to_pylist(), n=most, cutoff=0.6)
    inside = names.filter(pc.match_substring(lower, name.lower()))[:most].to_pylist() if name else []
    return list(dict.fromkeys([*same, *alike, *inside]))[:most]


def not_called(name: str, names: pa.Array) -> str:
    """The message for a node that is not there: the nearest names, or how nodes are called in this graph.

    >>> not_called("fsh", pa.array(["alga", "fish"])), not_called("hospital", pa.array(["alga"]))
    ("no node is called 'fsh'; did you mean 'fish'?", "no node is called 'hospital'; names look like 'alga'")
    """
    if like := nearest_names(name, names):
        return f"no node is called {name!r}; did you mean {' or '.join(map(repr, like))}?"
    # From all over the order: the first few of a large graph are numbers and quotation marks.
    some = names.take([len(names) * at // 3 for at in range(3)] if len(names) > 3 else list(range(len(names))))
    hint = f"; names look like {', '.join(map(repr, some.to_pylist()))}" if len(names) else "; the graph has no node"
    return f"no node is called {name!r}{hint}"


def _ends_alike(lower: pa.Array, name: str) -> pa.Array:
    """Names that begin or end like one: few enough to compare, and a slip of the pen is rarely at both ends."""
    return pc.or_(pc.starts_with(lower, name[:3]), pc.ends_with(lower, name[-3:]))


def no_such(what: str, name: str, known: Sequence[str]) -> str:
    """The message for a name that is not there: the nearest, and what there is.

    >>> no_such("relation", "is_aa", ["is_a", "treats"])
    "no relation is called 'is_aa' (did you mean is_a?); there are: is_a, treats"
    """
    from mashbill.registry import nearest

    there = join_texts(list(known), 20) if known else "none"
    return f"no {what} is called {name!r}{nearest(name, known)}; there are: {there}"
