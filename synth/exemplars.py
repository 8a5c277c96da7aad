r"""Worked examples in a prompt: people's, and those of a bank that are like the question and have helped before.

A field of a generator, set in a bill as::

    - teacher_rationale:
        few_shot:
          shots: 3
          written: [{question: "Two pans give 5 weights each. How many weights?", worked: "2 * 5 = 10\n#### 10"}]
          bank: bank.parquet

and used in its `make`::

    shown = self.few_shot.choose([record.question], record)
    answer = await ask(user(shown.block, question))          # and shown.ids on the row, or among a reject's subjects

Which examples are shown depends on the fields, the bank's content and the record alone, so the same run shows the same
ones. Nearness is measured on the keys by an embedder (`mashbill.embedding`) and weighed with the example's usefulness.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mashbill.embedding import DEFAULT, VectorEmbedder, load_embedder
from mashbill.exemplars import MARK, Exemplar, bank_digest, read_bank
from mashbill.records import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME = 0.995
"""Similarity of two keys from which an example counts as the question itself, whose answer it would give away."""
_HEAD = "Here are worked examples.\n\n"


@dataclass(frozen=True, kw_only=True)
class Written:
    """An example that a person wrote into the bill."""

    question: str
    worked: str
    """The answer in the form that replies should have."""

    def __post_init__(self) -> None:
        if not self.question.strip() or not self.worked.strip():
            raise ValueError("an example needs a question and a worked answer")

    def exemplar(self) -> Exemplar:
        """As the bank would hold it."""
        text = f"{self.question.strip()}\n\n{self.worked.strip()}"
        return Exemplar.new(keys=(self.question.strip(),), text=text, human=True)


@dataclass(frozen=True, slots=True)
class Shown:
    """The examples for one prompt."""

    exemplars: tuple[Exemplar, ...] = ()

    @property
    def block(self) -> str:
        """What a prompt begins with; empty where there are none."""
        if not self.exemplars:
            return ""
        examples = "\n\n".join(f"Example {number}:\n{one.text.strip()}" for number, one in enumerate(self.exemplars, 1))
        return f"{_HEAD}{examples}\n\nNow the one to be done.\n\n"

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the examples, in the order of the prompt."""
        return tuple(one.id for one in self.exemplars)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The ids as a reject carries them (`mashbill.exemplars.counted`)."""
        return tuple(f"{MARK}{one.id}" for one in self.exemplars)


@dataclass(frozen=True, kw_only=True)
class FewShot:
    """Which examples a prompt shows; a field of a step."""

    shots: int = 0
    """Examples in each prompt, as far as there are so many; 0 shows none."""
    written: tuple[Written, ...] = ()
    """Examples by people, in the bill."""
    bank: str = field(default="", metadata={"identity": False, "file": True})
    """A Parquet file of examples (`mashbill.exemplars`), relative to the bill."""
    people: int = 1
    """At least so many of the shown are by people, as far as there are so many: a model's own examples drift."""
    usefulness: float = 1.0
    """How much an example's record weighs: what ranks it is its nearness times its usefulness to this power."""
    embedder: str = DEFAULT
    bank_digest: str = ""
    """What the bank holds: set by itself, since the bank's content is identity and where it lies is not."""

    def __post_init__(self) -> None:
        """Refuse what can show nothing, and read what the bank holds."""
        if self.shots < 0 or self.people < 0 or not 0 <= self.usefulness < float("inf"):
            raise ValueError(
                f"shots is {self.shots}, people {self.people} and usefulness {self.usefulness}; none may be below 0"
            )
        if self.shots and not (self.written or self.bank):
            raise ValueError(f"shots is {self.shots} but there is nothing to show; give `written` or a `bank`")
        if self.bank:
            bank = read_bank(Path(self.bank))
            object.__setattr__(self, "bank_digest", bank_digest(bank))
            if self.shots and self.people and not (self.written or any(one.human for one in bank)):
                raise ValueError(
                    f"people is {self.people}, but none of the examples is by people; write one in `written`, or set "
                    "people: 0 to show a model its own alone"
                )

    def choose(self, keys: Sequence[str], record: Record | None = None) -> Shown:
        """The examples for a prompt about these keys: people's first, then the others, the nearest last.

        An example made from `record`, or whose key says the same as one of `keys`, is never shown: it is the answer.
        """
        if not self.shots:
            return Shown()
        examples, rows, owners = _prepared(self.written, self.bank, self.bank_digest, self.embedder)
        near = _nearness(rows, owners, len(examples), _embedder(self.embedder).embed(list(keys)))
        ranked = [
            (one, float(near[at]) * one.usefulness**self.usefulness)
            for at, one in enumerate(examples)
            if near[at] < SAME and not _made_from(one, record)
        ]
        ranked.sort(key=lambda pair: (-round(pair[1], 6), pair[0].id))
        people = [pair for pair in ranked if pair[0].human][: min(self.people, self.shots)]
        others = [pair for pair in ranked if pair not in people][: self.shots - len(people)]
        return Shown(tuple(one for one, _ in [*reversed(people), *reversed(others)]))


@functools.cache
def _embedder(name: str) -> VectorEmbedder:
    # Kept: to find one reads the files of all, and each question asks for it.
    return load_embedder(name)


def _made_from(one: Exemplar, record: Record | None) -> bool:
    return record is not None and (
        record.id in one.parents or (bool(one.parents) and one.source_id == record.source_id)
    )


@functools.lru_cache(maxsize=8)
def _prepared(
    written: tuple[Written, ...], bank: str, digest: str, embedder: str
) -> tuple[list[Exemplar], NDArray[np.float32], NDArray[np.intp]]:
    """The examples in the order of their ids, the vectors of all their keys, and whose key each is."""
    del digest  # part of what is remembered: a bank that was written anew is read anew
    found = {one.id: one for one in (read_bank(Path(bank)) if bank else [])}
    found |= {one.id: one for one in (example.exemplar() for example in written) if one.id not in found}
    examples = [found[key] for key in sorted(found)]
    keys = [(at, key) for at, one in enumerate(examples) for key in one.keys]
    rows = np.asarray(_embedder(embedder).embed([key for _, key in keys]), dtype=np.float32)
    return examples, rows, np.array([at for at, _ in keys], dtype=np.intp)


def _nearness(
    rows: NDArray[np.float32], owners: NDArray[np.intp], count: int, asked: NDArray[np.float32]
) -> NDArray[np.float64]:
    """For each example the similarity of its nearest key to the nearest of those asked about, 0 to 1."""
    best = np.zeros(count, dtype=np.float64)
    if len(rows) and len(asked):
        np.maximum.at(best, owners, (rows @ asked.T).max(axis=1).astype(np.float64))
    return best
