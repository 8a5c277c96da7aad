"""A step whose field holds another step: written in a bill as steps are everywhere, and part of the identity."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

import pytest

from mashbill.bill import Bill
from mashbill.errors import BillError
from mashbill.execute import plain_identity
from mashbill.fingerprint import fingerprint, step_identity
from mashbill.held_step import held_steps
from mashbill.read_bill import read_bill
from mashbill.step import Step

OUTER = '''"""Holds."""
from __future__ import annotations
from collections.abc import AsyncIterator
from dataclasses import dataclass
from mashbill.ask import Ask
from mashbill.records import Document
from mashbill.step import DatasetGenerator, Generator, PartOutput, Parts

@dataclass(frozen=True, kw_only=True)
class Outer(DatasetGenerator[Document, Document]):
    """Holds a generator."""

    generate: Generator[Document, Document]
    count: int = 1
    seed: int = 0

    def make(self, parts: Parts, ask: Ask) -> AsyncIterator[PartOutput]:
        raise NotImplementedError
'''
INNER = '''"""Held."""
from dataclasses import dataclass
from mashbill.records import Document
from mashbill.step import Generator

@dataclass(frozen=True, kw_only=True)
class Inner(Generator[Document, Document]):
    """Is held."""

    words: int = 5
    seed: int = 0
'''
BILL = """name: held
seed: 7
steps: steps
sources:
  documents: {read_documents: {path: corpus}}
engine: {transformers: {model: smollm2-135m-instruct}}
streams:
  made:
    from: documents
    generate:
      - outer:
          count: 3
          generate: GENERATE
"""


def bill(root: Path, generate: str, inner: str = INNER) -> Bill:
    (root / "steps").mkdir(exist_ok=True)
    (root / "corpus").mkdir(exist_ok=True)
    (root / "steps/outer.py").write_text(OUTER, encoding="utf-8")
    (root / "steps/inner.py").write_text(inner, encoding="utf-8")
    (root / "bill.yaml").write_text(BILL.replace("GENERATE", generate), encoding="utf-8")
    return read_bill(root / "bill.yaml")


def step_of(made: Bill) -> Step:
    return made.streams["made"].steps[0]


def test_the_field_takes_a_step_with_its_fields_and_the_bills_seed(tmp_path: Path) -> None:
    step = step_of(bill(tmp_path, "{inner: {words: 9}}"))
    assert plain_identity(step)["fields"]["generate"]["name"] == "inner"
    inner = step.generate  # type: ignore[attr-defined]
    assert (inner.words, inner.seed, step.count) == (9, 7, 3)  # type: ignore[attr-defined]


def test_a_name_alone_is_a_step_too(tmp_path: Path) -> None:
    assert step_of(bill(tmp_path, "inner")).generate.words == 5  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("generate", "message"),
    [
        ("{inner: {wrds: 9}}", "unknown field.*did you mean words"),
        ("{innner: {}}", "no step is called 'innner'.*did you mean inner"),
        ("{length: {min_words: 2}}", r"length is no Generator; wanted Generator\[Document, Document\]"),
        ("kg_path", r"kg_path makes QA of Path; wanted Generator\[Document, Document\]"),
        ("5", "must be a name, or one name with its fields"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(generate: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BillError, match=message) as caught:
        bill(tmp_path, generate)
    assert "bill.yaml:13" in str(caught.value)


def test_what_is_held_is_part_of_the_identity(tmp_path: Path) -> None:
    one = step_of(bill(tmp_path, "{inner: {words: 9}}"))
    other = step_of(bill(tmp_path, "{inner: {words: 8}}"))
    assert fingerprint(step_identity(one)) != fingerprint(step_identity(other))


def test_an_edit_of_the_held_steps_file_makes_new_rows(tmp_path: Path) -> None:
    before = fingerprint(step_identity(step_of(bill(tmp_path, "inner"))))
    after = fingerprint(step_identity(step_of(bill(tmp_path, "inner", INNER + "\n# edited\n"))))
    assert before != after


def test_a_raised_version_of_the_held_step_makes_new_rows(tmp_path: Path) -> None:
    step = step_of(bill(tmp_path, "inner"))
    before = fingerprint(step_identity(step))
    inner = step.generate  # type: ignore[attr-defined]

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Later(type(inner)):  # type: ignore[misc]
        version: ClassVar[int] = 2

    Later.__module__, Later.__qualname__, Later.name = type(inner).__module__, type(inner).__qualname__, inner.name
    raised = dataclasses.replace(step, generate=Later())  # type: ignore[call-arg]
    assert fingerprint(step_identity(raised)) != before


def test_the_fields_that_hold_a_step_are_read_from_their_types(tmp_path: Path) -> None:
    held = held_steps(type(step_of(bill(tmp_path, "inner"))))
    assert list(held) == ["generate"]
    assert (held["generate"].reads.__name__, held["generate"].writes.__name__) == ("Document", "Document")
