"""``mashbill new``: a generator, filter or bill that works as it is written, with its test, to be changed.

$ mashbill new generator ask_why
wrote steps/ask_why.py
wrote steps/test_ask_why.py
…
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from pathlib import Path

from flows.scaffold_templates import BILL, CORPUS, FILTER, FILTER_TEST, GENERATOR, GENERATOR_TEST
from mashbill.errors import UserError
from mashbill.registry import available, nearest
from mashbill.step import snake_case

SORTS = ("generator", "filter", "bill")
_STEPS = {"generator": (GENERATOR, GENERATOR_TEST, "generate"), "filter": (FILTER, FILTER_TEST, "curate")}


def write_new(sort: str, name: str, folder: Path | None) -> str:
    """Write the files and say what to do with them; nothing is overwritten.

    Raises:
        UserError: for an unknown sort, a name that cannot be one, or files that are there already.
    """
    if sort not in SORTS:
        raise UserError(f"cannot write a new {sort!r}{nearest(sort, SORTS)}; there are: {', '.join(SORTS)}")
    if sort == "bill":
        return _new_bill(name, folder or Path())
    return _new_step(sort, name, folder or Path("steps"))


def class_name(name: str) -> str:
    """The class of a step's name.

    >>> class_name("ask_why")
    'AskWhy'
    """
    return "".join(word.capitalize() for word in name.split("_"))


def _new_step(sort: str, name: str, folder: Path) -> str:
    _check_step_name(name)
    known = available("step", [folder] if folder.is_dir() else [])
    if name in known:
        raise UserError(f"there is a step called {name!r} already, in {known[name].path}; take another name")
    step, test, section = _STEPS[sort]
    places = {"name": name, "cls": class_name(name)}
    files = {
        folder / f"{name}.py": step.substitute(places),
        folder / f"test_{name}.py": test.substitute(places),
    }
    return _write(
        files,
        f"name it in a bill beside it:  steps: [{folder.name}]  and  {section}: [{name}]",
        f"try its test:                 pytest {folder / f'test_{name}.py'}",
    )


def _check_step_name(name: str) -> None:
    wanted = "a step's name is snake_case and names its file and, as CamelCase, its class (ask_why, AskWhy)"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or name.startswith("test_"):
        raise UserError(f"{name!r} cannot be a step's name: {wanted}")
    back = snake_case(class_name(name))
    if back != name:
        raise UserError(f"{name!r} cannot be a step's name: its class {class_name(name)} means {back!r}; {wanted}")


def _new_bill(name: str, folder: Path) -> str:
    name = name.removesuffix(".yaml")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UserError(f"{name!r} names a file, a folder and a dataset: letters, digits, - _ . only")
    bill, corpus = folder / f"{name}.yaml", folder / "corpus"
    files = {bill: BILL.substitute(name=name, corpus=corpus.name)}
    if not corpus.exists():
        files |= {corpus / file: text for file, text in CORPUS.items()}
    return _write(
        files,
        f"say where your documents are in {bill}, then:",
        f"mashbill plan {bill}",
        f"mashbill run {bill}",
    )


def _write(files: Mapping[Path, str], *next_: str) -> str:
    there = [path for path in files if path.exists()]
    if there:
        raise UserError(f"{there[0]}: is there already and is not overwritten; take another name or --folder")
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written: {error.strerror}; take another --folder") from error
    return "\n".join([*(f"wrote {path}" for path in files), *next_])
