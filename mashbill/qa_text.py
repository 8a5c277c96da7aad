r"""A question as a student reads it and as it should answer: what generators, graders and trainers must agree on.

A row with options and a thinking trace ->

    user:       Who taxed salt?\n\nA) Ora Venn\nB) the Salt Guild\n…\n\nThink first, then end with one line as: Final
                Answer: C
    assistant:  <think>\nThe guild …\n</think>\n\nFinal Answer: B

The letter in the user's turn is an example drawn for each row: with a fixed one a student learns to copy it (seen in
the code of arXiv 2507.13966, whose format this is).
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from mashbill.fingerprint import seed_of
from mashbill.records import QA
from mashbill.words import singular, words

LETTERS = string.ascii_uppercase
FINAL = "Final Answer:"

_SAID = re.compile(
    # A small letter counts where nothing is said after it: ``the answer is a guild`` names no option.
    r"\b(?:(?i:final answer|answer))\s*(?:is|:)?\s*[:*(\[\s]*(?:([A-Z])\b(?!['’])|([a-z])(?=\W*$|\W*\n|\s*[).:\]*]))",
)
_SMALL = frozenset({"the", "a", "an", "of"})
_BARE = re.compile(r"^\W*([A-Za-z])(?:\W|$)")


def spoken(label: str) -> str:
    """A node or relation label as words of a sentence.

    >>> spoken("acquired_abnormality"), spoken("co-occurs_with"), spoken("Marrow Bay"), spoken("birthPlace")
    ('acquired abnormality', 'co-occurs with', 'Marrow Bay', 'birth place')
    """
    text = label.strip().strip("<>")
    if "://" in text:  # an IRI says its name behind the last slash or hash
        text = re.split(r"[/#]", text.rstrip("/#"))[-1]
    if not re.search(r"\s", text):
        text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
        text = text.lower() if re.match(r"[a-z]", label) else text
    return " ".join(text.replace("_", " ").split())


def option_key(text: str) -> tuple[str, ...]:
    """What two options have in common that say the same: their words in the singular and in any order.

    >>> option_key("The Salt Guilds") == option_key("guild of salt"), option_key("type 1") == option_key("type 2")
    (True, False)
    """
    found = words(text)
    return tuple(sorted(singular(word) for word in found if word not in _SMALL) or found) or (text.strip().casefold(),)


def letter_of(index: int) -> str:
    """The letter of an option by its place.

    Raises:
        IndexError: for a place beyond the alphabet.
    """
    return LETTERS[index]


def answer_letter(qa: QA) -> str:
    """The letter of the right option.

    Raises:
        ValueError: when the answer is not among the options.
    """
    return letter_of(qa.options.index(qa.answer))


def lettered(options: Sequence[str]) -> str:
    r"""Options one a line with their letters.

    >>> lettered(["salt", "oak"])
    'A) salt\nB) oak'
    """
    return "\n".join(f"{letter_of(at)}) {option}" for at, option in enumerate(options))


def stem_and_options(qa: QA) -> str:
    """The context, the question and the options, as far as there are any."""
    return "\n\n".join(part for part in (qa.context, qa.question, lettered(qa.options)) if part)


def user_turn(qa: QA, seed: int = 0) -> str:
    """What a student is asked, with the form of the answer stated by an example that says nothing of the right one."""
    example = "…"
    if qa.options:
        example = letter_of(seed_of(seed, qa.id, "example") % len(qa.options))
    ask = "Think first, then end with one line as:" if qa.rationale else "Answer with one line as:"
    return f"{stem_and_options(qa)}\n\n{ask} {FINAL} {example}"


def assistant_turn(qa: QA) -> str:
    """What the student should write: the thinking, if there is one, then the answer's letter or text."""
    answer = f"{FINAL} {answer_letter(qa) if qa.options else qa.answer}"
    return f"<think>\n{qa.rationale}\n</think>\n\n{answer}" if qa.rationale else answer


def said_letter(text: str, options: int) -> str:
    """The letter that a reply settles on, or nothing: the last ``answer: X``, or a letter that stands at its head.

    >>> said_letter("The answer is a guild", 4), said_letter("the answer: c", 4), said_letter("Answer: B because …", 4)
    ('', 'C', 'B')
    >>> said_letter("B is tempting, but … Final Answer: **C**", 4), said_letter("(d)", 4), said_letter("A man came", 4)
    ('C', 'D', '')
    """
    allowed = LETTERS[:options]
    said = [str(large or small).upper() for large, small in _SAID.findall(text)]
    found = [letter for letter in said if letter in allowed]
    if found:
        return found[-1]
    bare = _BARE.match(text)
    alone = bare is not None and (len(text.split()) == 1 or re.match(r"^\W*[A-Za-z][).:\]*]", text) is not None)
    letter = bare[1].upper() if bare is not None and alone else ""
    return letter if letter and letter in allowed else ""
