"""YAML with the line of every value kept, so that a message can name file and line.

Only plain YAML: no tags, no objects, and a key that stands twice is an error rather than the last one winning.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from mashbill.errors import BillError

Where = tuple[str | int, ...]
"""The way to a value: keys and list positions from the top."""

MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """Safe YAML 1.1 without the surprise that ``on``, ``off``, ``yes`` and ``no`` are booleans."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:bool",)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def load_yaml(path: Path) -> tuple[Any, dict[Where, int]]:
    """The value in a YAML file and the line (from 1) of each place in it.

    Raises:
        BillError: when the file is absent, not UTF-8, not YAML, or has a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BillError("no such file; give the path of a bill (YAML)", path=path) from None
    except IsADirectoryError:
        raise BillError("is a directory; give the path of the bill inside it", path=path) from None
    except UnicodeDecodeError as error:
        raise BillError(f"is not UTF-8 (byte {error.start}); save it as UTF-8", path=path) from None
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[Where, int] = {}
        value = None if node is None else _value(loader, node, (), lines, path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        raise BillError(f"is not valid YAML: {error.problem or error}", path=path, line=line) from None
    except yaml.reader.ReaderError as error:
        raise BillError(f"is not valid YAML: {error.reason} at character {error.position}", path=path) from None
    except RecursionError:
        raise BillError("is nested without end: does an anchor (&) hold an alias (*) of itself?", path=path) from None
    finally:
        if loader is not None:
            loader.dispose()
    return value, lines


def _value(loader: _Loader, node: yaml.Node, where: Where, lines: dict[Where, int], path: Path) -> Any:
    line = node.start_mark.line + 1
    lines[where] = line
    if isinstance(node, yaml.MappingNode):
        result, own = _merged(loader, node, where, lines, path), set[str]()
        lines[where] = line
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                continue
            key = loader.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise BillError(f"the key {key!r} is not text; put it in quotes", path=path, line=line)
            if key in own:
                raise BillError(f"the key {key!r} stands twice; keep one of them", path=path, line=line)
            own.add(key)
            if key in result:  # merged, and replaced here: its lines go with it
                for stale in [place for place in lines if place[: len(where) + 1] == (*where, key)]:
                    del lines[stale]
            result[key] = _value(loader, value_node, (*where, key), lines, path)
            lines[(*where, key)] = line
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*where, i), lines, path) for i, item in enumerate(node.value)]
    try:
        return loader.construct_object(node, deep=True)
    except ValueError as error:
        raise BillError(
            f"{node.value!r} looks like a date but is none: {error}; quote it", path=path, line=line
        ) from None


def _merged(
    loader: _Loader, node: yaml.MappingNode, where: Where, lines: dict[Where, int], path: Path
) -> dict[str, Any]:
    """What ``<<`` brings into a mapping; of several the first wins, and the mapping's own keys win over all."""
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if key_node.tag != MERGE:
            continue
        for given in reversed(value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]):
            if not isinstance(given, yaml.MappingNode):
                line = key_node.start_mark.line + 1
                raise BillError("`<<` takes a mapping, or a list of mappings, to merge", path=path, line=line)
            result |= _value(loader, given, where, lines, path)
    return result
