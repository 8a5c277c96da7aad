"""Triples from GraphML: edges with an attribute that is the relation, between nodes by id or by label.

    <key id="r" for="edge" attr.name="relation"/>
    <node id="n0"/> <node id="n1"/>
    <edge source="n0" target="n1"><data key="r">made_by</data></edge>      ->  Row(3, "n0", "made_by", "n1")

A node is called by its attribute ``label`` (or ``name``) where the file declares one, else by its id; its type is the
attribute that `Columns` names. The standard library's expat reads the file in pieces and knows each element's line,
which neither networkx (the whole tree in memory) nor `iterparse` (no lines) does. Entities of the file's own are
refused: they are how a small file becomes a huge one, and no writer of GraphML needs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from kg.load_rows import Columns, Flaw, Row, row_of, unreadable
from mashbill.errors import InputError
from mashbill.records import join_texts
from mashbill.registry import nearest

PIECE = 1 << 16
LABELS = ("label", "name")


def graphml_rows(path: Path, columns: Columns) -> Iterator[Row | Flaw]:
    """The rows of a file; an edge that stands before one of its nodes comes at the end.

    Raises:
        InputError: for an attribute that the file does not declare, with the nearest that it does.
    """
    reader = _Reader(path, columns)
    try:
        with path.open("rb") as handle:
            while piece := handle.read(PIECE):
                reader.feed(piece, last=False)
                yield from reader.ready()
        reader.feed(b"", last=True)
        yield from reader.ready(all_of_them=True)
    except expat.ExpatError as error:
        yield Flaw(error.lineno, "broken_xml", f"is not XML: {expat.errors.messages[error.code]}")
    except OSError as error:
        raise unreadable(path, error) from error


@dataclass
class _Element:
    """A node or an edge that is being read."""

    kind: str
    line: int
    attributes: dict[str, str]
    data: dict[str, str] = field(default_factory=dict)


class _Reader:
    def __init__(self, path: Path, columns: Columns) -> None:
        self.path, self.columns = path, columns
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.EntityDeclHandler = self._entity
        self.keys: dict[tuple[str, str], str] = {}
        """(node or edge, id of the key) -> name of the attribute."""
        self.defaults: dict[tuple[str, str], str] = {}
        """(node or edge, name of the attribute) -> what it is where nothing is said."""
        self.nodes: dict[str, tuple[str, str]] = {}
        """Id -> name and type."""
        self.edges: list[_Element] = []
        self.flaws: list[Flaw] = []
        self.open: list[_Element] = []
        self.key: tuple[str, ...] = ()
        self.text: list[str] | None = None
        self.data_key = ""
        self.checked = self.root = False

    def feed(self, piece: bytes, *, last: bool) -> None:
        self.parser.Parse(piece, last)

    def ready(self, *, all_of_them: bool = False) -> Iterator[Row | Flaw]:
        flaws, self.flaws = self.flaws, []
        edges, self.edges = self.edges, []
        yield from flaws
        for edge in edges:
            ends = edge.attributes.get("source", ""), edge.attributes.get("target", "")
            if all_of_them or all(end in self.nodes for end in ends):
                yield self._row(edge, *ends)
            else:
                self.edges.append(edge)

    def _row(self, edge: _Element, source: str, target: str) -> Row | Flaw:
        for end in (source, target):
            if end not in self.nodes:
                return Flaw(edge.line, "no_such_node", f"has an edge of the node {end!r}, which the file does not have")
        (head, head_type), (tail, tail_type) = self.nodes[source], self.nodes[target]
        values = {"head": head, "relation": self._of(edge, self.columns.relation), "tail": tail}
        evidence = self._of(edge, self.columns.evidence)
        return row_of(edge.line, {**values, "evidence": evidence, "head_type": head_type, "tail_type": tail_type})

    def _of(self, one: _Element, name: str) -> str:
        return one.data.get(name, self.defaults.get((one.kind, name), ""))

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        kind, line = tag.rpartition(":")[2], self.parser.CurrentLineNumber
        if not self.root and kind != "graphml":
            raise InputError(f"is not GraphML: its root is <{tag}>", path=self.path, line=line)
        self.root = True
        if kind == "key":
            name = attributes.get("attr.name", attributes.get("id", ""))
            self.key = tuple(one for one in ("node", "edge") if attributes.get("for", "all") in (one, "all"))
            self.keys.update({(one, attributes.get("id", "")): name for one in self.key})
            self.key = (*self.key, name)
        elif kind in ("node", "edge"):
            if kind == "edge" and not self.checked:
                self._check(line)
            self.open.append(_Element(kind, line, attributes))
        elif kind == "hyperedge":
            self.flaws.append(Flaw(line, "hyperedge", "has a hyperedge, which is no triple; write it as edges"))
        elif kind in ("data", "default"):
            self.text, self.data_key = [], attributes.get("key", "")

    def _end(self, tag: str) -> None:
        kind = tag.rpartition(":")[2]
        if kind == "data" and self.text is not None:
            if self.open:
                one = self.open[-1]
                one.data[self.keys.get((one.kind, self.data_key), self.data_key)] = "".join(self.text)
            self.text = None
        elif kind == "default" and self.text is not None:
            *kinds, name = self.key
            self.defaults.update({(one, name): "".join(self.text) for one in kinds})
            self.text = None
        elif kind in ("node", "edge"):
            self._closed(self.open.pop())

    def _closed(self, one: _Element) -> None:
        if one.kind == "edge":
            self.edges.append(one)
            return
        node = one.attributes.get("id", "")
        label = next((found for name in LABELS if (found := self._of(one, name).strip())), node)
        self.nodes[node] = label, self._of(one, self.columns.head_type)

    def _text(self, text: str) -> None:
        if self.text is not None:
            self.text.append(text)

    def _entity(self, name: str, *_: object) -> None:
        raise InputError(
            f"declares the entity {name!r}, which is not followed; write the text itself",
            path=self.path,
            line=self.parser.CurrentLineNumber,
        )

    def _check(self, line: int) -> None:
        self.checked = True
        named = {"edge": [self.columns.relation, self.columns.evidence], "node": [self.columns.head_type]}
        for kind, names in named.items():
            there = sorted({name for (one, _), name in self.keys.items() if one == kind})
            for name in names:
                if name and name not in there:
                    raise InputError(
                        f"has no attribute {name!r} of its {kind}s{nearest(name, there)}; they have "
                        f"{join_texts(there, 20) or 'none'}: say which is the relation",
                        path=self.path,
                        line=line,
                    )
