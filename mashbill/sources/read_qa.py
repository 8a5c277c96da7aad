r"""Questions and their answers from JSON lines, Parquet, or a data set that `datasets` saved.

A line of GSM8K with ``marker: "####"`` becomes one row whose worked solution is kept apart from its answer::

    {"question": "Natalia sold clips …", "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n#### 72"}

    {"question": "Natalia sold clips …", "answer": "72", "rationale": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.",
     "source": "gsm8k_train_500.jsonl:1", …}

Nothing is guessed: a row without the marker, with two different answers behind it, or with an answer that `readable_by`
cannot read (a matcher, see `mashbill.matching`) is a bad input with its file and line. An answer nobody can compare
with would count every reply as wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mashbill.matching import Spec, matcher_of, spec_of
from mashbill.records import QA, join_texts
from mashbill.sources.row_files import Row, rows_of
from mashbill.sources.row_values import (
    BadRow,
    check_glob,
    optional_text,
    other_files,
    row_files,
    shown,
    text_of,
    value_of,
)
from mashbill.step import BadInput, Source


@dataclass(frozen=True, kw_only=True)
class ReadQa(Source[QA]):
    """Reads questions with their gold answers."""

    glob: str = "**/*"
    """Which files of a folder; of those, the ones whose suffix is known."""
    question: str = "question"
    """The column of the question."""
    answer: str = "answer"
    """The column of the answer: text, a number, or a list of all that are right. Empty: nobody knows the answers, and
    they are a teacher's to give."""
    marker: str = ""
    """What stands before the final answer in that column, e.g. ``####``; what stands before it is the rationale."""
    answer_is: Literal["text", "index"] = "text"
    """Whether the answer is a text (or a letter), or the place of the right option from 0."""
    options: str = ""
    """The column of the options: a list, or ``{"text": [...], "label": [...]}`` as ARC has it. Empty for none."""
    context: str = ""
    rationale: str = ""
    category: str = ""
    discipline: str = ""
    """Columns that need not be there; empty names none. A column that is named must be."""
    kind: str = ""
    """The format, written on every row."""
    readable_by: Spec | None = None
    """The matcher that must be able to read each answer, as ``numeric``."""
    repeats: Literal["keep", "refuse"] = "refuse"
    """Whether a question that stands twice in one file (with the same context and options) is a bad input."""
    limit: int = 0
    """How many rows of each file are read, from its beginning; 0 for all."""
    domain: str = ""
    license: str = ""
    max_bytes: int = 32 * 1024 * 1024
    """The longest line of JSON."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_bytes < 1 or self.limit < 0:
            raise ValueError(f"max_bytes is {self.max_bytes}, 1 or more, and limit {self.limit}, 0 (for all) or more")
        if not self.question:
            raise ValueError("question is empty; it names the column of the question")
        if not self.answer and (self.marker or self.readable_by is not None or self.answer_is == "index"):
            raise ValueError(
                "answer is empty: no column holds answers; leave out marker, readable_by and answer_is too"
            )
        check_glob(self.glob)
        if self.answer_is == "index" and (not self.options or self.marker):
            raise ValueError("answer_is: index counts options: name their column in `options`, and leave out `marker`")
        if self.readable_by is not None:
            object.__setattr__(self, "readable_by", spec_of(matcher_of(self.readable_by)))

    def files(self, root: Path) -> list[Path]:
        """Every file of rows, by name."""
        return row_files(root, self.glob, "questions")

    def skipped(self, root: Path) -> list[Path]:
        """Every file of another kind that `glob` names, but for what `datasets` writes beside the rows."""
        return other_files(root, self.glob)

    def read(self, path: Path, name: str) -> Iterator[QA | BadInput]:
        """The questions of one file."""
        first: dict[tuple[object, ...], str] = {}
        count = 0
        for count, row in enumerate(rows_of(path, name, max_bytes=self.max_bytes), start=1):
            one = row if isinstance(row, BadInput) else self._qa(row)
            if isinstance(one, QA) and self.repeats == "refuse":
                one = _unless_repeated(one, first)
            yield one
            if count == self.limit:
                return
        if not count:
            yield BadInput(name, "empty", "holds no rows")

    def _qa(self, row: Row) -> QA | BadInput:
        try:
            question = text_of(row, self.question, "question")
            options = self._options(row)
            rationale, accepted = self._answers(row, options)
            one = QA.new(
                kind=self.kind,
                question=question,
                options=options.texts,
                answer=accepted[0],
                accepted=accepted if len(accepted) > 1 else (),
                rationale=rationale or optional_text(row, self.rationale),
                context=optional_text(row, self.context),
                category=optional_text(row, self.category),
                discipline=optional_text(row, self.discipline),
                source=row.where,
                domain=self.domain,
                license=self.license,
            )
            self._read_back(one)
        except BadRow as bad:
            return bad.at(row)
        return one

    def _options(self, row: Row) -> _Options:
        if not self.options:
            return _Options((), ())
        found = value_of(row, self.options)
        labelled = found if isinstance(found, Mapping) else {"text": found}
        texts, names = _texts(labelled.get("text")), _texts(labelled.get("label") or ())
        if texts is None or names is None or len(texts) < 2 or (names and len(names) != len(texts)):
            wanted = "a list of two or more texts, or {text: [...], label: [...]} of equal length"
            raise BadRow("bad_options", f"the field {self.options!r} must be {wanted}; found {shown(found)}")
        return _Options(texts, names)

    def _answers(self, row: Row, options: _Options) -> tuple[str, tuple[str, ...]]:
        """The rationale that stands before the answer, and all right answers."""
        if not self.answer:
            return "", ("",)
        found = value_of(row, self.answer)
        if self.answer_is == "index":
            if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < len(options.texts):
                wanted = f"the place of one of {len(options.texts)} options, from 0"
                raise BadRow("bad_answer", f"the field {self.answer!r} must be {wanted}; found {shown(found)}")
            return "", (options.texts[found],)
        texts = _texts(found if isinstance(found, list) else [found])
        if texts is None:
            raise BadRow("bad_answer", f"the field {self.answer!r} is neither text nor a number: {shown(found)}")
        rationale = ""
        if self.marker and len(texts) == 1:
            rationale, texts = _split(texts[0], self.marker)
        texts = tuple(dict.fromkeys(texts))
        if not texts or not all(texts):
            raise BadRow("no_answer", f"the field {self.answer!r} holds no answer")
        return rationale, tuple(options.of_label(text) for text in texts)

    def _read_back(self, one: QA) -> None:
        if self.readable_by is None:
            return
        matcher = matcher_of(self.readable_by)
        for answer in one.accepted or (one.answer,):
            match = matcher.compare(answer, answer, one.options)
            # Tests do not pass themselves: that they could be run is all that there is to ask of them.
            if match.outcome not in ("same", "different"):
                raise BadRow(
                    "gold_unreadable", f"{matcher.name} cannot read the answer {answer[:80]!r}: {match.detail}"
                )


@dataclass(frozen=True, slots=True)
class _Options:
    texts: tuple[str, ...]
    labels: tuple[str, ...]

    def of_label(self, answer: str) -> str:
        """The option's text where the answer is its label."""
        return self.texts[self.labels.index(answer)] if answer in self.labels else answer


def _unless_repeated(one: QA, first: dict[tuple[object, ...], str]) -> QA | BadInput:
    key = (one.question, one.context, one.options)
    where = first.setdefault(key, one.source)
    if where == one.source:
        return one
    line = int(one.source.rpartition(":")[2])
    return BadInput(one.source, "repeated", f"asks what {where} asks; to read both, set `repeats: keep`", line)


def _texts(found: object) -> tuple[str, ...] | None:
    """Texts and numbers as texts; None where there is anything else."""
    if not isinstance(found, (list, tuple)) or not all(type(one) in (str, int, float) for one in found):
        return None
    if not all(math.isfinite(one) for one in found if isinstance(one, float)):
        return None
    return tuple(str(one).replace("\r\n", "\n").strip() for one in found)


def _split(text: str, marker: str) -> tuple[str, tuple[str, ...]]:
    rationale, *answers = text.split(marker)
    said = list(dict.fromkeys(answer.strip() for answer in answers))
    if not said:
        raise BadRow("no_marker", f"{marker!r} stands nowhere in the answer {text[-60:]!r}")
    if len(said) > 1:
        raise BadRow("two_answers", f"{marker!r} stands before {join_texts([repr(one[:40]) for one in said])}")
    return rationale.strip(), (said[0],)
