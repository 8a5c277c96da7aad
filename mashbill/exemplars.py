r"""A bank of worked examples that earned their place: shown in prompts, and judged by what they helped to make.

One row: an example that was shown in twelve prompts, nine of which gave a row that was kept::

    {"keys": ["Ora sells 3 bags of salt at 4 marks each. How many marks?", "maths"],
     "text": "Ora sells 3 bags …\n\nThree bags cost 3 * 4 = 12 marks.\n#### 12",
     "human": False, "n_retrieved": 12, "n_success": 9, …}

Only accepted items enter the bank, so a model's mistakes are not shown to it as examples; and what a model wrote is
never shown alone: each prompt keeps a floor of examples that people wrote. After "Self-generated in-context examples"
(arXiv 2505.00234): 73 % of ALFWorld's tasks became 89 % with such a bank, and 93 % where the useful ones were kept; the
people's examples at the beginning mattered, and growth was not monotone.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from mashbill.disk import write_parquet
from mashbill.errors import InputError
from mashbill.records import QA, Rationale, Record, Reject, from_table, schema_of, to_table
from mashbill.runtime import NO_FAULT
from mashbill.store import Stored

PRIOR = (1.0, 2.0)
"""Successes and retrievals that every example starts with: a usefulness of 1/2 until it was tried (Laplace's rule)."""
_COUNTED = "mashbill.exemplars.counted"
MARK = "exemplar:"
"""How a reject names an example that its prompt showed, among its subjects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplar(Record):
    """One worked example, how it is found, and how it fared."""

    keys: tuple[str, ...]
    """Texts it is found by: the question, its heading, …; the nearest of them decides."""
    text: str
    """The example as a prompt shows it, question and worked answer."""
    human: bool = False
    """Written by people, not by a model."""
    n_retrieved: int = 0
    """Attempts whose prompt showed it."""
    n_success: int = 0
    """Those of them that gave a kept row."""

    not_content: ClassVar[frozenset[str]] = Record.not_content | {"n_retrieved", "n_success", "human"}

    @property
    def usefulness(self) -> float:
        """Share of the attempts that succeeded when it was shown, with two imagined ones of which one did.

        >>> Exemplar(keys=("a",), text="a", n_retrieved=12, n_success=9).usefulness
        0.7142857142857143
        """
        return (self.n_success + PRIOR[0]) / (self.n_retrieved + PRIOR[1])


def read_bank(path: Path) -> list[Exemplar]:
    """The examples of a bank in the order of their ids.

    Raises:
        InputError: when there is no such file or it is no bank.
    """
    if not path.is_file():
        raise InputError("no such bank of exemplars; `mashbill exemplars grow` makes one", path=path)
    try:
        table = pq.read_table(path)
        table = table.select(schema_of(Exemplar).names).cast(schema_of(Exemplar))
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:
        raise InputError(f"is no bank of exemplars: {error}", path=path) from error
    return sorted(from_table(table, Exemplar), key=lambda one: one.id)


def write_bank(path: Path, bank: Iterable[Exemplar], counted: Iterable[str] = ()) -> None:
    """Store a bank: one example of each content, in the order of their ids, so that equal banks are equal files.

    `counted` are the fingerprints of the steps whose attempts its counts hold (`steps_counted`).
    """
    by_id = {one.id: one for one in bank}
    steps = " ".join(sorted(set(counted)))
    table = to_table([by_id[key] for key in sorted(by_id)], Exemplar)
    write_parquet(path, table, {_COUNTED: steps} if steps else None)


def steps_counted(path: Path) -> frozenset[str]:
    """The fingerprints of the steps that a bank's counts hold, so that none is counted twice."""
    metadata = pq.read_schema(path).metadata or {}
    return frozenset(metadata.get(_COUNTED.encode(), b"").decode().split())


def bank_digest(bank: Iterable[Exemplar]) -> str:
    """What a bank is, counts included, since they decide what is retrieved: identity of a step that uses it."""
    digest = hashlib.blake2b(digest_size=16)
    for one in sorted(bank, key=lambda one: one.id):
        digest.update(f"{one.id} {one.human} {one.n_retrieved} {one.n_success}\n".encode())
    return digest.hexdigest()


def counted(bank: Sequence[Exemplar], finished: Stored) -> list[Exemplar]:
    """The bank with its counts raised by a finished step: which examples each attempt was shown, and how it ended.

    A kept `Rationale` or `QA` names them in `exemplars`; a reject of any step does among its `subjects`
    (``exemplar:<id>``).
    Rows that the step did not make itself (a filter keeps those of the step before it) are not counted, nor is what was
    written with the answer in sight. A draw that says what a kept one says has succeeded (`mashbill.runtime.NO_FAULT`).
    Counting one step twice counts it twice: keep the bank from before, or let `write_bank` note what was counted.
    """
    shown, succeeded = Counter[str](), Counter[str]()
    for index in range(len(finished)):
        if issubclass(finished.kind, Rationale | QA):
            for row in finished.table(index).select(_columns(finished.kind)).to_pylist():
                if row["made"]["step_fingerprint"] == finished.manifest.fingerprint and not row.get("hinted"):
                    shown.update(row["exemplars"])
                    succeeded.update(row["exemplars"])
        for row in finished.rejects(index).select(["reason", "subjects"]).to_pylist():
            if not row["reason"].startswith("hinted_"):
                shown.update(shown_in(row["subjects"]))
            if row["reason"] in NO_FAULT:
                succeeded.update(shown_in(row["subjects"]))
    return [
        dataclasses.replace(
            one, n_retrieved=one.n_retrieved + shown[one.id], n_success=one.n_success + succeeded[one.id]
        )
        for one in bank
    ]


def _columns(kind: type[Record]) -> list[str]:
    return [name for name in ("exemplars", "made", "hinted") if name in schema_of(kind).names]


def grown(bank: Sequence[Exemplar], accepted: Iterable[Exemplar], most: int | None = None) -> list[Exemplar]:
    """The bank with more examples; `most` keeps the useful ones, and people's always.

    An example that is there already keeps its counts.
    """
    by_id = {one.id: one for one in accepted} | {one.id: one for one in bank}
    ordered = sorted(by_id.values(), key=lambda one: (not one.human, -one.usefulness, one.id))
    people = sum(one.human for one in ordered)
    return ordered if most is None else ordered[: max(most, people)]


def shown_in(subjects: Iterable[str]) -> list[str]:
    """The ids of the examples that a reject's subjects name."""
    return [one.removeprefix(MARK) for one in subjects if one.startswith(MARK)]


def rejects_showing(rejects: Iterable[Reject], exemplar: str) -> list[Reject]:
    """The rejects whose prompt showed an example: what to read before taking it out of the bank."""
    return [one for one in rejects if exemplar in shown_in(one.subjects)]
