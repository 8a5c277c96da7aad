from __future__ import annotations

import json
from pathlib import Path

import pytest

from mashbill.errors import BillError, InputError, RegistryError
from mashbill.matching import matcher, matcher_of, spec_of
from mashbill.matching.keeps import Keeps
from train.questions import read_questions
from train.supervision import Supervision
from train.write_spec import WriteSpec
from train.written import judges_of

TWO = Keeps(constraints=("Use at most two bullet points", 'Include "salt"'))


def test_any_answer_that_keeps_all_constraints_is_right() -> None:
    gold = "- salt is low"
    assert TWO.compare("- buy salt\n- sell oil", gold).same
    assert TWO.agree("- buy salt", "- sell salt")
    found = TWO.compare("- buy oil", gold)
    assert (found.outcome, found.detail.partition(":")[0]) == ("different", "keywords")
    assert TWO.compare("", gold).outcome == "different"
    assert TWO.compare("- salt", "no salt here").outcome == "gold_unreadable"
    assert (
        Keeps(constraints=("Answer in French",)).compare("Oui.", "Le sel est vendu aux gens de la baie.").outcome
        == "error"
    )


def test_the_whole_text_is_the_answer_whatever_it_marks() -> None:
    assert TWO.final("- salt\nAnswer: 5\n") == "- salt\nAnswer: 5"
    assert not isinstance(TWO.final("  "), str)
    assert (TWO.reads("- salt"), TWO.reads("salt")) == (True, False)


def test_constraints_that_code_cannot_check_are_refused() -> None:
    with pytest.raises(ValueError, match="code cannot check the constraint 'Be kind'"):
        matcher("keeps", constraints=["Be kind"])
    with pytest.raises(ValueError, match="no constraint to check"):
        matcher("keeps")
    with pytest.raises(RegistryError, match="is of version"):
        matcher("keeps", constraints=["no commas"], version="0")
    assert matcher_of(spec_of(TWO)) == TWO


@pytest.mark.parametrize(
    ("answer", "constraint", "error"),
    [("- pans", "Be kind", BillError), ("pans", "Use two bullet points", InputError)],
)
def test_questions_with_constraints_that_cannot_be_kept_are_refused_before_any_training(
    tmp_path: Path, answer: str, constraint: str, error: type[Exception]
) -> None:
    named = {"keeps": {"constraints": [constraint]}}
    line = json.dumps({"id": "m", "question": "Write.", "answer": answer, "matcher": named})
    (tmp_path / "q.jsonl").write_text(line, encoding="utf-8")
    with pytest.raises(error):
        judges_of(read_questions(tmp_path / "q.jsonl"), WriteSpec(), Supervision(target="answer_only"))
