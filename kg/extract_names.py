"""What in a text could be a head or a tail, without a model: for teachers too small to write names of their own.

>>> names_listed("The tower was begun in 288 by the mason Tasker Oldroon.")
('tower', 'begun', '288', 'mason', 'Tasker Oldroon')
"""

from __future__ import annotations

import re

MOST_WORDS = 3
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_FUNCTION = (
    "a an the this that these those it its he his him she her they their them we our you your i my me of in on at by "
    "to for from with into onto over under after before during until since about between through and or but nor so yet "
    "if then than as because although while when where which who whom whose what how why there here not no never only "
    "also too very more most much many few some any all each every both other another such own same is are was were be "
    "been being am do does did done has have had having can could will would shall should may might must today now "
    "still again once twice ever often always first last"
)
FUNCTION_WORDS = frozenset(_FUNCTION.split())


def names_listed(text: str) -> tuple[str, ...]:
    """Runs of words without function words and punctuation, at most three words long, in order and each once.

    Words with capitals and words without are runs of their own, so verbs and adjectives are listed too: which of them
    are names is for the model to say.
    """
    found: dict[str, None] = {}
    run: list[str] = []
    end = 0
    for match in _WORD.finditer(text):
        word, gap = match[0], text[end : match.start()]
        breaks = bool(gap.strip(" \n*_")) or word.casefold() in FUNCTION_WORDS
        changes = bool(run) and (_named(word) != _named(run[-1]))
        if breaks or changes:
            _close(run, found)
            run = []
        if word.casefold() not in FUNCTION_WORDS:
            run.append(word)
        end = match.end()
    _close(run, found)
    return tuple(found)


def _named(word: str) -> str:
    return "number" if word[0].isdigit() else "name" if word[0].isupper() else "word"


def _close(run: list[str], found: dict[str, None]) -> None:
    if run and any(len(word) > 1 for word in run):
        # The end of a run of words is its noun: failed potter, black basalt.
        found[" ".join(run[-MOST_WORDS:])] = None
        if len(run) > 1 and _named(run[-1]) == "word":
            found[run[-1]] = None
