"""An item drafted from a graph gets the thinking that leads through its path: all that a small teacher is asked for.

An item of `path_draft` -> the same item with its thinking::

    {"kind": "chain", "question": "Ora Venn leads thing 1. Thing 1 taxes thing 2. Which of these is thing 2?",
     "options": ["tar", "salt", "oak", "wool"], "answer": "salt", "rationale": "Ora Venn leads the Salt Guild. …", …}

`kg_path` has a model write the item too, which a small one cannot: of 30 replies of a model of 135M weights not one had
the form asked for. Here the question, its options and its answer are right by the graph, and what the model adds is
held to the same rules: it must settle on the answer, name the nodes on the path and not speak of having been told. With
``settles: name`` no last line is asked for; the option named last counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from mashbill.agreement import grader_agreement
from mashbill.ask import Answer, Ask
from mashbill.engine import Message, Sampling, system, user
from mashbill.errors import BadReply
from mashbill.qa_text import letter_of, lettered
from mashbill.records import QA, Path, Score, Verdict
from mashbill.step import Generator
from mashbill.store import Stored
from synth.exemplars import FewShot, Shown
from synth.graders import Case, Grading, check_graded, roles
from synth.kg_path_checks import facts_of, names_of
from synth.kg_path_prompts import EXPLAIN_PROMPT, EXPLAIN_SYSTEM, MENTIONS, TRACE_PROMPT, TRACE_SYSTEM
from synth.kg_path_reply import Draft
from synth.kg_path_shortcuts import Shortcuts, check_shortcuts
from synth.kg_path_trace import Held, Settles, check_mentions, read_thinking
from synth.templates import check_places, fill

UNGRADED, UNTRIED, NO_EXAMPLES = Grading(), Shortcuts(), FewShot()


@dataclass(frozen=True, kw_only=True)
class PathTrace(Generator[QA, QA]):
    """Writes the thinking to an item that has its path."""

    settles: Settles = "letter"
    """``letter``: the reply ends with ``Final Answer: X``; ``name``: it ends by naming the answer."""
    trace_system: str = ""
    """Empty takes the one for `settles`."""
    trace_prompt: str = ""
    """May use {facts}, one a line, or {told}, as sentences; {source}, {target}, {item}, {letter} and {names}; empty
    takes the one for `settles`."""
    thinker: str = ""
    """Role of the engine that writes the thinking; empty: the main one."""
    thinking: Sampling = Sampling(max_tokens=2048)
    min_coverage: float = 0.75
    """The least share of the path's nodes that the thinking names; ours: at a half, naming the answer is enough for one
    hop."""
    mentions: tuple[str, ...] = MENTIONS
    """Regular expressions that give away that the path was in sight."""
    grading: Grading = UNGRADED
    shortcuts: Shortcuts = UNTRIED
    few_shot: FewShot = NO_EXAMPLES

    def __post_init__(self) -> None:
        """Take the prompts for `settles`, and refuse fields that could never make anything."""
        by_letter = self.settles == "letter"
        own = TRACE_SYSTEM if by_letter else EXPLAIN_SYSTEM, TRACE_PROMPT if by_letter else EXPLAIN_PROMPT
        object.__setattr__(self, "trace_system", self.trace_system or own[0])
        object.__setattr__(self, "trace_prompt", self.trace_prompt or own[1])
        places = {"facts", "told", "source", "target", "item", "letter", "names"}
        check_places("trace_prompt", self.trace_prompt, places)
        if not {"{facts}", "{told}"} & set(re.findall(r"\{[a-z]+\}", self.trace_prompt)):
            raise ValueError(
                "trace_prompt: the template lacks {facts} or {told}; without the path nobody can think along it"
            )
        if not 0 <= self.min_coverage <= 1:
            raise ValueError(f"min_coverage is {self.min_coverage}; it lies from 0 to 1")
        check_mentions(self.mentions)

    def engines(self) -> tuple[str, ...]:
        """The roles that think, grade and try shortcuts."""
        return roles([role for role in (self.thinker, self.shortcuts.student) if role], self.grading.graders)

    async def make(self, record: QA, ask: Ask) -> Iterable[QA | BadReply]:
        """The item with its thinking, or the reason why there is none."""
        if not record.path:
            raise BadReply("no_path", "the item has no path to think along")
        if record.answer not in record.options:
            raise BadReply("answer_not_option", f"the answer {record.answer!r} is none of {list(record.options)}")
        path = Path.new(edges=record.path, domain=record.domain)
        shown = self.few_shot.choose([facts_of(path)], record)
        try:
            return [await self._thought(record, path, shown, ask)]
        except BadReply as bad:
            bad.subjects = (*bad.subjects, *shown.subjects)
            raise

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """How often the graders agreed, for the manifest."""
        return {"grader_agreement": grader_agreement(made)}

    async def _thought(self, record: QA, path: Path, shown: Shown, ask: Ask) -> QA:
        draft = Draft(record.question, record.options, record.options.index(record.answer))
        tried = await self.shortcuts.tried(draft.question, draft.options, draft.answer, path, ask)
        check_shortcuts(tried, record.question, ())
        thought = await ask(self._question(draft, path, shown), sampling=self.thinking, engine=self.thinker)
        try:
            held = Held(
                mentions=self.mentions,
                min_coverage=self.min_coverage,
                settles=self.settles,
                instruction=self.trace_prompt,
            )
            thinking, covered = read_thinking(thought, draft, path, held)
        except BadReply as bad:
            raise BadReply(
                bad.reason, bad.detail, text=thought.text, asks=thought.keys, verdicts=tuple(tried)
            ) from None
        graded = await self._graded(draft, path, thinking, thought, ask)
        row = self._row(record, thinking, covered, (*tried, *graded), thought)
        return replace(row, exemplars=shown.ids)

    def _question(self, draft: Draft, path: Path, shown: Shown) -> list[Message]:
        names = names_of(path)
        asked = fill(
            self.trace_prompt,
            facts=facts_of(path),
            told=" ".join(f"{fact.replace(' | ', ' ')}." for fact in facts_of(path).splitlines()),
            source=names[0],
            target=names[-1],
            item=f"{draft.question}\n\n{lettered(draft.options)}",
            letter=letter_of(draft.right),
            names=", ".join(names),
        )
        return [system(self.trace_system), user(*(part for part in (shown.block, asked) if part))]

    async def _graded(
        self, draft: Draft, path: Path, thinking: str, thought: Answer[Any], ask: Ask
    ) -> tuple[Verdict, ...]:
        if not self.grading.graders:
            return ()
        case = Case(
            question=draft.question,
            options=draft.options,
            answer=draft.answer,
            evidence=facts_of(path),
            trace=thinking,
        )
        graded = await self.grading.grade(case, ask)
        check_graded(graded, text=thought.text, asks=thought.keys)
        return graded

    def _row(
        self, record: QA, thinking: str, covered: float, verdicts: tuple[Verdict, ...], thought: Answer[Any]
    ) -> QA:
        measured = (
            Score(name="path_coverage", value=covered),
            Score(name="trace_words", value=float(len(thinking.split()))),
        )
        return replace(
            record,
            parents=(record.id,),
            rationale=thinking,
            verdicts=(*record.verdicts, *verdicts),
            scores=(*record.scores, *measured),
            made=thought.made(),
        ).identified()
