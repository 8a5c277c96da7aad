r"""An instruction taken apart: its kind of task, the plain query, and each constraint it sets.

``"Summarise {transcript} for a busy reader, in at most five bullets and in French."`` -> one row::

    {"text": "Summarise {transcript} for a …", "task_type": "meeting summary", "base_query": "Summarise {transcript}.",
     "constraints": [{"category": "style", "text": "for a busy reader", …},
                     {"category": "language", "text": "in French", …},
                     {"category": "numerical", "text": "in at most five bullets", …},
                     {"category": "input_placeholder", "text": "{transcript}", …}], "languages": ["en"], …}

One question for each instruction (TCIA, arXiv 2508.20374, table 5). The paper takes the reply as it is; here each piece
is looked up in the instruction, since models name requirements that would have been sensible. An instruction of several
tasks gives a row for each; with `one_task` (a seed prompt) it must be one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from mashbill.ask import Answer, Ask
from mashbill.constraint_sets import PLACEHOLDER, canonical, constraint_key
from mashbill.engine import Message, Sampling, assistant, system, user
from mashbill.errors import BadReply
from mashbill.records import Constraint, Instruction
from mashbill.step import Generator
from synth.decompose_prompts import ANALYST, EXAMPLE, ONE_TASK, PROMPT, REPLY
from synth.decompose_reply import Decomposed, FoundTask, missing_numbers, present_share, spoken_words
from synth.placeholders import chat_mark_in, placeholders_in

PRESENT = 0.6
"""Share of a piece's words that must stand in the instruction. Ours: the paper checks nothing. Models change a word or
two of what they quote (``at most 5 bullets`` for ``no more than five bullets`` shares 0.6); of invented constraints
hardly any word is there."""


@dataclass(frozen=True, kw_only=True)
class Decompose(Generator[Instruction, Instruction]):
    """Takes instructions apart into task type, base query and constraints that are really in them."""

    one_task: bool = False
    """Whether an instruction must be one task, as a seed prompt must; else each task is a row."""
    least_present: float = PRESENT
    """Share of a constraint's words that must stand in the instruction, 0 to 1; of the base query's too."""
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes: instructions in other languages are rejected. Empty: all are taken."""
    most_characters: int = 8000
    """A longer instruction carries its input with it, and is no template for others."""
    analyst: str = ANALYST
    question: str = PROMPT
    """Follows the instruction."""
    example: str = EXAMPLE
    """An instruction that is shown taken apart before the question; empty shows none."""
    example_reply: str = REPLY
    sampling: Sampling = Sampling(temperature=0.2, max_tokens=1200)

    def __post_init__(self) -> None:
        """Refuse fields that could never make anything."""
        if not 0 <= self.least_present <= 1:
            raise ValueError(f"least_present is {self.least_present:g}; it is a share, from 0 to 1")
        if self.most_characters < 1:
            raise ValueError(f"most_characters is {self.most_characters}; it must be 1 or more")
        if bad := [one for one in self.languages if len(one) != 2 or not one.islower()]:
            raise ValueError(f"languages has {bad[0]!r}; they are two-letter codes (ISO 639-1), as 'en'")

    async def make(self, record: Instruction, ask: Ask) -> Iterable[Instruction | BadReply]:
        """A row for each task, then what was named and is not in the instruction."""
        self._refuse(record)
        answer = await ask(self._asked(record), returns=Decomposed, sampling=self.sampling)
        found = answer.value
        bad = self._unfit(found)
        if bad is not None:
            raise BadReply(*bad, text=answer.text, asks=answer.keys)
        rows, rejects = list[Instruction | BadReply](), list[BadReply]()
        seen = set[tuple[str, str, tuple[Constraint, ...]]]()
        for task in found.tasks:
            one = self._task(task, record, answer, rejects)
            key = None if isinstance(one, BadReply) else (one.task_type, one.base_query, one.constraints)
            if key in seen:
                one = _bad("repeated_task", "the reply lists the same task twice", answer)
            elif key is not None:
                seen.add(key)
            rows.append(one)
        return [*rows, *rejects]

    def _asked(self, record: Instruction) -> list[Message]:
        question = self.question + (ONE_TASK if self.one_task else "")
        shown = [user(self.example, "\n\n", question), assistant(self.example_reply)] if self.example else []
        return [system(self.analyst), *shown, user(record.text, "\n\n", question)]

    def _refuse(self, record: Instruction) -> None:
        """Before anything is paid for."""
        if not record.text.strip():
            raise BadReply("no_text", "the instruction has no text; only its parts are there")
        if len(record.text) > self.most_characters:
            found = f"{len(record.text):,} characters; the most is `most_characters` ({self.most_characters:,})"
            raise BadReply("too_long", found)
        if mark := chat_mark_in(record.text):
            raise BadReply("template_mark", f"{mark!r} is a mark of a chat template, not of an instruction")

    def _unfit(self, found: Decomposed) -> tuple[str, str] | None:
        """Why the whole reply gives no row."""
        if self.languages and (others := sorted({*_codes(found)} - set(self.languages))):
            return "other_language", f"written in {', '.join(others)}; wanted {', '.join(self.languages)}"
        # A reply that calls it plain and names requirements all the same is judged by what it names.
        if not any(task.constraints for task in found.tasks):
            return "plain", "it sets no requirements: there is nothing to take apart"
        if self.one_task and len(found.tasks) != 1:
            return "several_tasks", f"{len(found.tasks)} tasks; a seed prompt must be exactly one"
        return None

    def _task(
        self, task: FoundTask, record: Instruction, answer: Answer[Decomposed], rejects: list[BadReply]
    ) -> Instruction | BadReply:
        task_type, query = " ".join(task.task_type.split()), " ".join(task.base_query.split())
        there = spoken_words(record.text)
        if not task_type or not query:
            return _bad("no_task_type" if not task_type else "no_base_query", "it is blank", answer)
        if (share := present_share(query, there)) < self.least_present:
            return _bad("invented_query", f"{share:.0%} of its words are in the instruction", answer, query)
        kept = self._constraints(task, record, answer, rejects)
        if not any(one.category != PLACEHOLDER for one in kept):
            return _bad("no_constraints", "no requirement of the reply stands in the instruction", answer, query)
        if left := _left_in(query, kept):
            return _bad("constraint_in_query", f"the base query still says {left!r}", answer, query)
        made = answer.made()
        kinds = {"task_type": task_type, "base_query": query, "constraints": canonical(kept)}
        languages = tuple(dict.fromkeys(_codes(answer.value)))
        return record.child(
            Instruction,
            text=record.text,
            context=record.context,
            response=record.response,
            languages=languages,
            made=made,
            **kinds,
        )

    def _constraints(
        self, task: FoundTask, record: Instruction, answer: Answer[Any], rejects: list[BadReply]
    ) -> list[Constraint]:
        """Those that stand in the instruction, and its placeholders whether they were named or not."""
        there, places = spoken_words(record.text), placeholders_in(record.text)
        kept = [Constraint(category=PLACEHOLDER, text=place) for place in places]
        known = {constraint_key(one.text) for one in kept}
        for one in task.constraints:
            text = " ".join(one.constraint.split())
            if (
                any(place in text for place in places)
                and len(placeholders_in(text)) == 1
                and one.category == PLACEHOLDER
            ):
                continue  # found already, by its braces
            why = self._invented(text, there)
            if one.category == PLACEHOLDER and not placeholders_in(text):
                why = "it names no place such as {transcript} of the instruction"
            if why:
                rejects.append(_bad("invented_constraint", why, answer, text))
            elif (key := constraint_key(text)) in known:
                rejects.append(_bad("repeated_constraint", "the reply names it twice", answer, text))
            else:
                known.add(key)
                kept.append(Constraint(category=one.category, text=text, simplified_query=one.simplified_query.strip()))
        return kept

    def _invented(self, text: str, there: set[str]) -> str:
        if not text:
            return "it is blank"
        if numbers := missing_numbers(text, there):
            return f"the instruction does not say {', '.join(numbers)}"
        share = present_share(text, there)
        return "" if share >= self.least_present else f"{share:.0%} of its words are in the instruction"


def _bad(reason: str, detail: str, answer: Answer[Any], text: str = "") -> BadReply:
    return BadReply(reason, detail, text=text or answer.text, asks=answer.keys)


def _codes(found: Decomposed) -> list[str]:
    """The languages as two-letter codes: ``EN`` and ``en-GB`` are ``en``; what is no code is left out."""
    codes = (one.strip().lower().replace("_", "-").partition("-")[0] for one in found.languages)
    return [code for code in codes if len(code) == 2 and code.isalpha()]


def _left_in(query: str, constraints: Iterable[Constraint]) -> str:
    """A constraint of which every word is in the base query still, or nothing."""
    there = spoken_words(query)
    for one in constraints:
        if one.category != PLACEHOLDER and present_share(one.text, there) == 1.0:
            return one.text
    return ""


ONE = replace(Decompose(), one_task=True)
"""How a seed prompt is taken apart where a bill says nothing else."""
