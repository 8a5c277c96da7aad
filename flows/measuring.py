"""The tokenizer that a bill counts tokens with: the release's own, or the student's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mashbill.bill import Bill
from mashbill.errors import BillError, InputError
from mashbill.row_size import BYTES, Measure
from train.recipe import EMBEDDED

if TYPE_CHECKING:
    from train.tokenizer import StudentTokenizer

BY_BYTES = "bytes"
"""The tokenizer of a token a byte, by name."""


def release_measure(bill: Bill) -> Measure:
    """What the release's shares are counted in."""
    if bill.release.shares_by == "bytes":
        return BYTES
    return token_measure(bill) or BYTES  # a bill is refused that counts tokens and names no tokenizer


def check_tokenizer(bill: Bill) -> None:
    """Look for the tokenizer that the release names, before any work.

    Raises:
        BillError: when it is not there, or cannot be read.
    """
    if bill.release.tokenizer:
        _tokenizer(bill)


def token_measure(bill: Bill) -> Measure | None:
    """Tokens as the bill's tokenizer counts them; None for a bill that names none and has no student."""
    if not bill.release.tokenizer and "student" not in bill.whole:
        return None
    tokenizer = _tokenizer(bill)
    return Measure(unit="tokens", tokenizer=tokenizer.identity, count=_counter(tokenizer))


def _counter(tokenizer: StudentTokenizer) -> Callable[[list[str]], Sequence[int]]:
    def count(texts: list[str]) -> Sequence[int]:
        return [len(ids) for ids in tokenizer.ids(texts)]

    return count


def _tokenizer(bill: Bill) -> StudentTokenizer:
    named = bill.release.tokenizer
    if not named:
        from flows.training_section import read_student
        from train.student import student_tokenizer

        return student_tokenizer(read_student(bill))
    try:
        return _loaded(named if named in (BY_BYTES, EMBEDDED) else str((bill.folder / named).resolve()))
    except InputError as error:
        raise BillError(
            f"release.tokenizer: {error}", path=bill.path, line=bill.whole.at("release").at("tokenizer").line
        ) from error


@functools.cache
def _loaded(named: str) -> StudentTokenizer:
    from train.tokenizer import StudentTokenizer, byte_tokenizer, load_tokenizer

    if named == BY_BYTES:
        return StudentTokenizer(byte_tokenizer())
    if named == EMBEDDED:
        from mashbill.embedded import embedded_model_dir

        return load_tokenizer(embedded_model_dir())
    return load_tokenizer(Path(named))
