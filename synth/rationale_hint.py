"""Whether a rationale that was written with the answer in sight shows that it was.

``"As I was told, the answer is 12, so …"`` -> ``it says 'I was told'``; words of the hint itself -> ``it repeats the
hint``; anything else -> nothing.

STaR (arXiv 2203.14465) strips the hint from what is stored (its ``p_show_hint_save`` is 0), but a rationale that talks
of the hint would carry it on: a student would learn to expect one.
"""

from __future__ import annotations

import re

from mashbill.words import words

RUN = 5
"""Words of the hint in a row that count as repeating it; four ("the right answer is") stand in honest rationales."""
TALK = (
    r"\b(?:as|what) (?:i|we) (?:was|were|am|are) (?:told|given|shown)\b",
    r"\b(?:i|we) (?:was|were|am|have been|had been|were already) (?:told|given|shown) (?:that )?(?:the|this|an?) "
    r"(?:right |correct |final )?(?:answer|solution|result|hint)\b",
    r"\b(?:the|this|your|a) hint\b",
    r"\b(?:given|provided|supplied|stated|known) (?:right |correct |final )?(?:answer|solution)\b",
    r"\b(?:answer|solution) (?:is|was|has been) (?:already )?(?:given|provided|supplied|known)\b",
    r"\(correct\)",
)
"""Searched in lower case with straight apostrophes."""


def hint_leak(text: str, template: str, answer: str = "") -> str:
    """What gives away a hint made from a template with the place ``{answer}``, or nothing.

    >>> hint_leak("The provided answer is 12, so 3 * 4 = 12.", "(The right answer is {answer}.)")
    "it says 'provided answer'"
    >>> hint_leak("Each bag costs 4 marks: 3 * 4 = 12.", "(The right answer is {answer}.)")
    ''
    """
    plain = text.lower().replace("’", "'")
    for pattern in TALK:
        if found := re.search(pattern, plain):
            return f"it says {found[0]!r}"
    # The answer itself may be said: it is what is to be reached.
    told = {run for piece in template.split("{answer}") for run in _runs(words(piece))}
    whole = tuple(words(template.replace("{answer}", answer)))
    if not told and answer and len(whole) > 2:
        # Too short for a run: the hint as a whole, with its answer; of two words it could be an honest "Answer: 12".
        return "it repeats the hint" if whole in _runs(words(text), len(whole)) else ""
    run = next((run for run in _runs(words(text)) if run in told), None)
    return f"it repeats the hint: {' '.join(run)!r}" if run else ""


def _runs(tokens: list[str], size: int = RUN) -> list[tuple[str, ...]]:
    return [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]
