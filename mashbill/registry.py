"""Steps, engines, embedders and scorers, found by file.

A package of steps is a folder; a file ``gopher_quality.py`` in it that defines ``class GopherQuality`` is the step
``gopher_quality``; a file without such a class is a helper. Files are found by name and read by `ast`, so listing
them imports nothing; a step is imported when it is asked for, and an import that breaks is raised, never skipped.
A step of the user's own carries the digest of its file, which is part of its identity: an edited file makes new rows.

>>> find("step", "minhash_dedup").module
'filters.minhash_dedup'
"""

from __future__ import annotations

import ast
import difflib
import functools
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from mashbill.errors import RegistryError
from mashbill.step import Step, snake_case

Sort = Literal["step", "engine", "embedder", "scorer"]

PACKAGES: dict[Sort, tuple[str, ...]] = {
    "step": ("mashbill.sources", "synth.generators", "filters", "kg"),
    "engine": ("synth.engines",),
    "embedder": ("mashbill.embedders", "synth.engines"),
    "scorer": ("synth.engines",),
}
_DIGEST = "__mashbill_source_digest__"


@dataclass(frozen=True, slots=True)
class Found:
    """A step or engine as its file shows it, before any import."""

    name: str
    module: str
    path: Path
    class_name: str
    bases: tuple[str, ...]
    """Base classes as written, e.g. ``Generator[Document, Document]``."""
    summary: str
    """The first sentence of the class's docstring."""

    @property
    def role(self) -> str:
        """``source``, ``generator``, ``filter``, ``dataset step`` or ``engine``."""
        roles = {
            "Source": "source",
            "Generator": "generator",
            "DatasetGenerator": "generator",
            "Filter": "filter",
            "DatasetStep": "dataset step",
        }
        return next((roles[base.split("[")[0]] for base in self.bases if base.split("[")[0] in roles), "engine")


def available(sort: Sort, folders: Sequence[Path] = ()) -> dict[str, Found]:
    """Every step or engine by name: the packages' and those in `folders` of the user's own.

    Raises:
        RegistryError: when two files claim one name.
    """
    found: dict[str, Found] = {}
    for one in [*_in_packages(sort), *_in_folders(sort, folders)]:
        if one.name in found:
            raise RegistryError(
                f"two files claim the {sort} {one.name!r}: {found[one.name].path} and {one.path}; rename one of them"
            )
        found[one.name] = one
    return dict(sorted(found.items()))


def find(sort: Sort, name: str, folders: Sequence[Path] = ()) -> Found:
    """One step or engine by name.

    Raises:
        RegistryError: for an unknown name, with the nearest names and the list.
    """
    known = available(sort, folders)
    if name not in known:
        raise RegistryError(f"no {sort} is called {name!r}{nearest(name, known)}; there are: {', '.join(known)}")
    return known[name]


def load(sort: Sort, name: str, folders: Sequence[Path] = ()) -> Any:
    """The class of a step or engine, imported now.

    Raises:
        RegistryError: for an unknown name, or a step file whose class is not a step.
    """
    one = find(sort, name, folders)
    cls = getattr(_import(one), one.class_name)
    if sort == "step" and not (isinstance(cls, type) and issubclass(cls, Step)):
        raise RegistryError(
            f"{one.path}: {one.class_name} is not a Generator, Filter, DatasetStep, DatasetGenerator or Source"
        )
    return cls


def nearest(name: str, known: Iterable[str]) -> str:
    """For a message: the names most like one, or nothing.

    >>> nearest("gopher_qualty", ["gopher_quality", "length"])
    ' (did you mean gopher_quality?)'
    """
    close = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def _in_packages(sort: Sort) -> Iterable[Found]:
    for package in PACKAGES[sort]:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise RegistryError(f"the package {package} is missing: the installation is not whole; install again")
        for folder in spec.submodule_search_locations:
            for path in sorted(Path(folder).glob("*.py")):
                yield from _in_file(sort, path, f"{package}.{path.stem}")


def _in_folders(sort: Sort, folders: Sequence[Path]) -> Iterable[Found]:
    for folder in folders:
        if not folder.is_dir():
            raise RegistryError(f"{folder}: no such folder of steps; mend `steps` in the bill")
        for path in sorted(folder.glob("*.py")):
            yield from _in_file(sort, path, f"mashbill_steps_{path.stem}")


def _in_file(sort: Sort, path: Path, module: str) -> Iterable[Found]:
    if path.stem.startswith("_"):
        return
    try:
        classes = _classes(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        where = f"{path}:{error.lineno}" if error.lineno else f"{path}"
        raise RegistryError(f"{where}: cannot be read as Python: {error.msg}") from error
    except ValueError as error:
        raise RegistryError(f"{path}: cannot be read as Python: {error}; save it as UTF-8 text") from error
    for one in classes:
        if snake_case(one.name) == path.stem and _is_one(sort, one):
            yield Found(path.stem, module, path, one.name, one.bases, one.summary)


@dataclass(frozen=True, slots=True)
class _Class:
    """What a file's text says of one of its classes."""

    name: str
    bases: tuple[str, ...]
    summary: str
    methods: frozenset[str]


@functools.lru_cache(maxsize=1024)
def _classes(source: str) -> tuple[_Class, ...]:
    """The classes of a file by its text: parsed once, and again when it was edited."""
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return tuple(
        _Class(
            name=node.name,
            bases=tuple(ast.unparse(base) for base in node.bases),
            summary=(ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " "),
            methods=frozenset(_methods(node)),
        )
        for node in nodes
    )


def _methods(node: ast.ClassDef) -> Iterable[str]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            yield item.name
        elif isinstance(item, ast.AsyncFunctionDef):
            yield f"async {item.name}"


def _is_one(sort: Sort, one: _Class) -> bool:
    """A step derives from something; the others follow protocols and are known by `complete`, `embed` and `score`."""
    if sort == "step":
        return bool(one.bases)
    return {"embedder": "embed", "scorer": "score"}.get(sort, "async complete") in one.methods


def _import(one: Found) -> ModuleType:
    if not one.module.startswith("mashbill_steps_"):
        return importlib.import_module(one.module)
    path = one.path.resolve()
    source = path.read_bytes()
    digest = hashlib.sha256(source).hexdigest()
    known = sys.modules.get(one.module)
    # By place and content: another folder may hold a file of that name, and the file may have been edited since.
    if known is not None and (known.__file__, known.__dict__.get(_DIGEST)) == (str(path), digest):
        return known
    spec = importlib.util.spec_from_file_location(one.module, path)
    if spec is None:
        raise RegistryError(f"{one.path}: cannot be loaded as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[one.module] = module  # dataclasses look their module up while it is being executed
    try:
        # The bytes that were digested, never a compiled file of an earlier second.
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[one.module]  # or the next load would find the half of it that ran
        raise
    module.__dict__[_DIGEST] = digest
    for thing in list(vars(module).values()):
        if isinstance(thing, type) and issubclass(thing, Step) and thing.__module__ == one.module:
            sourced: Any = thing
            sourced.source_digest = digest  # identity: see `mashbill.fingerprint.step_identity`
    return module
