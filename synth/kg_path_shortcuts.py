"""Whether an item can be answered without its path: by a student that sees the item alone, or one fact of the path.

An item whose last fact names the answer plainly -> the student answers it from that fact in every draw -> the verdict
``Verdict(name="shortcut:edge_2", outcome="fail", …)``, and the item is rejected, since its other hops teach nothing.

Each draw shows the options in an order of its own, so a student that always says A does not answer anything, and one
that guesses among four gets three draws right once in 64 times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mashbill.ask import Ask
from mashbill.engine import Message, Sampling, system, user
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.qa_text import letter_of, lettered, said_letter
from mashbill.records import Path, Verdict
from mashbill.step import settle
from synth.graders import engine_of
from synth.kg_path_checks import fact_of
from synth.kg_path_prompts import SHORTCUT_KNOWN, SHORTCUT_PROMPT, SHORTCUT_SYSTEM
from synth.templates import fill

Kind = Literal["no_path", "one_edge"]


@dataclass(frozen=True, kw_only=True)
class Shortcuts:
    """Which shortcuts to try, and who tries; a field of a step."""

    student: str = ""
    """Role of the engine that tries, ``main`` for the main one; empty: nobody tries."""
    kinds: tuple[Kind, ...] = ("no_path", "one_edge")
    """``no_path``: the item alone. ``one_edge``: with each fact of a longer path by itself."""
    draws: int = 3
    """An item has a shortcut when every draw is right: by guessing among four, once in 64 items."""
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=16)

    def __post_init__(self) -> None:
        """Refuse what would try nothing."""
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}; it must be 1 or more")
        if not self.kinds:
            raise ValueError("kinds is empty; leave `student` out to try no shortcut")

    async def tried(self, question: str, options: tuple[str, ...], answer: str, path: Path, ask: Ask) -> list[Verdict]:
        """One verdict for each shortcut: ``fail`` where the student can take it, ``error`` where it never replied."""
        if not self.student:
            return []
        known = {"shortcut:no_path": ""} if "no_path" in self.kinds else {}
        if "one_edge" in self.kinds and path.hops > 1:  # of a single hop, the one fact is the whole path
            known |= {f"shortcut:edge_{at + 1}": fact_of(path, at) for at in range(path.hops)}
        asked = await settle(self._one(name, fact, question, options, answer, ask) for name, fact in known.items())
        return [verdict for verdict in asked if isinstance(verdict, Verdict)]

    async def _one(
        self, name: str, fact: str, question: str, options: tuple[str, ...], answer: str, ask: Ask
    ) -> Verdict:
        draws = await settle(
            self._right(f"{name}/{draw}", fact, question, options, answer, ask) for draw in range(self.draws)
        )
        bad = [draw for draw in draws if isinstance(draw, BadReply)]
        if bad:
            return Verdict(name=name, outcome="error", detail=f"{bad[0].reason}: {bad[0].detail}"[:300])
        right = sum(draw is True for draw in draws)
        outcome = "fail" if right == self.draws else "pass"
        return Verdict(name=name, outcome=outcome, detail=f"{right} of {self.draws} right")

    async def _right(
        self, what: str, fact: str, question: str, options: tuple[str, ...], answer: str, ask: Ask
    ) -> bool:
        order = sorted(range(len(options)), key=lambda at: seed_of(ask.record_id, what, at))
        shown = tuple(options[at] for at in order)
        item = f"{question}\n\n{lettered(shown)}"
        known = fill(SHORTCUT_KNOWN, fact=fact) if fact else ""
        prompt: tuple[Message, Message] = system(SHORTCUT_SYSTEM), user(fill(SHORTCUT_PROMPT, known=known, item=item))
        reply = await ask(prompt, sampling=self.sampling, engine=engine_of(self.student))
        return said_letter(reply.text, len(shown)) == letter_of(shown.index(answer))


def check_shortcuts(verdicts: list[Verdict], text: str, asks: tuple[str, ...]) -> None:
    """Let an item pass only when every shortcut was tried and none can be taken.

    Raises:
        BadReply: ``shortcut_no_path`` or ``shortcut_one_edge``; ``shortcut_error`` where the student did not reply.
    """
    for verdict in verdicts:
        if verdict.outcome == "fail":
            reason = "shortcut_no_path" if verdict.name.endswith("no_path") else "shortcut_one_edge"
            raise BadReply(reason, f"{verdict.name}: {verdict.detail}", text=text, asks=asks, verdicts=tuple(verdicts))
    for verdict in verdicts:
        if verdict.outcome != "pass":
            raise BadReply(
                "shortcut_error", f"{verdict.name}: {verdict.detail}", text=text, asks=asks, verdicts=tuple(verdicts)
            )
