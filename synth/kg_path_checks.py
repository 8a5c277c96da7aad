"""What a path says of an item and its trace: whether the stem gives the answer away, whether the trace keeps to it.

The stem ``Salt from Marrow Bay is taxed by the Salt Guild. Who …?`` for the path Marrow Bay -> Salt Guild -> Ora Venn
-> reject ``bridge_in_stem``: with the Salt Guild named, one fact is enough and the first hop is never made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mashbill.errors import BadReply
from mashbill.qa_text import said_letter, spoken
from mashbill.records import Path
from mashbill.words import folded_track, singular, track, words
from synth.entities import key_of
from synth.kg_path_prompts import Stem
from synth.kg_path_reply import OPTIONS, Draft

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_FINAL = re.compile(r"(?:\W*\bfinal answer\b|^\W*answer\b)[^\n]*$", re.IGNORECASE | re.MULTILINE)
_LINKING = frozenset({"of", "with", "by", "in", "to", "is", "a", "an", "the", "has", "inverse"})


def facts_of(path: Path) -> str:
    """The path as prompts state it, one triple a line, said in the direction it is walked."""
    return "\n".join(fact_of(path, at) for at in range(path.hops))


def fact_of(path: Path, at: int) -> str:
    """One edge of a path in words: as its triple states it, whichever way it was walked."""
    # Labels may hold anything: one that closed the tag around the facts would go on as if it were the prompt.
    head, relation, tail = (one.replace("</", "< /") for one in path.edges[at].triple)
    return f"{spoken(head)} | {spoken(relation)} | {spoken(tail)}"


def names_of(path: Path) -> tuple[str, ...]:
    """The nodes of a path in words."""
    return tuple(spoken(node) for node in path.nodes)


def named_in(name: str, folded: str) -> bool:
    """Whether a name stands in a text given as its `folded_track`."""
    return track(key_of(name)) in folded


def check_answer(draft: Draft, path: Path) -> None:
    """Refuse an item whose right option is not the end of the path, or where a wrong one names it too.

    Raises:
        BadReply: ``answer_not_target`` or ``target_in_wrong_option``.
    """
    target = names_of(path)[-1]
    naming = [at for at, option in enumerate(draft.options) if named_in(target, folded_track(option))]
    if draft.right not in naming:
        raise BadReply("answer_not_target", f"the answer is {draft.answer!r}, the path ends at {target!r}")
    exact = [at for at in naming if key_of(draft.options[at]) == key_of(target)]
    others = [at for at in exact if at != draft.right]
    if others:
        raise BadReply("target_in_wrong_option", f"{draft.options[others[0]]!r} is called wrong")


def check_leaks(draft: Draft, path: Path, stem: Stem) -> None:
    """Refuse a stem that says the answer, a fact of the path, or what lies between its ends.

    Raises:
        BadReply: ``answer_in_stem``, ``relation_in_stem``, ``bridge_in_stem``, or for a plain question
            ``source_missing``.
    """
    names, folded = names_of(path), folded_track(draft.question)
    for answer in dict.fromkeys((draft.answer, names[-1])):
        if named_in(answer, folded):
            raise BadReply("answer_in_stem", f"the stem names {answer!r}")
    for sentence in _SENTENCE.split(draft.question):
        at = _stated(sentence, path)
        if at is not None:
            raise BadReply("relation_in_stem", f"the stem states {fact_of(path, at)!r}: {sentence!r}")
    for bridge in names[1:-1]:
        # A bridge inside the source's own name (salt, in salt works) is not named by naming the source.
        rest = folded.replace(track(key_of(names[0])), " ")
        if named_in(bridge, rest):
            raise BadReply("bridge_in_stem", f"the stem names {bridge!r}, which the reader is to find")
    if stem == "plain" and not named_in(names[0], folded):
        raise BadReply("source_missing", f"the question never names {names[0]!r}")


def _stated(sentence: str, path: Path) -> int | None:
    """The edge whose two ends and relation one sentence has."""
    folded, names = folded_track(sentence), names_of(path)
    for at, edge in enumerate(path.edges):
        ends = named_in(names[at], folded) and named_in(names[at + 1], folded)
        said = {singular(word) for word in words(spoken(edge.triple[1]))} - _LINKING
        if ends and said and all(track([word]) in folded for word in said):
            return at
    return None


def split_trace(text: str) -> tuple[str, str]:
    r"""The thinking and the letter it settles on, or nothing.

    >>> split_trace("Salt is taxed by the guild.\n\n**Final Answer: B**")
    ('Salt is taxed by the guild.', 'B')
    """
    lines = list(_FINAL.finditer(text))
    if not lines:
        return text.strip(), ""
    last = lines[-1]
    # The mark before the words belongs to them, the full stop before the mark to the thinking.
    start = last.start() + len(last[0]) - len(last[0].lstrip(".!?…\"')"))
    thinking = text[:start].strip().removeprefix("<think>").removesuffix("</think>").strip()
    return thinking, said_letter(last[0], OPTIONS)


def check_trace(thinking: str, letter: str, right: str, mentions: Sequence[str]) -> None:
    """Refuse a trace that settles on no option or another one, or that says it was given the path.

    Raises:
        BadReply: ``trace_empty``, ``trace_without_answer``, ``trace_other_answer`` or ``trace_mentions_path``.
    """
    if not letter:
        raise BadReply("trace_without_answer", "the trace does not end with a line `Final Answer: X`")
    if letter != right:
        raise BadReply("trace_other_answer", f"the trace settles on {letter}, the right option is {right}")
    if not thinking:
        raise BadReply("trace_empty", "there is no thinking before the answer")
    lowered = thinking.lower().replace("’", "'")
    for pattern in mentions:
        found = re.search(pattern, lowered)
        if found:
            raise BadReply("trace_mentions_path", f"it says {found[0]!r}")


def coverage(thinking: str, path: Path) -> float:
    """The share of the path's nodes that a trace names: a proxy for whether it uses the path's facts."""
    folded, names = folded_track(thinking), names_of(path)
    return sum(named_in(name, folded) for name in names) / len(names)
