"""Pictures: every label is there, as it is written, and none lies on another."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from kg.graph import Graph
from kg.plot import draw_neighbourhood, neighbourhood
from kg.plot_coverage import draw_coverage
from kg.plot_figure import COLOURS, MissingLetters
from kg.sample import PathSampler
from mashbill.errors import InputError, SettingsError
from tests.kg.graphs import graph, star

pytest.importorskip("matplotlib")

HOSTILE = ("<b>&amp;[red]</b>", "$x^2$ costs $5", "🧂 salt", 'say "hi"\tnow', "日本", "a" * 90)


def hostile() -> Graph:
    return graph(
        *(("the middle of it all", "re<l>$1$", name) for name in HOSTILE),
        *((name, "part_of", "the middle of it all") for name in HOSTILE[:3]),
        ("x", "part_of", "y"),
    ).with_tags({HOSTILE[0]: "<tag> $a$", HOSTILE[1]: "other"})


def texts(path: Path) -> list[str]:
    return ["".join(one.itertext()) for one in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_every_name_stands_in_the_picture_as_it_is_written(tmp_path: Path) -> None:
    shown = texts(draw_neighbourhood(hostile(), "the middle of it all", tmp_path / "g.svg"))
    for name in ("<b>&amp;[red]</b>", "$x^2$ costs $5", "🧂 salt", 'say "hi"⇥now', "日本", "re<l>$1$ →", "<tag> $a$"):
        assert name in shown
    assert "the middle of it all" in shown
    assert any(one.startswith("aaaa") and one.endswith("…") for one in shown)
    assert "y" not in shown


def test_no_label_lies_on_another_or_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    plain = Figure.savefig

    def savefig(figure: Figure, *arguments: Any, **settings: Any) -> None:
        figures.append(figure)
        plain(figure, *arguments, **settings)

    monkeypatch.setattr(Figure, "savefig", savefig)
    names = [f"{'a_rather_long_name_of_node_' * 2}{number:02d}" for number in range(60)]
    wide = graph(
        *(("hub", f"relation_{at % 9}", name) for at, name in enumerate(names)),
        *((name, "points_to", "hub") for name in names),
    ).with_tags({name: f"tag {at % 5}" for at, name in enumerate(names)})
    draw_neighbourhood(wide, "hub", tmp_path / "g.png", most=40)
    (figure,) = figures
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [one.get_window_extent(renderer) for one in figure.axes[0].texts]
    assert len(boxes) > 80
    width, height = figure.bbox.width, figure.bbox.height
    assert all(box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in boxes)
    for at, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[at + 1 :])


def test_the_legend_has_every_colour_that_is_used_and_fits(tmp_path: Path) -> None:
    names = [f"n{at:02d}" for at in range(24)]
    tags = {name: f"a tag of {at % 12:02d} and more" for at, name in enumerate(names)}
    one = graph(*(("hub", "r", name) for name in names)).with_tags(tags)
    path = draw_neighbourhood(one, "hub", tmp_path / "g.svg")
    shown = texts(path)
    named = [tag for tag in dict.fromkeys(tags.values()) if any(one.startswith(tag[:18]) for one in shown)]
    assert 1 < len(named) < 12
    assert "other tags" in shown
    # Each named tag has its colour for its two nodes and in the legend; all others are grey.
    colours = [colour for colour in COLOURS if colour in path.read_text()]
    assert len(colours) == len(named)
    few = draw_neighbourhood(graph("hub r a").with_tags({"a": "x"}), "hub", tmp_path / "f.svg")
    assert "other tags" not in texts(few)
    assert "it points to: 1 edge" in texts(few)


def test_letters_that_no_font_has_are_named_and_left_to_the_reader_of_an_svg(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    # Cuneiform: none of the fonts that are looked for has it.
    private = graph(("a", "r", "\U00012000 b"))
    with pytest.warns(MissingLetters, match=r"g\.png: no font here has .*ends in \.svg or \.html"):
        draw_neighbourhood(private, "a", tmp_path / "g.png")
    recwarn.clear()
    draw_neighbourhood(private, "a", tmp_path / "g.svg")
    assert not recwarn


def test_the_same_graph_is_the_same_picture(tmp_path: Path) -> None:
    for name in ("g.svg", "g.png", "g.html", "g.pdf"):
        first, second = (
            draw_neighbourhood(hostile(), HOSTILE[0], tmp_path / folder / name).read_bytes() for folder in "ab"
        )
        assert first == second


def test_a_web_page_holds_the_picture(tmp_path: Path) -> None:
    page = draw_neighbourhood(graph("<i>a r b"), "<i>a", tmp_path / "g.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<title>&lt;i&gt;a: what it is joined to</title>" in page
    assert page.count("<svg") == 1
    assert not re.search(r"<i>a", page)


def test_what_does_not_fit_is_counted_and_no_relation_is_left_out() -> None:
    one = graph(*(f"hub many n{number:03d}" for number in range(300)), "hub one x", "hub two y", "z in hub")
    left, right = neighbourhood(one, "hub", most=12)
    assert [(block.relation, block.edges, len(block.shown)) for block in right] == [
        ("many", 300, 10),
        ("one", 1, 1),
        ("two", 1, 1),
    ]
    assert [(block.relation, block.edges) for block in left] == [("in", 1)]
    assert [len(block.shown) for block in neighbourhood(star(50), "hub", each=3)[1]] == [3]


def test_a_node_of_more_relations_than_a_picture_holds_is_drawn(tmp_path: Path) -> None:
    one = graph(*(f"hub r{at:04d} n{at}" for at in range(1500)), *(f"hub r0000 m{at}" for at in range(9)))
    shown = texts(draw_neighbourhood(one, "hub", tmp_path / "g.svg", most=3))
    assert {"1,400 more relations →", "1,400 edges", "and 9 more", "1 edge"} <= set(shown)
    assert draw_neighbourhood(one, "hub", tmp_path / "g.png", most=3).stat().st_size > 1000


def test_numbers_stand_over_bars_that_have_room_for_them(tmp_path: Path) -> None:
    found = {}
    one = graph(*(f"n{a:02d} r n{(a + 1) % 40:02d}" for a in range(40)))
    for name in ("first", "second"):
        sampler = PathSampler(one, hops=8, seed=len(name))
        sampler.walks(5000)
        found[name] = sampler.coverage
    shown = texts(draw_coverage(found, tmp_path / "c.svg"))
    assert not any(f"{count:,}" in shown for count in found["first"].hops.values())


def test_a_hub_of_many_is_drawn(tmp_path: Path) -> None:
    assert "and 49,960 more" in texts(draw_neighbourhood(star(50_000), "hub", tmp_path / "g.svg"))


def test_coverage_is_drawn_with_its_numbers(tmp_path: Path) -> None:
    found = {}
    one = graph(*(f"n{a:02d} r n{(a * 7 + 1) % 40:02d}" for a in range(40)))
    for name in ("balanced", "uniform"):
        sampler = PathSampler(one, start="balanced" if name == "balanced" else "uniform")
        sampler.walks(80)
        found[name] = sampler.coverage
    shown = texts(draw_coverage(found, tmp_path / "c.svg"))
    for name, coverage in found.items():
        assert f"{name}: {coverage.covered} of 40 nodes, Gini {coverage.gini:.2f}" in shown
    assert "hops" in shown
    assert all(str(count) in shown for count in found["balanced"].hops.values())


def test_what_cannot_be_drawn_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"\.jpg is no kind of picture; name a file that ends in \.svg, \.png"):
        draw_neighbourhood(graph("a r b"), "a", tmp_path / "g.jpg")
    with pytest.raises(SettingsError, match="no suffix is no kind of picture"):
        draw_coverage({}, tmp_path / "g")
    with pytest.raises(InputError, match="no node is called 'A'; did you mean 'a'"):
        draw_neighbourhood(graph("a r b"), "A", tmp_path / "g.svg")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SettingsError, match=r"matplotlib is not installed: `pip install 'mashbill\[plots\]'`"):
        draw_neighbourhood(graph("a r b"), "a", tmp_path / "g.svg")
