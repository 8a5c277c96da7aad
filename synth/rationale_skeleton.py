r"""What two rationales share that reason alike, as a key: equal keys are one way of reasoning in other words.

``"3 bags: 3 * 4 = 12. Then 12 + 1 = 13."`` -> ``3*4=12;12+1=13``; ``"Ora founded the guild. The guild sold salt."`` ->
``ora founded guild|guild sold salt``.

RFT (arXiv 2308.01825) takes the list of equations. A text without an equation has an empty list there, so all such
texts are one and at most one of them is kept; here they get the other key, the first content words of each step.
"""

from __future__ import annotations

import re

from mashbill.matching.equations import equations
from mashbill.words import words

STEP_WORDS = 3
"""Content words of one step that enter the key: enough to say what it is about, few enough to pass over wording."""
MOST_STEPS = 40
"""Steps looked at: a trace of more steps is told apart by its beginning."""

_STEP = re.compile(r"(?<=[.!?;:])\s+|\n+")
_SMALL = frozenset(
    words(
        """
        a an the of in on at to for from by with and or but so if then than that this these those it its is are was
        were be been being has have had do does did will would can could may might must we i you he she they them his
        her their our your as not no there here which who what when where how because since therefore thus also just
        only each all first next finally now let us step
        """
    )
)


def skeleton_of(rationale: str) -> str:
    """The key of a rationale; empty only for a text without a word.

    >>> skeleton_of("Four marks a bag, so 3 x 4 = 12."), skeleton_of("3 * 4 = 12 marks, since a bag is 4.")
    ('3*4=12', '3*4=12')
    >>> skeleton_of("The guild is old. It sold salt.")
    'guild old|sold salt'
    """
    found = dict.fromkeys("".join(one.text.split()) for one in equations(rationale))
    return ";".join(found) if found else "|".join(_signature(rationale))


def _signature(rationale: str) -> list[str]:
    steps = ([word for word in words(step) if word not in _SMALL][:STEP_WORDS] for step in _STEP.split(rationale))
    return [" ".join(words) for words in steps if words][:MOST_STEPS]
