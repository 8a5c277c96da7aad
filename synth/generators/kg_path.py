"""A path through a knowledge graph becomes an examination item with the thinking that leads through it.

A path -> one item::

    {"kind": "vignette", "question": "A carter's load from the northern pans is stopped at the gate … Who …?",
     "options": ["Ora Venn", "Emmer Toll", "the Lamp Guild", "Jorrane Tesk"], "answer": "Ora Venn",
     "rationale": "The pans lie in Marrow Bay. …", "path": [{"head": "Marrow Bay", …}, …], "negatives": "written",
     "verdicts": [{"name": "grader:first", "outcome": "pass"}, {"name": "grader:second", "outcome": "pass"}]}

After "Bottom-up domain-specific superintelligence" (arXiv 2507.13966): written from the path, filtered by form before
the thinking is paid for, thought through with the path in sight, graded by two models that must both agree. What is
added, and where this differs, stands in ``docs/kg-tasks.md``: letters are shuffled before the thinking is written, the
stem is tested for leaks, the thinking for whether it names the path's nodes, and a student may try shortcuts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from mashbill.agreement import grader_agreement
from mashbill.ask import Answer, Ask
from mashbill.engine import Sampling, system, user
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.qa_text import letter_of, lettered
from mashbill.records import QA, Path, Score, Verdict
from mashbill.step import Generator
from mashbill.store import Stored
from synth.exemplars import FewShot, Shown
from synth.graders import Case, Grading, check_graded, roles
from synth.kg_path_checks import check_answer, check_leaks, facts_of, names_of
from synth.kg_path_prompts import (
    JSON,
    MENTIONS,
    STYLES,
    TAGS,
    TRACE_PROMPT,
    TRACE_SYSTEM,
    WRITE_PROMPT,
    WRITE_SYSTEM,
    Stem,
)
from synth.kg_path_reply import Draft, Item, check_form, draft_of, read_tags
from synth.kg_path_shortcuts import Shortcuts, check_shortcuts
from synth.kg_path_trace import Held, check_mentions, check_whole, read_thinking
from synth.templates import check_places, fill

Written = tuple[Draft, Answer[Any]]

UNGRADED, UNTRIED, NO_EXAMPLES = Grading(), Shortcuts(), FewShot()


@dataclass(frozen=True, kw_only=True)
class KgPath(Generator[Path, QA]):
    """Writes a four-option item whose answer takes every hop of a path, and thinks it through."""

    stem: Stem = "vignette"
    reply: Literal["tags", "json"] = "tags"
    """The form of the writer's reply; ``json`` is enforced while decoding by engines that can."""
    write_system: str = WRITE_SYSTEM
    write_prompt: str = WRITE_PROMPT
    """May use {facts}, {source}, {target} and {style}; the form of the reply is put after it."""
    trace_system: str = TRACE_SYSTEM
    trace_prompt: str = TRACE_PROMPT
    """May use {facts}, {source}, {target}, {item} and {letter}."""
    writer: str = ""
    """Role of the engine that writes items; empty: the main one."""
    thinker: str = ""
    """Role of the engine that writes the thinking; empty: the main one. The paper's is the stronger of the two."""
    sampling: Sampling = Sampling(max_tokens=700)
    thinking: Sampling = Sampling(max_tokens=2048)
    """The paper's traces are 1,035 to 1,199 tokens on average, by category."""
    near_duplicate: float = 0.9
    """Options at least this alike are one option, from 0 to 1; ours: ``type 1`` and ``type 2`` are at 0.83."""
    answer: Literal["target", "free"] = "target"
    """``target``: the right option must name the path's end, which can be checked; ``free``, as in the paper, leaves
    that to the graders."""
    min_coverage: float = 0.5
    """The least share of the path's nodes that the thinking names; ours. Every row has its own as a score."""
    mentions: tuple[str, ...] = MENTIONS
    """Regular expressions that give away that the path was in sight."""
    grading: Grading = UNGRADED
    """``{graders: [first, second]}``; the paper takes two of different families, and both must pass a row."""
    shortcuts: Shortcuts = UNTRIED
    """``{student: ROLE}`` has a student try each item without the path, and with one fact alone."""
    few_shot: FewShot = NO_EXAMPLES
    """Worked items to show the writer, the nearest last: ``{shots: 2, written: [{question: …, worked: …}]}``."""
    discipline: str = ""
    """Put on every row; empty takes the path's domain."""
    seed: int = 42
    """Shuffles the options, with the path's id."""

    def __post_init__(self) -> None:
        """Refuse fields that could never make anything."""
        ends = {"facts", "source", "target"}
        check_places("write_prompt", self.write_prompt, ends | {"style"}, {"facts"})
        check_places("trace_prompt", self.trace_prompt, ends | {"item", "letter"}, {"facts", "item"})
        for name in ("near_duplicate", "min_coverage"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it lies from 0 to 1")
        check_mentions(self.mentions)

    def engines(self) -> tuple[str, ...]:
        """The roles that write, think, grade and try shortcuts."""
        own = [role for role in (self.writer, self.thinker, self.shortcuts.student) if role]
        return roles(own, self.grading.graders)

    async def make(self, record: Path, ask: Ask) -> Iterable[QA | BadReply]:
        """One item, or the reason why there is none."""
        if not record.edges:
            raise BadReply("empty_path", "the path has no edge, so there is nothing to ask about")
        shown = self.few_shot.choose([facts_of(record)], record)
        try:
            row = await self._item(record, shown, ask)
        except BadReply as bad:
            bad.subjects = (*bad.subjects, *shown.subjects)
            raise
        return [replace(row, exemplars=shown.ids)]

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """How often the graders agreed, for the manifest."""
        return {"grader_agreement": grader_agreement(made)}

    async def _item(self, record: Path, shown: Shown, ask: Ask) -> QA:
        written = await self._write(record, shown, ask)
        draft, answer = self._shuffled(written[0], record), written[1]
        tried = await self.shortcuts.tried(draft.question, draft.options, draft.answer, record, ask)
        check_shortcuts(tried, answer.text, answer.keys)
        thought = await ask(self._trace_question(draft, record), sampling=self.thinking, engine=self.thinker)
        thinking, covered = self._thinking(thought, draft, record, answer)
        case = Case(
            question=draft.question,
            options=draft.options,
            answer=draft.answer,
            evidence=facts_of(record),
            trace=thinking,
        )
        graded = await self.grading.grade(case, ask) if self.grading.graders else ()
        if self.grading.graders:
            check_graded(graded, text=thought.text, asks=(*answer.keys, *thought.keys))
        return self._row(record, draft, thinking, covered, (*tried, *graded), thought.made(answer))

    async def _write(self, record: Path, shown: Shown, ask: Ask) -> Written:
        parts = [part for part in (shown.block, self._filled(self.write_prompt, record), self._form()) if part]
        question = [system(self.write_system), user(*parts)]
        answer: Answer[Any]
        if self.reply == "json":
            answer = await ask(question, returns=Item, sampling=self.sampling, engine=self.writer)
        else:
            answer = await ask(question, sampling=self.sampling, engine=self.writer)
        try:
            draft = self._read(answer)
            check_form(draft, self.near_duplicate)
            if self.answer == "target":
                check_answer(draft, record)
            check_leaks(draft, record, self.stem)
        except BadReply as bad:
            raise BadReply(bad.reason, bad.detail, text=answer.text, asks=answer.keys) from None
        return draft, answer

    def _read(self, answer: Answer[Any]) -> Draft:
        check_whole(answer)
        if isinstance(answer.value, Item):
            return draft_of(answer.value.question, answer.value.options, answer.value.answer)
        return read_tags(answer.text)

    def _form(self) -> str:
        return JSON if self.reply == "json" else TAGS

    def _shuffled(self, draft: Draft, record: Path) -> Draft:
        # Writers favour some letters. Each place is drawn from the path's id, so no row depends on another.
        order = sorted(range(len(draft.options)), key=lambda at: seed_of(self.seed, record.id, "letter", at))
        return Draft(draft.question, tuple(draft.options[at] for at in order), order.index(draft.right))

    def _trace_question(self, draft: Draft, record: Path) -> list[Any]:
        item = f"{draft.question}\n\n{lettered(draft.options)}"
        filled = self._filled(self.trace_prompt, record, item=item, letter=letter_of(draft.right))
        return [system(self.trace_system), user(filled)]

    def _thinking(self, thought: Answer[Any], draft: Draft, record: Path, answer: Answer[Any]) -> tuple[str, float]:
        try:
            return read_thinking(
                thought,
                draft,
                record,
                Held(mentions=self.mentions, min_coverage=self.min_coverage, instruction=self.trace_prompt),
            )
        except BadReply as bad:
            keys = (*answer.keys, *thought.keys)
            raise BadReply(bad.reason, bad.detail, text=thought.text, asks=keys) from None

    def _filled(self, template: str, record: Path, **more: str) -> str:
        names = names_of(record)
        style = fill(STYLES[self.stem], source=names[0])
        return fill(template, facts=facts_of(record), source=names[0], target=names[-1], style=style, **more)

    def _row(
        self, record: Path, draft: Draft, thinking: str, covered: float, verdicts: tuple[Verdict, ...], made: Any
    ) -> QA:
        return record.child(
            QA,
            kind=self.stem,
            question=draft.question,
            options=draft.options,
            answer=draft.answer,
            rationale=thinking,
            discipline=self.discipline or record.domain,
            path=record.edges,
            negatives="written",
            verdicts=verdicts,
            made=made,
            scores=(
                Score(name="hops", value=float(record.hops)),
                Score(name="path_coverage", value=covered),
                Score(name="trace_words", value=float(len(thinking.split()))),
            ),
        )
