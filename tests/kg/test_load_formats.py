"""Five kinds of file, one reader: what was written is read, and what is no triple is named with its line."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.load import Tally, read_triples
from kg.load_columns import file_columns
from kg.load_graph import load_graph, read_tags
from kg.load_rows import Columns
from kg.to_networkx import to_networkx
from mashbill.errors import InputError
from mashbill.records import Triple
from tests.kg.graphs import Plain, graph, stated

HOSTILE = [
    "tab\there",
    'a "quoted" name',
    "🧂 salt & café",
    "<b>[red]markup[/]</b>",
    "a,b",
    "back\\slash",
    "line\nend",
    "'",
    "{{x}}",
]
NAMES = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn"]), max_size=6),
).map(str.strip)
ROWS = st.lists(st.tuples(*[NAMES.filter(bool)] * 3), min_size=1, max_size=12, unique=True)


def plain(path: Path, columns: Columns | None = None) -> list[Plain]:
    return [(one.head, one.relation, one.tail) for one in read_triples(path, columns=columns)]


def written(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def ntriples(rows: list[Plain]) -> str:
    """Names as literals and IRIs, with every character that may be escaped, escaped."""

    def iri(name: str) -> str:
        return "<" + "".join(f"\\U{ord(one):08X}" if one in '<>"{}|^`\\' or one <= " " else one for one in name) + ">"

    def literal(name: str) -> str:
        short = {"\t": "\\t", "\n": "\\n", '"': '\\"', "\\": "\\\\", "'": "\\'"}
        return '"' + "".join(short.get(one, f"\\u{ord(one):04x}" if ord(one) < 0x10000 else one) for one in name) + '"'

    return "".join(f"{iri(head)} {iri(relation)}\t{literal(tail)} . # said\n" for head, relation, tail in rows)


def write(folder: Path, kind: str, rows: list[Plain]) -> Path:
    path = folder / f"graph.{kind}"
    if kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows([("head", "relation", "tail"), *rows])
    elif kind == "parquet":
        pq.write_table(pa.table(dict(zip(("head", "relation", "tail"), zip(*rows, strict=True), strict=True))), path)
    elif kind == "nt":
        path.write_text(ntriples(rows), encoding="utf-8", newline="")
    else:
        networkx = pytest.importorskip("networkx")
        made = networkx.MultiDiGraph()
        for number, name in enumerate(sorted({name for row in rows for name in (row[0], row[2])})):
            made.add_node(f"n{number}", label=name)
        nodes = {label: node for node, label in made.nodes(data="label")}
        for head, relation, tail in rows:
            made.add_edge(nodes[head], nodes[tail], relation=relation)
        networkx.write_graphml(made, path)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet", "nt", "graphml"])
@given(rows=ROWS)
def test_names_with_tabs_quotes_emoji_and_markup_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, kind: str, rows: list[Plain]
) -> None:
    path = write(tmp_path_factory.mktemp("kg"), kind, rows)
    assert sorted(plain(path)) == sorted(rows)
    assert stated(load_graph(path)) == sorted(rows)


def test_a_graph_written_by_networkx_is_read_again(tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    one = graph("a r b", "a s b", "b r a", "c r c")
    networkx.write_graphml(to_networkx(one), tmp_path / "g.graphml")
    assert stated(load_graph(tmp_path / "g.graphml")) == stated(one)


def test_columns_are_found_by_name_in_any_order_with_others_between(tmp_path: Path) -> None:
    columns = Columns(head="from", relation="what", tail="to", evidence="said", head_type="kind")
    text = 'to,score,from,said,what,kind\nOra,1,salt," Salt, by Ora ",made_by,mineral\n'
    (one,) = read_triples(written(tmp_path, "g.csv", text), columns=columns)
    assert (one.head, one.relation, one.tail, one.head_type) == ("salt", "made_by", "Ora", "mineral")
    assert one.evidence == " Salt, by Ora "
    assert one.source == "g.csv:2"
    tabs = written(tmp_path, "g.tsv", "to\tfrom\twhat\nOra\tsalt\tmade_by\n")
    named = Columns(head="from", relation="what", tail="to", header=True)
    assert plain(tabs, named) == [("salt", "made_by", "Ora")] == stated(load_graph(tabs, columns=named))
    bare = written(tmp_path, "b.csv", "salt,made_by,Ora\n")
    assert plain(bare, Columns(header=False)) == [("salt", "made_by", "Ora")]


def test_a_row_of_csv_over_several_lines_is_numbered_by_its_first(tmp_path: Path) -> None:
    path = written(tmp_path, "g.csv", 'head,relation,tail\n"a\nb",r,c\n\nd,r,e\n')
    tally = Tally()
    assert [one.source for one in read_triples(path, tally)] == ["g.csv:2", "g.csv:5"]
    assert (tally.lines, tally.blank) == (4 - 1, 1)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("<http://ex/a> <http://ex/r> <http://ex/b> .", ("http://ex/a", "http://ex/r", "http://ex/b")),
        ('_:b1 <r> "chat"@fr .', ("_:b1", "r", "chat@fr")),
        ('_:b.1 <r> "5"^^<http://www.w3.org/2001/XMLSchema#integer> .', ("_:b.1", "r", "5")),
        ('<a><r>"no spaces".', ("a", "r", "no spaces")),
        (r'<a> <r> "tab\t quote\" back\\ \u00e9 \U0001F9C2" .', ("a", "r", 'tab\t quote" back\\ é 🧂')),
        ('<a> <r> "an @ in it" .', ("a", "r", "an @ in it")),
        (r'<a\u0020b> <r> "x" . # why', ("a b", "r", "x")),
    ],
)
def test_terms_of_ntriples_are_names(tmp_path: Path, line: str, wanted: Plain) -> None:
    assert plain(written(tmp_path, "g.nt", f"# a comment\n\n{line}\r\n")) == [wanted]


GRAPHML = '<?xml version="1.0"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n{}\n</graphml>\n'


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("g.csv", "head,relation,tail\na,r\n", "g.csv:2: has 2 columns; wanted 3"),
        ("g.csv", 'head,relation,tail\na,r,"b\n', "g.csv:2: is not CSV: unexpected end of data"),
        ("g.csv", 'head,relation,tail\na,r,"b"x\n', "g.csv:2: is not CSV: ',' expected after '\"'"),
        ("g.csv", b"head,relation,tail\na,r,caf\xe9\n", "g.csv:2: is not UTF-8"),
        ("g.csv", "head,relation,tail\na,,b\n", "g.csv:2: has no relation; wanted something in each"),
        (
            "g.csv",
            "head,relaton,tail\na,r,b\n",
            "g.csv:1: has no column 'relation' (did you mean relaton?); its columns are",
        ),
        ("g.csv", "head,relation,tail,tail\na,r,b,c\n", "g.csv:1: has 2 columns called 'tail'"),
        ("g.csv", "head,relation,tail\n", "g.csv: has no triple"),
        ("g.nt", "<a> <r> <b>\n", "g.nt:1: is no triple of N-Triples: wanted `<head> <relation> <tail> .`"),
        ("g.nt", '<a> "r" <b> .\n', "g.nt:1: is no triple of N-Triples"),
        ("g.nt", "<a> <r> <b> .\n<a b> <r> <c> .\n", "g.nt:2: is no triple"),
        ("g.nt", r'<a> <r> "\uD800" .', "g.nt:1: has an escape that is no character: \\uD800"),
        ("g.nt", '<a> <r> "" .\n', "g.nt:1: has no tail"),
        ("g.nt", b'<a> <r> "\xff" .\n', "g.nt:1: is not UTF-8"),
        ("g.graphml", GRAPHML.format('<graph><node id="a">'), "g.graphml:4: is not XML: mismatched tag"),
        ("g.graphml", "<html/>", "g.graphml:1: is not GraphML: its root is <html>"),
        (
            "g.graphml",
            GRAPHML.format('<graph><edge source="a" target="b"/></graph>'),
            "has no attribute 'relation' of its edges",
        ),
        (
            "g.graphml",
            GRAPHML.format(
                '<key id="d" for="edge" attr.name="relaton"/><graph><node id="a"/><edge source="a" target="a"/></graph>'
            ),
            "g.graphml:3: has no attribute 'relation' of its edges (did you mean relaton?)",
        ),
        (
            "g.graphml",
            GRAPHML.format('<key id="d" for="edge" attr.name="relation"/><graph><edge source="a" target="b"/></graph>'),
            "g.graphml:3: has an edge of the node 'a', which the file does not have",
        ),
        (
            "g.graphml",
            GRAPHML.format(
                '<key id="d" for="edge" attr.name="relation"/>'
                '<graph><node id="a"/>\n<edge source="a" target="a"/></graph>'
            ),
            "g.graphml:4: has no relation",
        ),
        ("g.graphml", '<!DOCTYPE graphml [<!ENTITY a "aaaa">]>\n<graphml/>', "g.graphml:1: declares the entity 'a'"),
        ("g.graphml", GRAPHML.format("<graph><hyperedge/></graph>"), "g.graphml:3: has a hyperedge"),
        ("g.parquet", b"no parquet", "g.parquet: cannot be read as Parquet"),
        ("g.json", "{}", "g.json: is a .json file, which is not read; what is: .csv, .graphml, .nt, .parquet"),
        ("g", "", "is a file without a suffix"),
        (
            "g.tsv.gz",
            "",
            "is a .gz file, which is not read; what is: .csv, .graphml, .nt, .parquet, .tab, .tsv, .txt; unpack",
        ),
        (
            "g.csv",
            "a,r,b\n",
            "name those of head, relation and tail, or say that the first line is a triple (`header: ",
        ),
        ("g.tsv", "x\ty\nb\tr\tc\n", "g.tsv:1: has 2 columns; wanted three with tabs between"),
    ],
)
def test_what_is_no_triple_is_named_with_its_line_by_both_readers(
    tmp_path: Path, name: str, data: bytes | str, message: str
) -> None:
    path = written(tmp_path, name, data)
    for reader in (plain, load_graph):
        with pytest.raises(InputError) as caught:
            reader(path)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"head": ["a"], "relation": ["r"], "tale": ["b"]}, "g.parquet: has no column 'tail' (did you mean tale?)"),
        (
            {"head": ["a"], "relation": ["r"], "tail": [0.5]},
            "the column 'tail' is double; wanted text or whole numbers",
        ),
        ({"head": ["a", None], "relation": ["r", "r"], "tail": ["b", "b"]}, "g.parquet:2: has no head"),
        ({"head": ["a", " "], "relation": ["r", "r"], "tail": ["b", "b"]}, "g.parquet:2: has no head"),
    ],
)
def test_parquet_that_holds_no_triples_is_named_with_its_row(
    tmp_path: Path, columns: dict[str, list[object]], message: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "g.parquet")
    for reader in (plain, load_graph):
        with pytest.raises(InputError) as caught:
            reader(tmp_path / "g.parquet")
        assert message in str(caught.value)


def test_parquet_of_numbers_and_dictionaries_is_read(tmp_path: Path) -> None:
    table = pa.table({"head": [2, 10], "relation": pa.array(["r", "s"]).dictionary_encode(), "tail": [10, 3]})
    pq.write_table(table, tmp_path / "g.parquet")
    assert plain(tmp_path / "g.parquet") == [("2", "r", "10"), ("10", "s", "3")]
    assert stated(load_graph(tmp_path / "g.parquet")) == [("10", "s", "3"), ("2", "r", "10")]


@pytest.mark.parametrize("kind", ["tsv", "csv", "parquet"])
def test_ordinary_files_are_read_by_column(tmp_path: Path, kind: str) -> None:
    rows = [("a b", "r", "c"), ("c", "s", "é")]
    if kind == "tsv":
        path = written(tmp_path, "g.tsv", "".join("\t".join(row) + "\n" for row in rows))
    else:
        path = write(tmp_path, kind, rows)
    assert file_columns(path, Columns()) is not None


LINES = st.lists(
    st.one_of(
        st.tuples(*[st.sampled_from(["a", " b ", "c\x1c", '"q"', "é\u2003", "d\re", ""])] * 3).map("\t".join),
        st.sampled_from(["", "  ", "a\tb", "a\tr\tb\tc", "a\tr\tb\r"]),
    ),
    max_size=6,
)


@given(LINES, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\ufeff"]), st.sampled_from(["tsv", "csv"]))
def test_reading_by_column_is_reading_by_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str, mark: str, kind: str
) -> None:
    if kind == "csv":
        lines = ["head,relation,tail", *(line.replace("\t", ",") for line in lines)]
    path = written(tmp_path_factory.mktemp("kg"), f"g.{kind}", mark + end.join(lines))

    def outcome(reader: object) -> list[Plain] | str:
        try:
            return sorted(set(plain(path))) if reader is plain else stated(load_graph(path))
        except InputError as error:
            return str(error)

    assert outcome(load_graph) == outcome(plain)


def test_types_in_graphml_are_tags_and_nodes_may_come_after_their_edges(tmp_path: Path) -> None:
    text = GRAPHML.format(
        '<key id="r" for="edge" attr.name="relation"><default>joins</default></key>'
        '<key id="l" for="node" attr.name="label"/><key id="k" for="node" attr.name="kind"/>'
        '<graph><edge source="n0" target="n1"/>'
        '<node id="n0"><data key="l">salt &amp; sea</data><data key="k">mineral</data></node><node id="n1"/></graph>'
    )
    path = written(tmp_path, "g.graphml", text)
    columns = Columns(head_type="kind", tail_type="kind")
    assert plain(path, columns) == [("salt & sea", "joins", "n1")]
    one = load_graph(path, columns=columns)
    assert (one.tag(one.node("salt & sea")), one.tag(one.node("n1"))) == ("mineral", "")


def test_tags_are_read_from_a_file_of_their_own(tmp_path: Path) -> None:
    assert read_tags(written(tmp_path, "t.tsv", "salt\tmineral\n\nOra\tperson\r\n")) == {
        "salt": "mineral",
        "Ora": "person",
    }
    for data, message in (
        ("salt\n", "t.tsv:1: wanted a node, a tab and its tag"),
        ("a\tb\na\tc\n", "t.tsv:2: gives 'a' the tag 'c'; an earlier line gave it 'b'"),
        (b"\xff\tb\n", "t.tsv:1: is not UTF-8"),
    ):
        with pytest.raises(InputError, match=message):
            read_tags(written(tmp_path, "t.tsv", data))


def test_the_id_of_a_triple_is_of_what_it_says(tmp_path: Path) -> None:
    (one,) = read_triples(written(tmp_path, "g.csv", "head,relation,tail\na,r,b\n"))
    assert one.id == Triple.new(head="a", relation="r", tail="b").id
