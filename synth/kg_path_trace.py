r"""The thinking to an item, read from a reply and held to its path: what `kg_path` and `path_trace` share.

A reply ``The guild was founded by Ora Venn. …\n\nFinal Answer: B`` -> the thinking without its last line, and the
share of the path's nodes that it names; or the reason why it cannot be used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mashbill.ask import Answer
from mashbill.errors import BadReply
from mashbill.qa_text import letter_of
from mashbill.records import Path
from mashbill.words import folded_track, grams, track, words
from synth.entities import key_of
from synth.kg_path_checks import check_trace, coverage, split_trace
from synth.kg_path_reply import Draft, check_artefacts

ECHO = 5
"""Words in a row that are the prompt's: small models repeat what they were asked."""
_PLACE = re.compile(r"\{[a-z_]+\}")
Settles = Literal["letter", "name"]
"""How thinking shows its answer: by a last line with the letter, or by the option that it names last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What thinking is held to."""

    mentions: Sequence[str]
    min_coverage: float
    settles: Settles = "letter"
    instruction: str = ""
    """The prompt's own words: thinking that copies `ECHO` of them in a row is none."""


def read_thinking(thought: Answer[Any], draft: Draft, path: Path, held: Held) -> tuple[str, float]:
    """The thinking and its coverage of the path.

    Raises:
        BadReply: ``truncated``, ``filtered``, ``artefact``, ``trace_echoes_prompt``, ``trace_empty``,
            ``trace_without_answer``, ``trace_other_answer``, ``trace_mentions_path`` or ``path_not_covered``.
    """
    check_whole(thought)
    check_artefacts(thought.text.replace("<think>", "").replace("</think>", ""))
    thinking, letter = split_trace(thought.text)
    if held.settles == "name":
        letter = letter or _last_named(thinking, draft)
    _check_echo(thinking, held.instruction)
    check_trace(thinking, letter, letter_of(draft.right), held.mentions)
    covered = coverage(thinking, path)
    if covered < held.min_coverage:
        raise BadReply(
            "path_not_covered", f"it names {covered:.0%} of the path's nodes, {held.min_coverage:.0%} wanted"
        )
    return thinking, covered


def check_whole(answer: Answer[Any]) -> None:
    """Refuse a reply that did not come to its end.

    Raises:
        BadReply: ``truncated`` or ``filtered``.
    """
    if answer.finish_reason == "length":
        raise BadReply("truncated", "max_tokens cut it off; raise it in the sampling")
    if answer.finish_reason == "content_filter":
        raise BadReply("filtered", "the provider's content filter ended it")


def check_mentions(mentions: Sequence[str]) -> None:
    """Refuse what is no regular expression.

    Raises:
        ValueError: naming it.
    """
    for pattern in mentions:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"mentions: {pattern!r} is not a regular expression: {error}") from error


def _check_echo(thinking: str, instruction: str) -> None:
    asked = frozenset(grams(words(_PLACE.sub(" … ", instruction)), ECHO))
    copied = next((gram for gram in grams(words(thinking), ECHO) if gram in asked), None)
    if copied:
        raise BadReply("trace_echoes_prompt", f"it copies the prompt: {' '.join(copied)!r}")


def _last_named(thinking: str, draft: Draft) -> str:
    """The letter of the option that is named last, the longer one where one lies in another; empty for none."""
    folded = folded_track(thinking)
    ends = []
    for at, option in enumerate(draft.options):
        name = track(key_of(option))
        start = folded.rfind(name) if name else -1
        if start >= 0:
            ends.append((start + len(name), len(name), letter_of(at)))
    return max(ends)[2] if ends else ""
