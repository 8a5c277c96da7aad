"""What several answers to one question say: pass@k, and the answer that most of them gave.

>>> round(pass_at_k(samples=4, right=1, k=2), 3)
0.5
>>> majority(["12", None, "15", "12"])
('12', 0.5)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence


def pass_at_k(*, samples: int, right: int, k: int) -> float:
    """The chance that at least one of k answers is right, from n >= k of which c were: 1 - C(n-c, k) / C(n, k).

    The estimator of Chen et al. (2107.03374, section 2.1), unbiased; 1 - (1 - c/n)^k, the plain way, is biased low.

    Raises:
        ValueError: when there are fewer samples than k.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} of {samples} samples: k lies from 1 to the number of samples")
    if not 0 <= right <= samples:
        raise ValueError(f"{right} of {samples} samples are right; from 0 to {samples} can be")
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def majority(answers: Sequence[str | None]) -> tuple[str | None, float]:
    """The answer given most often, and its share of all samples; (None, 0.0) where none was given.

    A sample without an answer (None) has no vote but counts among all. Of two with equally many votes the one that was
    given first wins, and since each sample has its own seed, so does every run.
    """
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return None, 0.0
    # A Counter keeps the order of first sight, and `max` the first of equals.
    best = max(votes, key=lambda answer: votes[answer])
    return best, votes[best] / len(answers)


def majority_at_k(answers: Sequence[str | None], right: Callable[[str], bool], k: int) -> float:
    """How often the vote of k samples is right: the mean over the disjoint blocks of k, in the order they were drawn.

    Blocks do not overlap, so each is an honest vote of k; what is left at the end is not used. A block without any
    answer is wrong.

    Raises:
        ValueError: when there are fewer samples than k.
    """
    if not 1 <= k <= len(answers):
        raise ValueError(f"a vote of {k} from {len(answers)} samples: k lies from 1 to the number of samples")
    blocks = [answers[start : start + k] for start in range(0, len(answers) - k + 1, k)]
    winners = [majority(block)[0] for block in blocks]
    return sum(winner is not None and right(winner) for winner in winners) / len(blocks)
