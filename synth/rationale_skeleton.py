r"""What two rationales share that reason alike, as a key: equal keys are one way of reasoning in other words.

``"3 bags: 3 * 4 = 12. Then 12 + 1 = 13."`` -> ``3*4=12;12+1=13``; ``"Ora founded the guild. The guild sold salt."`` ->
``ora founded guild|guild sold salt``.

RFT (arXiv 2308.01825) takes the list of equations. A text without an equation has an empty list there, so all such
texts are one and at most one of them is kept; here they get the other key, the first content words of each step.
There ``3*4=12`` and ``4*3=12`` are two ways; here they are one, since nothing was thought otherwise, while ``4+4+4=12``
is another, and so are the same equations in another order.
"""

from __future__ import annotations

import re

from mashbill.matching.equations import equations
from mashbill.words import UNSPACED, words

STEP_WORDS = 3
"""Content words of one step that enter the key: enough to say what it is about, few enough to pass over wording."""
STEP_CHARACTERS = 4
"""Characters taken for a word where a script has no spaces: three characters are often one empty phrase."""
MOST_STEPS = 40
"""Steps looked at: a trace of more steps is told apart by its beginning."""

_STEP = re.compile(r"(?<=[.!?;:])\s+|(?<=[。！？；：])|\n+")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
_ALONE = re.compile(r"\d+(?:\.\d+)?")
_UNSPACED = re.compile(f"[{UNSPACED}]")
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
    found = dict.fromkeys(_plain("".join(one.text.split())) for one in equations(rationale))
    return ";".join(found) if found else "|".join(_signature(rationale))


def _plain(equation: str) -> str:
    """One equation as all who write it mean it: ``12=4*3``, ``4*3=12.0`` and ``3*4=12`` are one.

    A sum or a product of numbers alone is put in order. Nothing else is: of ``2+3*4`` each change of places might be
    another sum.
    """
    sides = [_in_order(_NUMBER.sub(_as_number, side)) for side in equation.split("=")]
    if len(sides) == 2 and _ALONE.fullmatch(sides[0]) and not _ALONE.fullmatch(sides[1]):
        sides.reverse()
    return "=".join(sides)


def _in_order(side: str) -> str:
    for sign in "+*":
        parts = side.split(sign)
        if len(parts) > 1 and all(_ALONE.fullmatch(part) for part in parts):
            return sign.join(sorted(parts, key=lambda part: (float(part), part)))
    return side


def _as_number(match: re.Match[str]) -> str:
    whole, _, rest = match[0].replace(",", "").partition(".")
    whole, rest = whole.lstrip("0") or "0", rest.rstrip("0")
    return f"{whole}.{rest}" if rest else whole


def _signature(rationale: str) -> list[str]:
    steps = (_opening(step) for step in _STEP.split(rationale))
    return [" ".join(words) for words in steps if words][:MOST_STEPS]


def _opening(step: str) -> list[str]:
    """The first content words; of a script without spaces the first characters, as many as such words have."""
    content = [word for word in words(step) if word not in _SMALL]
    unspaced = sum(bool(_UNSPACED.fullmatch(word)) for word in content[:STEP_WORDS])
    return content[: STEP_WORDS * STEP_CHARACTERS] if unspaced > STEP_WORDS // 2 else content[:STEP_WORDS]
