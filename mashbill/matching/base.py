"""What every matcher is: a frozen dataclass that compares an answer with the gold one.

A file is named for its one matcher: ``set_of.py`` holds ``SetOf``, known as ``set_of``. The fields and the version are
identity (`mashbill.matching.load.spec_of`), so a step that names a matcher is run anew when one of them changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mashbill.errors import BadReply
from mashbill.matching.final_answer import MARKERS, final_answer
from mashbill.matching.match import Match
from mashbill.step import snake_case


@dataclass(frozen=True, kw_only=True)
class Matcher:
    """Compares answers, and finds the final answer of a worked text.

    The contract: any two texts give a `Match`, whatever they hold, in time that is bounded by their length; an answer
    that can be read at all is the same as itself; and nothing of the texts is ever run in this process.
    """

    name: ClassVar[str] = ""
    version: ClassVar[int] = 2
    """Part of the identity of a step that names the matcher: raise it when its code, or what that imports, judges the
    same fields otherwise."""

    markers: tuple[str, ...] = MARKERS
    """What stands before a final answer: plain text in any case, so that no pattern of a user's takes long."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Name the matcher for its class."""
        super().__init_subclass__(**kwargs)
        cls.name = snake_case(cls.__name__)

    def compare(self, answer: str, gold: str, options: Sequence[str] = ()) -> Match:
        """Whether the two say the same; `options` are those the question offered."""
        raise TypeError(f"{type(self).__name__} has no `compare`")

    def revision(self) -> str:
        """The version, with those of the matchers that it uses."""
        return str(self.version)

    def agree(self, one: str, two: str, options: Sequence[str] = ()) -> bool:
        """Whether two answers, of which neither is the gold one, are one answer."""
        return one.strip() == two.strip() or self.compare(one, two, options).same

    def reads(self, answer: str) -> bool:
        """Whether this could be an answer at all: "the answer is found by adding" is none to a number."""
        return bool(answer.strip())

    def final(self, text: str) -> str | BadReply:
        """The final answer of a worked text, or why there is none: ``no_final_answer``, ``two_final_answers``.

        The `BadReply` is a value, as those of `mashbill.step.settle` are: raise it, or count its reason.
        """
        return final_answer(text, self.markers, same=self.agree, reads=self.reads)
