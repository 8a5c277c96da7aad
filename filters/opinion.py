r"""A judge's opinion of a row by a rubric: asked once, greedily, and never taken for more than it says.

::

    parts = parts_of(rubric, record)                       # {"query": "What is brine?", "text": "Salt water."}
    opinion = await opinion_of(rubric, parts, ask, "judge")
    opinion.marks                                          # {"relevance": "5", "brevity": "5", "factuality": None}

A mark that is absent stays None: it is no zero, no low mark and no pass. Counted as zero, a judge that fails to answer
would look like one that found the row worthless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from filters.rubric_file import Rubric
from mashbill.ask import Ask
from mashbill.engine import Sampling
from mashbill.errors import BadReply, BillError
from mashbill.model_family import families_of
from mashbill.records import Record, Score, Verdict, field_names
from mashbill.roles import MAIN, engine_of, identity_of

JUDGING = Sampling(temperature=0.0, max_tokens=400)
"""Greedy: a mark drawn by chance is no mark. Room for a reason of 600 characters and the marks."""
CHARACTERS = 20_000
"""Characters of a text that a judge is shown, some 5,000 tokens; of a longer one the rest is left out, and it is told.
"""
DETAIL = 300
"""Characters of a judge's reason that are kept."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge said of one row."""

    rubric: Rubric
    marks: Mapping[str, str | None]
    """Dimension -> level; None where there is no mark."""
    reason: str = ""
    error: str = ""
    """Why there is no mark at all."""
    keys: tuple[str, ...] = ()
    """Ledger keys of the replies."""

    def scores(self, prefix: str) -> dict[str, float]:
        """The marks there are, as numbers by name: ``judge_relevance``."""
        return {f"{prefix}_{name}": self.rubric.value(level) for name, level in self.marks.items() if level is not None}

    def low(self, least: Mapping[str, str]) -> list[str]:
        """The dimensions whose mark is below the least one wanted."""
        order = self.rubric.levels.index
        return [
            name
            for name, wanted in least.items()
            if (level := self.marks[name]) is not None and order(level) < order(wanted)
        ]

    def missing(self, least: Mapping[str, str]) -> list[str]:
        """The dimensions of which a mark is wanted and that have none."""
        return [name for name in least if self.marks[name] is None]

    def verdicts(self, prefix: str, least: Mapping[str, str]) -> tuple[Verdict, ...]:
        """One verdict for each dimension of which a least mark is wanted; ``error`` where there is none."""
        low, missing = self.low(least), self.missing(least)
        found = []
        for name, wanted in least.items():
            outcome = "error" if name in missing else "fail" if name in low else "pass"
            said = self.error or self.reason or "no mark"
            detail = said if name in missing else f"{self.marks[name]}, wanted {wanted}: {said}"
            found.append(Verdict(name=f"{prefix}:{name}", outcome=outcome, detail=detail[:DETAIL]))
        return tuple(found)

    def refusal(self, prefix: str, least: Mapping[str, str], text: str) -> BadReply | None:
        """Why a row goes, with what was said of it; None where it stays."""
        low, missing = self.low(least), self.missing(least)
        if not low and not missing:
            return None
        if low:
            reason, detail = f"{prefix}_low_{low[0]}", f"{self.marks[low[0]]}, wanted {least[low[0]]}: {self.reason}"
        else:
            reason, detail = f"{prefix}_no_mark", f"no mark for {', '.join(missing)}: {self.error or self.reason}"
        return BadReply(
            reason,
            detail[:DETAIL],
            text=text,
            asks=self.keys,
            verdicts=self.verdicts(prefix, least),
            scores=tuple(Score(name=name, value=value) for name, value in self.scores(prefix).items()),
        )


