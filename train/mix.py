"""Shares to rows: how many rows each stream gets, and which stream has the next row.

Asked for shares {made: 0.5, source: 0.3, replay: 0.2} and ten rows, the order is::

    made source made replay made source made replay source made

and after any number of rows no stream is a whole row off its share. That is the chairman assignment problem; the rule
of Tijdeman (1980) keeps every prefix within 1 - 1/(2k - 2) of a row for k streams, which is the best there is. All
arithmetic is on integers and fractions, so the order is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from mashbill.errors import BillError


def token_shares(
    weights: Mapping[str, float], sizes: Mapping[str, int], *, replay: str = "", replay_share: float = 0.0
) -> dict[str, Fraction]:
    """The share of all tokens each stream gets, in order of name; they sum to one.

    `replay_share` is a share of the whole: replay / (replay + everything else). The weights divide what remains.
    Without weights the streams keep their natural sizes.

    >>> token_shares({"made": 3, "source": 1}, {"made": 9, "source": 9, "web": 9}, replay="web", replay_share=0.2)
    {'made': Fraction(3, 5), 'source': Fraction(1, 5), 'web': Fraction(1, 5)}
    """
    _check(weights, sizes, replay, replay_share)
    others = sorted(name for name in sizes if name != replay)
    # Through the decimal text, so that 0.1 is a tenth and not 0.1000000000000000055.
    weight = {name: Fraction(str(weights[name])) if weights else Fraction(sizes[name]) for name in others}
    total = sum(weight.values())
    rest = 1 - Fraction(str(replay_share))
    shares = {name: weight[name] / total * rest for name in others}
    if replay:
        shares[replay] = 1 - rest
    return {name: shares[name] for name in sorted(shares)}


def _check(weights: Mapping[str, float], sizes: Mapping[str, int], replay: str, replay_share: float) -> None:
    if bool(replay) != bool(replay_share):
        raise BillError(
            f"mix: replay is {replay!r} and replay_share is {replay_share}; say both (a stream, and its share of all "
            "tokens) or neither"
        )
    if not 0 <= replay_share < 1:
        raise BillError(f"mix: replay_share is {replay_share}; it is a share of all tokens, in [0, 1)")
    others = {name for name in sizes if name != replay}
    if (replay and replay not in sizes) or not others or (weights and set(weights) != others):
        raise BillError(
            f"mix: shares are given for {sorted(weights)} and replay for {replay!r}, but the streams are "
            f"{sorted(sizes)}; name every stream once, the replay stream in `replay` only"
        )
    wrong = {name: weight for name, weight in weights.items() if not 0 < weight < float("inf")}
    if wrong:
        raise BillError(f"mix: a share must be a positive number, found {wrong}; leave out the stream instead")


def quotas(rows: int, shares: Mapping[str, Fraction]) -> dict[str, int]:
    """Rows for each stream, by largest remainder: never a row or more off the share.

    >>> quotas(10, {"a": Fraction(1, 3), "b": Fraction(2, 3)})
    {'a': 3, 'b': 7}
    """
    names = sorted(shares)
    exact = {name: rows * shares[name] for name in names}
    whole = {name: int(exact[name]) for name in names}
    spare = rows - sum(whole.values())
    for name in sorted(names, key=lambda name: (whole[name] - exact[name], name))[:spare]:
        whole[name] += 1
    return whole


def interleave(rows: Mapping[str, int]) -> Iterator[str]:
    """The stream of each row, in order.

    >>> "".join(interleave({"a": 4, "b": 2}))
    'abaaba'
    """
    names = sorted(name for name in rows if rows[name])
    total = sum(rows[name] for name in names)
    given = dict.fromkeys(names, 0)
    slack = 2 * max(len(names) - 1, 1)
    for turn in range(1, total + 1):
        # Lag of a stream in units of 1/total rows, times `slack` to stay with integers.
        lag = {name: slack * (rows[name] * turn - given[name] * total) for name in names}
        due = [name for name in names if given[name] < rows[name] and (lag[name] >= total or len(names) == 1)]
        # Among those that may be served, the one whose deadline comes first.
        name = min(due, key=lambda name: (Fraction((slack - 1) * total - lag[name], rows[name]), name))
        given[name] += 1
        yield name
