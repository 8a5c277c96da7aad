"""``mashbill teach DATASET``: the texts of a release or a stored step, scored by a teacher without a bill.

The columns are those that a bill's arms read, found by what the texts' tokens are: a bill under the same root whose
streams hold these texts takes their signals from here and scores none of them again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from flows.release_parts import ReleaseParts
from flows.stored import the_thing
from flows.teaching import said_of, scorer_of
from mashbill.errors import BillError, StoreError
from mashbill.progress import Progress
from mashbill.records import Document
from mashbill.release_manifest import ReleaseManifest
from mashbill.settings import Settings
from mashbill.store import Stored
from train.distill_spec import Distill, TeacherSpec
from train.earlier_columns import with_earlier
from train.recipe import BYTES, EMBEDDED, Scratch, StudentSpec
from train.render import token_tables
from train.teacher_store import columns_dir, described, texts_of, write_columns
from train.token_store import TokenStore, write_tokens

CONTEXT = 2048
"""The longest position that a teacher without weights of its own is told of; others know theirs."""


def student_said(said: str) -> StudentSpec:
    """A student as the command line names it: the embedded model, ``bytes`` for its tokenizer alone, or a directory.

    Raises:
        BillError: when it is none of these.
    """
    if said == EMBEDDED:
        return StudentSpec(model=said)
    if said == BYTES:
        return StudentSpec(scratch=Scratch())
    return StudentSpec(path=_checkpoint(said, "--student"))


def teacher_said(said: str, served: str) -> TeacherSpec:
    """A teacher as the command line names it: a server's address, the embedded model, or a directory.

    Raises:
        BillError: when it is none of these, or a server without the name of what it serves.
    """
    if "://" in said:
        return TeacherSpec(endpoint=said, served=served)
    if said == EMBEDDED:
        return TeacherSpec(model=said)
    return TeacherSpec(path=_checkpoint(said, "--teacher"))


def _checkpoint(said: str, option: str) -> Path:
    path = Path(said).resolve()
    if not (path / "config.json").is_file():
        raise BillError(f"{option} {said}: no Hugging Face checkpoint is there (config.json); {EMBEDDED} is built in")
    return path


def teach_dataset(said: str, settings: Settings, student: StudentSpec, spec: Distill, progress: Progress) -> str:
    """Score a dataset, or what an earlier run left to do; a line that says what was made and where.

    Raises:
        StoreError: when nothing of that name is stored, or it holds no documents.
        BillError: when the teacher's tokens are not the student's.
    """
    from train.student import student_tokenizer

    thing = the_thing(said, settings.root, ["release", "step"])
    parts = _documents(thing.path, thing.sort == "release")
    tokenizer = student_tokenizer(student)
    settings.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".teach-", dir=settings.root) as aside:
        tokens = Path(aside) / "tokens.arrow"
        indexes, _ = write_tokens(tokens, {thing.name: token_tables(parts, tokenizer)})
        index = indexes[thing.name]
        wanted = described(spec, student, stream=index.digest(), tokenizer=tokenizer.identity)
        folder = columns_dir(settings.root, thing.name, wanted)
        scores = with_earlier(settings.root, wanted, scorer_of(spec, student, settings, CONTEXT))

        def told(done: int) -> None:
            line = {"name": f"teach {thing.name}", "step": done, "steps": index.tokens, "tokens": done}
            progress.training(line)

        made = write_columns(folder, texts_of(TokenStore(tokens), thing.name), wanted, scores, progress=told)
    return f"{thing.name}: {said_of(made)}, in {folder}"


def _documents(place: Path, released: bool) -> Iterator[pa.Table]:
    kind = ReleaseManifest.read(place).kind if released else Stored.open(place).kind.__name__
    if kind != Document.__name__:
        raise StoreError(
            f"{place}: holds {kind} rows; a dataset of documents can be taught by itself. How others are read is said "
            "by a bill's `train`: name it there and run `mashbill teach BILL`"
        )
    if released:
        return iter(ReleaseParts.open(place))
    stored = Stored.open(place)
    return (stored.table(index) for index in range(len(stored)))
