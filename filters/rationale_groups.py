"""The rationales of each question, gathered over the parts, for filters that choose among them.

Rows of one question in parts 0 and 3 -> one `Group` with both rows in the order of their ids, the question's own
rationale first. What is held at once is one digest a row, and the texts of questions whose rows were not all read yet.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from rapidfuzz.distance import Levenshtein

from mashbill.step import Parts

GOLD = "gold"
"""The teacher of a rationale that came with its question; such a row is never given up."""
_ASKED = ("question", "context", "options")
_COLUMNS = ("id", "teacher", "skeleton", "rationale", "answer", *_ASKED)


@dataclass(frozen=True, slots=True)
class Member:
    """One rationale of a question, and where it stands."""

    part: int
    row: int
    id: str
    teacher: str
    skeleton: str
    text: str

    @property
    def gold(self) -> bool:
        """Whether it came with the question."""
        return self.teacher == GOLD


def groups(parts: Parts) -> Iterator[list[Member]]:
    """The rows of each question that has two or more: the question's own first, then by id, whatever part they are in.

    Which question comes first depends on where its last row stands; no choice within a group may depend on that.
    """
    left = Counter(key for index in range(len(parts)) for key in question_keys(parts.table(index, list(_ASKED))))
    waiting: dict[bytes, list[Member]] = {}
    for index in range(len(parts)):
        table = parts.table(index, list(_COLUMNS))
        for row, (key, one) in enumerate(zip(question_keys(table), table.to_pylist(), strict=True)):
            left[key] -= 1
            members = waiting.setdefault(key, [])
            text = f"{one['rationale']}\n{one['answer']}"
            members.append(Member(index, row, one["id"], one["teacher"], one["skeleton"], text))
            if not left[key]:
                del waiting[key]
                if len(members) > 1:
                    yield sorted(members, key=lambda one: (not one.gold, one.id, one.part, one.row))


def farthest(candidates: Sequence[Member], sums: Mapping[int, int]) -> Member:
    """The candidate with the greatest sum of edit distances to those kept, by its `id()`; of equals the first by id.

    The sum over single characters is RFT's (arXiv 2308.01825). One that is far from some and equal to another still has
    a large sum, so a choice of many should be made among different skeletons.
    """
    return min(candidates, key=lambda one: (-sums[id(one)], one.id, one.part, one.row))


def distance(one: Member, kept: Sequence[Member]) -> int:
    """Edits from a rationale to each of those kept, together."""
    return sum(Levenshtein.distance(one.text, other.text) for other in kept)


def question_keys(table: pa.Table) -> list[bytes]:
    """What tells the questions of a table of QA or Rationale apart: a digest of question, context and options."""
    columns = [table.column(name).to_pylist() for name in _ASKED]
    return [_digest(*row) for row in zip(*columns, strict=True)]


def _digest(question: str, context: str, options: list[str]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for text in (question, context, *options):
        body = text.encode("utf-8", "surrogatepass")
        digest.update(len(body).to_bytes(8, "big") + body)
    return digest.digest()
