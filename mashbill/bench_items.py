r"""Items of evaluation sets as files hold them: what training rows are compared with.

A line of GSM8K, ``{"question": "Natalia sold clips …", "answer": "… #### 72"}`` ->
``BenchItem(where="gsm8k.jsonl:1", question="Natalia sold clips …", context="", rest=("… #### 72",), path=())``.

A set is a file or a folder. Of JSON lines, Parquet and Arrow each row is an item; of ``.txt`` each line that is not
blank; a ``.md`` file is one item. Of a folder (a release, a stored step, what `datasets` saved) every file of rows and
every ``.txt`` is read, but for rejects. What is asked is taken from the first column of `ASKED` that a row has, the
passage it is asked of from the first of `CONTEXTS`, all else that may be said again from `REST`. A set whose columns
have other names says them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from mashbill.disk import file_digest
from mashbill.errors import InputError
from mashbill.fingerprint import content_id
from mashbill.path_key import PathKey, edges_of, spoken_key
from mashbill.records import join_texts
from mashbill.sources.row_files import KINDS, ON_DISK, Row, rows_of
from mashbill.step import BadInput

ASKED = (
    *("question", "prompt", "problem", "instruction", "query", "goal", "sentence", "text", "input", "ctx", "stem"),
    *("messages", "conversations"),
)
"""Columns of what is asked; the first that a row has is taken."""
CONTEXTS = ("context", "passage", "article", "story", "support", "premise")
"""Columns of what it is asked of."""
REST = (
    *("input", "options", "choices", "endings", "option1", "option2", "sol1", "sol2", "hypothesis"),
    *("answer", "answers", "accepted", "best_answer", "correct_answers", "target", "targets", "response", "output"),
    *("completion", "rationale", "solution", "explanation", "canonical_solution", "code"),
)
"""Columns of what belongs to an item besides, in the order in which they are read."""
FOLDER_KINDS = (*KINDS, ".txt")
_LINE_BYTES = 256 * 1024 * 1024
_PATHS = ("path", "edges")


@dataclass(frozen=True, slots=True)
class BenchItem:
    """One item."""

    where: str
    """File name relative to the set, and the line or row."""
    question: str
    """Empty for a path of a graph that has no question."""
    context: str
    rest: tuple[str, ...]
    """Options, answers, rationale: as far as the row has them, in the order of `REST`."""
    path: PathKey
    """See `mashbill.path_key.spoken_key`; empty where there is none."""


def bench_files(place: Path) -> list[Path]:
    """The files of a set, in order.

    Raises:
        InputError: when it is absent, of no kind that is read, or a folder without such a file.
    """
    if not place.exists():
        raise InputError("no such evaluation set; `against` is taken relative to the bill", path=place)
    if place.is_file():
        if place.suffix.lower() not in (*FOLDER_KINDS, ".json", ".md"):
            raise InputError(
                f"is no evaluation set: wanted {', '.join(FOLDER_KINDS)}, .json, .md or a folder of such files",
                path=place,
            )
        return [place]
    found = [path for path in place.rglob("*") if path.suffix.lower() in FOLDER_KINDS and path.is_file()]
    kept = [path for path in found if not _left_out(path.relative_to(place))]
    if not kept:
        raise InputError(f"holds no evaluation set: looked for {', '.join(FOLDER_KINDS)} in the folder", path=place)
    return sorted(kept, key=lambda path: path.relative_to(place).as_posix())


def _left_out(path: Path) -> bool:
    return "rejects" in path.parts or path.name in ON_DISK or any(part.startswith(".") for part in path.parts)


def bench_digest(place: Path) -> str:
    """What the files of a set hold, wherever they lie and whatever they are called."""
    return content_id(sorted(file_digest(path) for path in bench_files(place)))


def bench_items(place: Path, fields: Sequence[str] = ()) -> Iterator[BenchItem]:
    """The items of a set, in order; `fields` names the column of what is asked, then others, where names are unusual.

    Raises:
        InputError: for a broken line, a row without any column of `ASKED` and without a path, or no item at all.
    """
    count = 0
    for path in bench_files(place):
        name = path.name if path == place else path.relative_to(place).as_posix()
        for row in _rows(path, name):
            count += 1
            yield _item(row, fields, path)
    if not count:
        raise InputError("has no item", path=place)


def _rows(path: Path, name: str) -> Iterator[Row]:
    suffix = path.suffix.lower()
    if suffix in (".txt", ".md", ".json"):
        yield from _of_text(path, name, suffix)
        return
    for row in rows_of(path, name, max_bytes=_LINE_BYTES):
        if isinstance(row, BadInput):
            raise InputError(row.detail, path=path, line=row.line)
        yield row


def _of_text(path: Path, name: str, suffix: str) -> Iterator[Row]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 at byte {error.start}; convert it (`iconv -t utf-8`)", path=path) from None
    if suffix == ".json":
        yield from _of_json(text, path, name)
        return
    pieces = [text] if suffix == ".md" else text.split("\n")
    for number, piece in enumerate(pieces, 1):
        if piece.strip():
            yield Row(f"{name}:{number}", number, {"text": piece.strip()})


def _of_json(text: str, path: Path, name: str) -> Iterator[Row]:
    """A list of objects, or an object on each line."""
    try:
        whole = orjson.loads(text)
        rows = whole if isinstance(whole, list) else [whole]
    except orjson.JSONDecodeError:
        rows = []
        for number, line in enumerate(text.split("\n"), 1):
            try:
                rows.extend([orjson.loads(line)] if line.strip() else [])
            except orjson.JSONDecodeError as error:
                raise InputError(f"is no JSON: {error}", path=path, line=number) from None
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InputError(f"item {number} is {type(row).__name__}; wanted an object", path=path)
        yield Row(f"{name}:{number}", number, row)


def _item(row: Row, fields: Sequence[str], path: Path) -> BenchItem:
    values = row.values
    walked: list[Any] = next(
        (values[name] for name in _PATHS if isinstance(values.get(name), list) and values[name]), []
    )
    asked = fields[:1] if fields else [name for name in ASKED if _text(values.get(name))][:1]
    question = _text(values.get(asked[0])) if asked else ""
    if not question and not walked:
        wanted = join_texts(fields[:1] if fields else ASKED, 30)
        raise InputError(
            f"is no item: it has the columns {join_texts(sorted(values), 30)} and no text in {wanted}; say which "
            "column holds what is asked, as fields: [stem, options]",
            path=path,
            line=row.line,
        )
    context = "" if fields else next((text for name in CONTEXTS if (text := _text(values.get(name)))), "")
    rest = [_text(values.get(name)) for name in (fields[1:] if fields else REST) if name not in asked]
    return BenchItem(row.where, question, context, tuple(text for text in rest if text), _key(walked))


def _key(walked: Sequence[Mapping[str, Any]]) -> PathKey:
    return spoken_key(edges_of(walked)) if walked and isinstance(walked[0], Mapping) and "head" in walked[0] else ()


def _text(value: Any) -> str:
    r"""What a column says, whatever its shape: a list's texts one a line; of ARC's options and of chats the texts.

    >>> _text({"text": ["salt", "oak"], "label": ["A", "B"]}), _text([{"role": "user", "content": "Who?"}])
    ('salt\noak', 'Who?')
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        inner = next((value[name] for name in ("text", "content", "value") if name in value), None)
        return _text(inner)
    if isinstance(value, list):
        return "\n".join(text for text in map(_text, value) if text)
    return ""
