"""The steps: triples from files into stored rows, and paths from stored triples, through the real loop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kg.read_triples import ReadTriples
from kg.sample_paths import SamplePaths
from mashbill.errors import InputError
from mashbill.execute import execute
from mashbill.ingest import ingest
from mashbill.records import Path as Walk
from mashbill.records import Triple, from_table
from mashbill.runtime import Runtime
from mashbill.store import Stored

TSV = "".join(f"n{one}\tr{one % 3}\tn{(one * 5 + 2) % 23}\n" for one in range(23)) + "n1\tisa\tthing\n"


def read(tmp_path: Path, data: str | bytes, name: str = "g.tsv", **fields: object) -> Stored:
    place = tmp_path / "in"
    place.mkdir(exist_ok=True, parents=True)
    (place / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    source = ReadTriples(path=str(place), **fields)  # type: ignore[arg-type]
    return ingest(source, place, Runtime(root=tmp_path / "runs"))


def rows(stored: Stored) -> list[Triple]:
    return [one for table in stored for one in from_table(table, Triple)]


def sampled(tmp_path: Path, source: Stored, step: SamplePaths) -> Stored:
    return asyncio.run(execute(step, source, Runtime(root=tmp_path / "runs")))


def paths(stored: Stored) -> list[Walk]:
    return [one for table in stored for one in from_table(table, Walk)]


def test_each_line_is_a_row_with_its_place_domain_and_licence(tmp_path: Path) -> None:
    stored = read(tmp_path, "salt\tr\tOra\n\nsalt\tr\tOra\n", domain="trade", license="CC0")
    first, second = rows(stored)
    assert (first.head, first.domain, first.license, first.source) == ("salt", "trade", "CC0", "g.tsv:1")
    assert second.source == "g.tsv:3"
    assert first.id != second.id  # said twice: two rows, one edge
    assert stored.manifest.counts.rejected == {"empty": 1}


def test_a_line_that_is_no_triple_stops_or_becomes_a_reject(tmp_path: Path) -> None:
    data = b"a\tr\tb\na\tr\n\xff\tr\tb\n\tr\tb\nc\tr\td\n"
    with pytest.raises(InputError, match=r"g\.tsv:2: has 2 columns; .*set `bad_input: reject`"):
        read(tmp_path, data)
    stored = read(tmp_path, data, bad_input="reject")
    assert [one.head for one in rows(stored)] == ["a", "c"]
    assert stored.manifest.counts.rejected == {"no_head": 1, "not_utf8": 1, "ragged": 1}


def test_a_folder_is_read_by_suffix_and_what_is_of_no_kind_is_counted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.nt").write_text("<x> <r> <y> .\n")
    (tmp_path / "in" / "readme.md").write_text("words")
    stored = read(tmp_path, "a\tr\tb\n", name="a.tsv")
    assert [one.source for one in rows(stored)] == ["a.tsv:1", "b.nt:1"]
    assert stored.manifest.counts.rejected == {"unknown_kind": 1}


def test_a_folder_without_triples_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no triples: looked for \.csv, .* and found \.md"):
        read(tmp_path, "words", name="a.md")
    with pytest.raises(InputError, match="no such file or folder"):
        ReadTriples(path="x").files(tmp_path / "x")
    with pytest.raises(ValueError, match="glob is '/x'"):
        ReadTriples(path="x", glob="/x")
    with pytest.raises(ValueError, match="head is empty"):
        ReadTriples(path="x", head=" ")


def test_so_many_paths_are_drawn_and_lead_back_to_their_triples(tmp_path: Path) -> None:
    source = read(tmp_path, TSV, part_rows=7)
    stored = sampled(tmp_path, source, SamplePaths(paths=100, seed=3))
    by_id, found = {one.id: one for one in rows(source)}, paths(stored)
    assert len(found) == 100
    assert len(stored) == len(source) == 4
    assert len({path.id for path in found}) == 100
    for path in found:
        walked = [by_id[parent] for parent in path.parents]
        assert [edge.triple for edge in path.edges] == [(one.head, one.relation, one.tail) for one in walked]
        assert "isa" not in {one.relation for one in walked}


def test_paths_between_the_same_ends_are_one_source_so_that_no_split_holds_out_what_another_trains_on(
    tmp_path: Path,
) -> None:
    found = paths(sampled(tmp_path, read(tmp_path, TSV), SamplePaths(paths=400)))
    ends = {frozenset((path.nodes[0], path.nodes[-1])): path.source_id for path in found}
    assert all(ends[frozenset((path.nodes[0], path.nodes[-1]))] == path.source_id for path in found)
    assert len(set(ends.values())) == len(ends)


def test_the_manifest_says_what_the_paths_cover(tmp_path: Path) -> None:
    stored = sampled(tmp_path, read(tmp_path, TSV), SamplePaths(paths=90, hops=2))
    found = paths(stored)
    notes = stored.manifest.notes["coverage"]
    assert (notes["paths"], notes["nodes"], notes["reachable"]) == (90, 24, 23)
    assert notes["covered"] == len({node for path in found for node in path.nodes})
    assert notes["hops"] == {str(n): sum(path.hops == n for path in found) for n in (1, 2)}
    assert notes["distinct"] == len({path.nodes for path in found})


def test_the_bytes_do_not_depend_on_the_order_of_the_lines(tmp_path: Path) -> None:
    shuffled = "".join(reversed(TSV.splitlines(keepends=True)))
    first, second = (
        paths(sampled(tmp_path / name, read(tmp_path / name, data), SamplePaths()))
        for name, data in (("a", TSV), ("b", shuffled))
    )
    assert [path.id for path in first] == [path.id for path in second]


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"paths": 0}, "paths is 0"), ({"hops": 99}, "hops is 99"), ({"eps": -1.0}, "eps is -1.0")],
)
def test_numbers_out_of_range_are_refused_before_any_work(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamplePaths(**fields)  # type: ignore[arg-type]


def test_an_unknown_relation_to_exclude_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no relation is called 'r4'; there are: isa, r0, r1, r2"):
        sampled(tmp_path, read(tmp_path, TSV), SamplePaths(exclude=("r4",)))
