r"""Constraints in plain English to checkers: one file a checker in this folder.

``"Please limit your answer to no more than 50 words"`` -> ``Length(unit="words", bound=0..50)``. A constraint is read
whole or not at all: words that no checker took and that say more than "your answer should" leave it unread, so that a
pass never stands for half of what was asked.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Mapping
from pathlib import Path

from mashbill.constraints.all_of import AllOf
from mashbill.constraints.base import Checker, Found
from mashbill.step import snake_case

LONGEST = 400
"""Characters of a constraint that is still read; what is longer says more than one checkable thing."""
READ = 20_000
"""Characters of an instruction in which constraints are looked for."""
_FILLER_WORDS = """
    a all allowed always an and answer answers any are as assistant at be being blank by clear clearly concise
    concisely consist consisting consists contain containing contains content description do document email
    ensure entire entirely essay exactly explanation final follow following for format formatted full generate
    generated give given has have having in include includes including is it its itself keep kept length letter
    limit limited list long made make message minutes model must need needs note notes of only organised
    organized output outputs overall paragraph please poem present presented produce produced provide provided
    reply report represent respond response responses restrict restricted result return returned separated shall
    should so stay stick story strictly structure structured style summary sure text that the them this to total
    translate translation try use used uses using which whole will with write writing written you your
"""
_FILLER = frozenset(_FILLER_WORDS.split())
"""Words that say nothing more than that an answer is wanted so."""
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


@functools.cache
def available() -> Mapping[str, type[Checker]]:
    """Every checker by name; a file is one when it holds a `Checker` of its own name."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        if path.stem == "load":
            continue
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for thing in vars(module).values():
            if isinstance(thing, type) and issubclass(thing, Checker) and snake_case(thing.__name__) == path.stem:
                found[path.stem] = thing
    return found


def checkers_in(text: str) -> list[Found]:
    """The checkable constraints that a text states, in its order; where two overlap, the longer one.

    >>> [one.checker.said() for one in checkers_in("Sum up the notes in French. Use at most 50 words.")]
    ['in French', 'at most 50 words']
    """
    flat = text[:READ].replace("\n", " ")
    found = [one for kind in available().values() for one in kind.find(flat)]
    taken = list[Found]()
    for one in sorted(found, key=lambda one: (one.start - one.end, one.start)):
        if all(one.end <= other.start or other.end <= one.start for other in taken):
            taken.append(one)
    return sorted(taken, key=lambda one: one.start)


def checker_of(constraint: str) -> Checker | None:
    """The checker of a constraint; None where code cannot say whether it is kept.

    >>> checker_of("Your response must have exactly 3 paragraphs.").said()
    'exactly 3 paragraphs'
    >>> checker_of("The introduction must have exactly 3 paragraphs.") is None
    True
    """
    if len(constraint) > LONGEST:
        return None
    found = checkers_in(constraint)
    at, rest = 0, list[str]()
    for one in found:
        rest.append(constraint[at : one.start])
        at = one.end
    rest.append(constraint[at:])
    if not found or not all(word.casefold() in _FILLER for word in _WORD.findall(" ".join(rest))):
        return None
    parts = tuple(dict.fromkeys(one.checker for one in found))
    return parts[0] if len(parts) == 1 else AllOf(parts=parts)
