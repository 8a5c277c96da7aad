"""``mashbill kg``: what it prints of graphs in files, folders and stored steps, and what it says of wrong ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from mashbill.records import Triple
from tests.support.kernel import store

TSV = (
    "salt\tmade_by\tOra [red]Venn[/red]\nsalt\tsold_in\tVeylund\nVeylund\tpart_of\tcoast\nsalt\tisa\tmineral\nx\tr\ty\n"
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MASHBILL_ROOT", raising=False)
    monkeypatch.setenv("COLUMNS", "150")
    (tmp_path / "g.tsv").write_text(TSV, encoding="utf-8")
    (tmp_path / "t.tsv").write_text("Salt\tmineral\n", encoding="utf-8")


def said(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["kg", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_stats_are_the_numbers_of_the_graph() -> None:
    lines = said("stats", "g.tsv").stdout.splitlines()
    facts = {line[:14].strip(): line[14:].strip() for line in lines[:5]}
    assert facts["nodes"].startswith("7, 0 of them joined to no other")
    assert facts["edges"].startswith("5, 0 of them parallel to another, 0 loops")
    assert facts["parts"] == "2, the largest of 5 nodes"
    assert any(line.split() == ["isa", "1", "inverse", "of", "isa", "yes"] for line in lines)


def test_a_node_is_shown_with_its_relations_both_ways_and_no_markup(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("Veylund\tplace\n")
    shown = said("show", "g.tsv", "Veylund", "--tags", "t.tsv").stdout
    assert "Veylund place" in shown
    assert "→ part_of → coast" in shown
    assert "← sold_in ← salt" in shown
    assert "→ made_by → Ora [red]Venn[/red]" in said("show", "g.tsv", "salt").stdout
    assert "→ made_by → 1\n" in said("show", "g.tsv", "salt", "-n", "0").stdout


def test_the_shortest_way_is_said_in_the_direction_it_is_walked() -> None:
    shown = said("path", "g.tsv", "coast", "mineral").stdout
    assert shown.startswith("3 hops; the only way shown")
    assert "→ inverse of part_of → Veylund  (Veylund part_of coast)" in shown
    assert "→ inverse of sold_in → salt" in shown
    assert shown.rstrip().endswith("→ isa → mineral")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("path", "g.tsv", "salt", "x"), "no way leads from 'salt' to 'x': they lie in parts that no edge joins"),
        (("path", "g.tsv", "salt", "mineral", "--exclude", "isa"), "no way leads"),
        (("path", "g.tsv", "salt", "mineral", "--exclude", "is_a"), "no relation is called 'is_a' (did you mean isa?)"),
        (("path", "g.tsv", "salt", "salt"), "'salt' is both ends; name two nodes"),
        (("show", "g.tsv", "Salt"), "no node is called 'Salt'; did you mean 'salt'?"),
        (("stats", "none.tsv"), "none.tsv: no such file of triples"),
        (("stats", "triples"), "triples: no such file or folder, and no stored step: nothing is stored under runs"),
        (("store", "g.tsv", "g.tsv"), "g.tsv: is no folder"),
        (("show", "g.tsv", "hospital"), "no node is called 'hospital'; names look like"),
        (("stats", "g.tsv", "--columns", "a,b"), "--columns is 'a,b'; wanted three names with commas between"),
        (("stats", "g.tsv", "--columns", "salt,made,x"), "g.tsv:1: has no column 'made' (did you mean made_by?)"),
        (("stats", "g.tsv", "--tags", "none.tsv"), "none.tsv: no such file of tags"),
        (
            ("stats", "g.tsv", "--tags", "t.tsv"),
            "t.tsv: tags what is not there: no node is called 'Salt'; did you mean 'salt'",
        ),
        (("plot", "g.tsv", "salt", "--to", "x.doc"), "x.doc: .doc is no kind of picture"),
        (("coverage", "g.tsv", "--hops", "40"), "hops is 40; the longest path has 1 to 32"),
    ],
)
def test_what_is_wrong_is_said_on_one_line(arguments: tuple[str, ...], message: str) -> None:
    result = said(*arguments, code=2)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_stored_graph_and_a_stored_step_are_graphs(tmp_path: Path) -> None:
    assert said("store", "g.tsv", "G").stdout == "G: 7 nodes, 5 edges, 5 relations; 5 places of evidence\n"
    assert said("stats", "G").stdout.splitlines()[0] == said("stats", "g.tsv").stdout.splitlines()[0]
    store(tmp_path / "runs", [Triple.new(head="a", relation="r", tail="b")], step="read_triples")
    assert "→ r → b" in said("show", "read_triples", "a").stdout


def test_a_file_with_named_columns_is_read_by_them(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("to,what,from\nOra,made_by,salt\n")
    assert "→ made_by → Ora" in said("show", "c.csv", "salt", "--columns", "from,what,to").stdout


def test_a_name_over_several_lines_is_shown_on_one(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text('head,relation,tail\nsalt,"made\n\tby","Ora\nVenn"\n')
    assert "made by       1  inverse of made by" in said("stats", "c.csv").stdout
    assert "→ made by → Ora Venn" in said("show", "c.csv", "salt").stdout
    assert "→ made by → Ora Venn" in said("path", "c.csv", "salt", "Ora\nVenn").stdout


def test_evidence_is_stored_from_its_column(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("head,relation,tail,said\nsalt,made_by,Ora,Ora makes it.\n")
    shown = said("store", "c.csv", "G", "--evidence", "said").stdout
    assert shown == "G: 2 nodes, 1 edge, 1 relation; 1 place of evidence\n"
    from kg.store import evidence_of

    assert [(row["source"], row["evidence"]) for row in evidence_of(tmp_path / "G", 0)] == [
        ("c.csv:2", "Ora makes it.")
    ]


def test_pictures_are_written_where_they_were_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert said("plot", "g.tsv", "salt", "--to", "p/salt.svg").stdout == "p/salt.svg\n"
    assert (tmp_path / "p" / "salt.svg").read_text().count("made_by") >= 1
    shown = said("coverage", "g.tsv", "--paths", "50", "--hops", "1", "--to", "c.html").stdout.splitlines()
    assert shown[1].split()[:2] == ["balanced", "sources"]
    assert "1: 50" in shown[1]
    assert shown[-1] == "c.html"
    assert "<svg" in (tmp_path / "c.html").read_text()


def test_umls_is_looked_at_whole() -> None:
    if "MASHBILL_DATA" not in os.environ:
        pytest.skip("MASHBILL_DATA, the folder of umls.tsv, is not set")
    umls = str(Path(os.environ["MASHBILL_DATA"]) / "umls.tsv")
    assert said("stats", umls).stdout.startswith("nodes         135, 0 of them joined to no other")
    assert "location_of" in said("path", umls, "alga", "enzyme").stdout
    # The example of the page and of the command's help.
    assert said("path", umls, "alga", "health_care_activity").stdout.startswith("2 hops")
