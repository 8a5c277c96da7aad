"""Writing one new question for a target: draft, checks of form, blind re-annotation, and rewriting with feedback.

A target (mathematics, difficulty 4, for undergraduates) with a seed of difficulty 3 -> a first draft that the
annotator, who knows nothing of the target, labels 2 -> the writer is told "judged 2 of 5, wanted is at least 4" -> a
second draft labelled 4 -> the row, with the annotator's labels and the target's as scores.

That synthetic questions come out easier than their seeds is what arXiv 2508.01326 calls difficulty degradation; how it
is mended here (the rewrites, the floors, the tolerances) is ours, since only its abstract is public.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from mashbill.ask import Answer, Ask
from mashbill.engine import Message, Sampling, assistant, system, user
from mashbill.errors import BadReply
from mashbill.qa_text import lettered
from mashbill.records import QA, Score
from mashbill.step import Step
from synth.annotation import GRADES, LEVELS, Annotation, Annotator
from synth.boostqa_draft import Draft, check_draft, draft_record
from synth.boostqa_prompts import (
    FEEDBACK,
    FORM,
    GRADE_PART,
    NAMES,
    SCOPES,
    STYLE_PART,
    STYLES,
    WRITE_PROMPT,
    WRITE_SYSTEM,
)
from synth.boostqa_target import Target, in_discipline
from synth.boostqa_trail import Trail
from synth.graders import MAIN, engine_of
from synth.templates import check_places, fill

PLACES = frozenset({"seeds", "points", "discipline", "grade_part", "difficulty", "anchor", "style_part", "form"})
WRITES = Sampling(temperature=0.7, max_tokens=1024)
"""0.7: what reasoning models are commonly run at; the paper's own is not public."""

MAIN_ANNOTATOR = Annotator()


