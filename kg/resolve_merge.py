"""Groups of names for one thing, out of pairs that were judged: chains are not believed, they are checked.

``Tesk = Ammory Tesk`` and ``Tesk = Jorrane Tesk``, but ``Ammory Tesk != Jorrane Tesk`` -> ``{Tesk, Ammory Tesk}``,
``{Jorrane Tesk}``, and the second pair is reported as refused.

Joining whatever is connected lets one wrong yes merge two large groups. Here two groups become one only when no two of
their members were judged different, their kinds agree, and their representatives (the name used most) are the same
thing too: a pair that nobody has judged yet is handed back to be asked about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Pair = tuple[int, int]


def pair_of(one: int, other: int) -> Pair:
    """Two places as a pair, the smaller first."""
    return (one, other) if one < other else (other, one)


@dataclass(frozen=True, slots=True)
class Grouping:
    """What came of it."""

    group: tuple[int, ...]
    """For each name its group's representative."""
    wanted: tuple[Pair, ...]
    """Pairs of representatives that must be judged before a join can be decided, most certain first."""
    refused: tuple[Pair, ...]
    """Pairs judged the same whose groups were kept apart."""


def group_names(
    same: Sequence[Pair],
    verdicts: Mapping[Pair, bool],
    weights: Sequence[tuple[Any, ...]],
    kinds: Sequence[str],
    differ: Callable[[Pair], bool],
) -> Grouping:
    """Group names by the pairs in `same`, most certain first.

    Args:
        same: pairs taken for one thing.
        verdicts: every pair that was judged, those in `same` included: the same thing or not.
        weights: for each name what a representative is chosen by, the greatest.
        kinds: for each name its kind, or "" where it is not known.
        differ: whether a pair is two things for certain, without asking.
    """
    state = _Groups(weights, kinds)
    for pair, verdict in verdicts.items():
        if not verdict:
            state.against[pair[0]].add(pair[1])
            state.against[pair[1]].add(pair[0])
    wanted: dict[Pair, None] = {}
    refused: list[Pair] = []
    for pair in same:
        one, other = state.find(pair[0]), state.find(pair[1])
        if one == other:
            continue
        ends = pair_of(one, other)
        known = verdicts.get(ends, False if differ(ends) else None)
        if state.apart(one, other) or known is False:
            refused.append(pair)
        elif known is None:
            wanted[ends] = None
        else:
            state.join(one, other)
    group = tuple(state.find(place) for place in range(len(weights)))
    return Grouping(group, tuple(wanted), tuple(refused))


@dataclass(slots=True)
class _Groups:
    """Disjoint groups; a group is known by its representative."""

    weights: Sequence[tuple[Any, ...]]
    kinds: Sequence[str]
    against: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    _home: dict[int, int] = field(default_factory=dict)
    _members: dict[int, list[int]] = field(default_factory=dict)
    _kind: dict[int, str] = field(default_factory=dict)

    def find(self, place: int) -> int:
        """The representative of a name's group."""
        return self._home.get(place, place)

    def members(self, home: int) -> list[int]:
        """The names of a group."""
        return self._members.get(home, [home])

    def kind(self, home: int) -> str:
        """What its members are, or "" where none of them says."""
        return self._kind.get(home, self.kinds[home])

    def apart(self, one: int, other: int) -> bool:
        """Whether two groups hold names judged different, or are of different kinds."""
        kinds = {self.kind(one), self.kind(other)} - {""}
        if len(kinds) > 1:
            return True
        small, large = sorted((self.members(one), self.members(other)), key=len)
        inside = set(large)
        return any(self.against[member] & inside for member in small if member in self.against)

    def join(self, one: int, other: int) -> None:
        """Make two groups one."""
        home = max(one, other, key=lambda place: self.weights[place])
        members = sorted([*self.members(one), *self.members(other)])
        kind = self.kind(one) or self.kind(other)
        for gone in (one, other):
            self._members.pop(gone, None)
            self._kind.pop(gone, None)
        self._members[home], self._kind[home] = members, kind
        for member in members:
            self._home[member] = home