async def opinion_of(
    rubric: Rubric, parts: Mapping[str, str], ask: Ask, role: str = MAIN, sampling: Sampling = JUDGING
) -> Opinion:
    """Ask a judge about one text, given as tag -> text; a judge that does not answer has an opinion without marks."""
    try:
        answer = await ask(rubric.messages(parts), returns=rubric.reply, sampling=sampling, engine=engine_of(role))
    except BadReply as bad:
        nothing = dict.fromkeys(rubric.dimensions)
        return Opinion(rubric, nothing, error=f"{bad.reason}: {bad.detail}"[:DETAIL], keys=bad.asks)
    reason = str(getattr(answer.value, "reason", "")).strip()
    return Opinion(rubric, rubric.marks(answer.value), reason=reason[:DETAIL], keys=answer.keys)


def parts_of(rubric: Rubric, record: Record, characters: int = CHARACTERS) -> dict[str, str]:
    """What a judge is shown of a row, by tag.

    Raises:
        BillError: when records of this type have no column for what the rubric wants shown.
        BadReply: ``nothing_to_judge`` when the row has it blank.
    """
    columns = shown_columns(rubric, type(record))
    row = {name: getattr(record, name) for names in columns.values() for name in names}
    return parts_of_row(rubric, columns, row, characters)


def shown_columns(rubric: Rubric, kind: type[Record]) -> dict[str, list[str]]:
    """Tag -> those of the rubric's columns that records of a type have.

    Raises:
        BillError: when they have none of what must be shown.
    """
    known = field_names(kind)
    found = {tag: [name for name in names if name in known] for tag, names in rubric.shown.items()}
    for tag, have in found.items():
        if not have and tag not in rubric.optional:
            raise BillError(
                f"the rubric {rubric.name} shows a judge {' or '.join(rubric.shown[tag])} as its {tag}, and a "
                f"{kind.__name__} has none of them; name a rubric for that type, or write one"
            )
    return found


def parts_of_row(
    rubric: Rubric, columns: Mapping[str, Sequence[str]], row: Mapping[str, object], characters: int
) -> dict[str, str]:
    """The same of a row as plain values.

    Raises:
        BadReply: ``nothing_to_judge`` when the row has blank what must be shown.
    """
    found = dict[str, str]()
    for tag, names in columns.items():
        text = next((text for name in names if (text := _text(row[name]))), "")
        if not text and tag not in rubric.optional:
            raise BadReply("nothing_to_judge", f"the row's {' or '.join(names)} is blank")
        found[tag] = text if len(text) <= characters else f"{text[:characters]}\n[{len(text) - characters:,} more]"
    return found


def refuse_family(maker: str, role: str, ask: Ask) -> None:
    """Refuse a judge of the family that wrote a row; `maker` is the identity of the engine that did.

    Raises:
        BillError: naming both models.
    """
    judge = identity_of(role, ask)
    if shared := families_of(judge) & families_of(maker):
        raise BillError(
            f"the judge {judge} is of the family that wrote the row, {maker} "
            f"({', '.join(sorted(shared))}), and favours what it would have written; give the role {role} a model "
            "of another family under `engines`, or set same_family_ok: true"
        )


def main_text(record: Record) -> str:
    """The text of a row as a reject shows it."""
    return next((str(text) for name in ("text", "rationale", "question") if (text := getattr(record, name, ""))), "")


def checked_least(rubric: Rubric, least: Mapping[str, int | str]) -> dict[str, str]:
    """The least marks as levels, in the order of the rubric.

    Raises:
        ValueError: for a dimension or a level that the rubric does not have.
    """
    for name, level in least.items():
        if name not in rubric.dimensions:
            raise ValueError(f"least names {name}, and the rubric {rubric.name} has {', '.join(rubric.dimensions)}")
        if str(level) not in rubric.levels[1:]:
            raise ValueError(
                f"least of {name} is {level}; the levels of {rubric.name} are {', '.join(rubric.levels)}, and the "
                "lowest rejects nothing"
            )
    return {name: str(least[name]) for name in rubric.dimensions if name in least}


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return "\n".join(f"- {one}" for one in value if str(one).strip())
    return "" if value is None else str(value).strip()