@dataclass(frozen=True, kw_only=True)
class Writing(Step):
    """Fields and asking of the first half: from a target to a question that is what was wanted."""

    writer: str = MAIN
    """Role of the engine that writes questions."""
    writing: Sampling = WRITES
    write_system: str = WRITE_SYSTEM
    write_prompt: str = WRITE_PROMPT
    """Must use {seeds}; may use {points}, {discipline}, {grade_part}, {difficulty}, {anchor}, {style_part}, {form}."""
    feedback: str = FEEDBACK
    """Follows a draft that cannot be used; gets {fault}."""
    grades: tuple[str, ...] = GRADES
    """The grades that a question is written for, each seed for each of them in turn."""
    grade_conditioning: bool = True
    """Whether the writer is told the grade with its scope and notation; without it there is one question a seed."""
    grade_slack: int = 1
    """How many grades the annotator's may lie from the one asked for; 4 takes any. Ours."""
    hard_from: int = 4
    """From this difficulty on a cell is hard: its questions are asked for by a style, and harder than wanted is right.
    Below it a question must have the very difficulty of its cell."""
    styles: tuple[str, ...] = tuple(STYLES)
    """What makes the questions of hard cells hard, in turn."""
    reannotate: bool = True
    """Whether the annotator labels every draft, and what it says decides. Without it a row carries what was asked for,
    and nobody knows whether it holds: the ablation."""
    annotator: Annotator = MAIN_ANNOTATOR
    rewrites: int = 2
    """How often a draft is written anew with what was wrong with it."""
    most_alike: float = 0.9
    """Likeness to a seed, numbers and names left out, above which a question is only the seed again; ours."""

    def __post_init__(self) -> None:
        """Refuse fields that could never make anything."""
        check_places("write_prompt", self.write_prompt, PLACES, {"seeds"})
        check_places("feedback", self.feedback, {"fault"}, {"fault"})
        for name, known in (("grades", GRADES), ("styles", tuple(STYLES))):
            given = getattr(self, name)
            if not given or len(set(given)) < len(given) or not set(given) <= set(known):
                raise ValueError(f"{name} is {list(given)}; name one or more of {', '.join(known)}, each once")
        if self.rewrites < 0 or self.grade_slack < 0:
            raise ValueError(f"rewrites is {self.rewrites}, grade_slack {self.grade_slack}; neither may be below 0")
        if not 0 < self.most_alike <= 1:
            raise ValueError(f"most_alike is {self.most_alike}; it lies above 0 and at most at 1 (number swaps alone)")
        if not self.writer:
            raise ValueError(f"writer is empty; write {MAIN} for the main engine")

    async def written(self, target: Target, ask: Ask, trail: Trail) -> tuple[QA, Draft]:
        """A question that is what the target wants, and the draft it was made of.

        Raises:
            BadReply: with the fault of the last draft: those of `check_draft`, ``too_easy``, ``too_hard``,
                ``other_discipline``, ``other_grade``; or with what the asks raise.
        """
        question = self.question(target)
        asked: Sequence[Message] = question
        for turn in range(self.rewrites + 1):
            answer = await ask(
                asked, returns=Draft, sampling=self.writing, draw=target.draw, engine=engine_of(self.writer)
            )
            trail.answers.append(answer)
            trail.drafts += 1
            try:
                return await self._judged(answer, target, ask, trail), answer.value
            except BadReply as bad:
                if turn == self.rewrites or bad.reason not in MENDED:
                    raise _with_text(bad, answer) from None
                # The last draft alone: what was wrong with earlier ones would make the prompt grow.
                told = fill(self.feedback, fault=bad.detail)
                asked = [*question, assistant(answer.text), user(told)]
        raise AssertionError("unreachable: the last draft returns or raises")

    def question(self, target: Target) -> list[Message]:
        """The prompt of a target."""
        grade = fill(GRADE_PART, grade=NAMES[target.grade], scope=SCOPES[target.grade]) if target.grade else ""
        style = fill(STYLE_PART, style=STYLES[target.style]) if target.hard else ""
        points = dict.fromkeys(point for seed in target.seeds for point in seed.knowledge_points)
        filled = fill(
            self.write_prompt,
            seeds="\n\n".join(_shown(seed) for seed in target.seeds),
            points=", ".join(points) or "what they ask",
            discipline=", ".join(dict.fromkeys(seed.discipline for seed in target.seeds)),
            grade_part=grade,
            difficulty=f"at least {target.difficulty}" if target.hard else str(target.difficulty),
            anchor=LEVELS[target.difficulty],
            style_part=style,
            form=FORM,
        )
        return [system(self.write_system), user(filled)]

    async def _judged(self, answer: Answer[Draft], target: Target, ask: Ask, trail: Trail) -> QA:
        draft = answer.value
        check_draft(draft, target.seeds, self.most_alike)
        record = draft_record(draft, target.seeds)
        if not self.reannotate:
            return self._labelled(record, target, draft, None)
        labels = await self.annotator.annotate(record, ask)
        trail.answers.append(labels.answer)
        trail.first = labels.difficulty if trail.first is None else trail.first
        self._check_labels(labels, target)
        return self._labelled(record, target, draft, labels)

    def _check_labels(self, labels: Annotation, target: Target) -> None:
        if not in_discipline(labels.discipline, target.discipline):
            raise BadReply(
                "other_discipline",
                f"a reader took it for {labels.discipline}; wanted is a question of {target.discipline}",
            )
        anchor, floor = LEVELS[target.difficulty], self.floor(target)
        judged = f"a reader who did not know what was wanted judged its difficulty as {labels.difficulty} of 5"
        if labels.difficulty < floor:
            how = STYLES.get(target.style, "it takes more steps or more knowledge.")
            raise BadReply("too_easy", f"{judged}; wanted is at least {floor} ({anchor}). Make it harder: {how}")
        if labels.difficulty > target.difficulty and not target.hard:
            raise BadReply("too_hard", f"{judged}; wanted is {target.difficulty} ({anchor}). Make it easier.")
        if target.grade and abs(GRADES.index(labels.grade) - GRADES.index(target.grade)) > self.grade_slack:
            scope = SCOPES[target.grade]
            raise BadReply(
                "other_grade", f"a reader took it for {NAMES[labels.grade]}; it is for {NAMES[target.grade]}: {scope}"
            )

    def floor(self, target: Target) -> int:
        """The least difficulty that is right: the cell's, and in a hard cell the first seed's too."""
        return max(target.difficulty, target.seeds[0].difficulty or 0) if target.hard else target.difficulty

    def _labelled(self, record: QA, target: Target, draft: Draft, labels: Annotation | None) -> QA:
        scores = [Score(name="target_difficulty", value=float(target.difficulty))]
        if target.grade:
            scores.append(Score(name="target_grade", value=float(GRADES.index(target.grade) + 1)))
        if target.seed_difficulty is not None:
            scores.append(Score(name="seed_difficulty", value=target.seed_difficulty))
        seed = target.seeds[0]
        return dataclasses.replace(
            record,
            discipline=labels.discipline if labels else seed.discipline,
            is_stem=labels.is_stem if labels else seed.is_stem,
            difficulty=labels.difficulty if labels else target.difficulty,
            grade=labels.grade if labels else target.grade,
            knowledge_points=labels.knowledge_points if labels else tuple(draft.knowledge_points),
            scores=tuple(scores),
        ).identified()


MENDED = frozenset(
    {
        *("question_too_short", "no_answer", "option_count", "options_repeat", "answer_not_option"),
        *("not_self_contained", "number_swap", "too_easy", "too_hard", "other_discipline", "other_grade"),
    }
)
"""Faults that the writer is told of."""


def _shown(seed: QA) -> str:
    options = f"\n{lettered(seed.options)}" if seed.options else ""
    # A seed that closes the tag would go on as if it were the prompt.
    text = f"{seed.context}\n{seed.question}{options}\nAnswer: {seed.answer}".strip()
    return text.replace("</", "< /")


def _with_text(bad: BadReply, answer: Answer[Draft]) -> BadReply:
    return BadReply(bad.reason, bad.detail, text=bad.text or answer.text, asks=bad.asks, verdicts=bad.verdicts)
