"""The prompts of each task: what a teacher is told before a question, with its reasons or with the answer alone.

``maths`` -> "Solve the problem step by step. …" and a last line ``#### 72``; ``conversation`` -> a JSON object with
``reason`` and ``answer``, since a reply of several lines does not fit behind a mark.

The tasks and the eighty words are those of Azure's distillation components (assets/training/distillation), the nearest
code to "Knowledge distillation using frontier open-source LLMs" (arXiv 2410.18588); summaries have a generator of their
own (`synth.generators.chain_of_density`). The wording is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mashbill.qa_text import lettered
from mashbill.records import QA

Task = Literal["maths", "question", "classification", "conversation", "extraction"]
Form = Literal["marked", "json"]
"""How a reply shows its answer: on a last line behind ``####``, or as a JSON object."""

MARK = "####"
_LAST = f"End with one last line: {MARK} and the answer alone"
_ALONE = f"Reply with one line only: {MARK} and the answer alone"


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What a task takes where a bill says nothing."""

    reasoned: str
    """The system prompt for reasons and answer."""
    direct: str
    """The system prompt for the answer alone."""
    form: Form
    matcher: str | None
    """The matcher that compares with the gold answer; None: such answers are not compared."""


TASKS: Mapping[Task, TaskSettings] = {
    "maths": TaskSettings(
        "You solve word problems. Work step by step, one short sentence a step, and write every calculation out as an "
        f"equation, as 3 * 4 = 12. {_LAST}, a number.",
        f"You solve word problems. {_ALONE}, a number.",
        "marked",
        "numeric",
    ),
    "question": TaskSettings(
        "You answer questions. First reason in at most 80 words: name the facts that decide the answer, in the order "
        f"in which they lead to it. {_LAST}, in as few words as answer the question.",
        f"You answer questions. {_ALONE}, in as few words as answer the question.",
        "marked",
        "exact",
    ),
    "classification": TaskSettings(
        "You label texts. First say in at most 80 words what in the text decides the label and why the nearest other "
        f"label does not fit. {_LAST}: one of the labels offered, exactly as it is written there.",
        f"You label texts. {_ALONE}: one of the labels offered, exactly as it is written there.",
        "marked",
        "exact",
    ),
    "conversation": TaskSettings(
        "You write the assistant's next reply in a conversation. First think in at most 80 words about what the person "
        "needs and what was said before. Reply with a JSON object of two texts: reason, your thoughts, which the "
        "person never sees, and answer, the reply itself.",
        "You write the assistant's next reply in a conversation. Reply with a JSON object of one text: answer, the "
        "reply itself.",
        "json",
        None,
    ),
    "extraction": TaskSettings(
        "You find in a text what is asked for. First say in at most 80 words where it stands. Reply with a JSON object "
        "of two texts: reason, and answer, which lists what was found in the words of the text, separated by "
        "semicolons, or is none where there is nothing.",
        "You find in a text what is asked for. Reply with a JSON object of one text: answer, which lists what was "
        "found in the words of the text, separated by semicolons, or is none where there is nothing.",
        "json",
        "set_of",
    ),
}

HINT = (
    "(Only for you: the right answer is {answer}. Show the way there as one who finds it now, and never say that you "
    "were told.)"
)
"""STaR (Zelikman et al. 2022, arXiv 2203.14465) writes "(CORRECT)" behind the right choice; this needs no choices."""


def question_text(question: str, options: Sequence[str] = (), context: str = "", *, letters: bool = True) -> str:
    r"""A question as prompts, exemplars and banks show it: context, question, options.

    >>> question_text("Is it salt?", ["yes", "no"], letters=False)
    'Is it salt?\n\nLabels: yes, no'
    """
    listed = "" if not options else lettered(options) if letters else f"Labels: {', '.join(options)}"
    return "\n\n".join(part.strip() for part in (context, question, listed) if part.strip())


def shown_question(record: QA, task: str) -> str:
    """A stored question as a teacher sees it; labels are offered by name, options of a question by letter."""
    return question_text(record.question, record.options, record.context, letters=task != "classification")
