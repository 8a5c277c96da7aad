"""What pictures of graphs share: names as they are written, fonts for their letters, colours, and how files are made.

The kind of file follows from its suffix: .svg, .png, .pdf, or .html with the picture inside.
"""

from __future__ import annotations

import functools
import html
import io
import itertools
import re
import unicodedata
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashbill.disk import write_bytes
from mashbill.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf", ".html")
LONGEST = 40
"""Letters of a name, those of double width counted twice; the rest of a longer one is cut."""
INK, QUIET, LINE = "#1a1a1a", "#6b7280", "#d1d5db"
COLOURS = ("#3b6fb6", "#c2571a", "#2f855a", "#8b5aa8", "#b7313e", "#0f7f8a", "#8a6d1a", "#c2498e", "#5a6b2f", "#555b6e")
"""Told apart by most people who confuse red and green, and dark enough to be read as text on white."""

_MISSING = re.compile(r"Glyph (\d+) .*missing from (?:current )?font", re.DOTALL)
FALLBACKS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Hiragino Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "Noto Sans Devanagari",
    "Noto Emoji",
    "Symbola",
    "Segoe UI Emoji",
    "Arial Unicode MS",
)
"""Families with letters that matplotlib's own font lacks, of the usual systems; those that are there are used."""


class MissingLetters(UserWarning):
    """No font on this machine has some letters of a picture that had to be drawn."""


def text_at(
    axes: Axes, x: float, y: float, text: str, align: str, colour: str, *, weight: str = "normal", size: float = 9
) -> None:
    """A text, centred on its height; `align` is the side that stands at x."""
    # parse_math off: a name with two dollar signs is no formula.
    axes.text(
        x, y, text, ha=align, va="center", color=colour, weight=weight, fontsize=size, family=_fonts(), parse_math=False
    )


@functools.cache
def _fonts() -> list[str]:
    """The usual font, and behind it those of this machine that have what it lacks, letter by letter."""
    from matplotlib.font_manager import fontManager

    there = set(fontManager.get_font_names())
    return ["sans-serif", *(name for name in FALLBACKS if name in there)]


def cut(text: str, most: int = LONGEST) -> str:
    r"""One line of at most so many letters, with marks for what does not print.

    >>> cut("salt\tand\nlamps"), cut("saltworks", 5)
    ('salt⇥and⏎lamps', 'salt…')
    """
    line = text.replace("\t", "⇥").replace("\n", "⏎").replace("\r", "⏎")
    line = "".join(one if one.isprintable() else "�" for one in line)
    widths = list(itertools.accumulate(map(columns_of, line)))
    if not widths or widths[-1] <= most:
        return line
    return line[: sum(width < most for width in widths)] + "…"


def columns_of(letter: str) -> int:
    """How wide a letter is: 1, or 2 for those of double width."""
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def wrapped(name: str, width: int) -> list[str]:
    """A name on several lines of at most so many letters, broken at spaces and underscores."""
    import textwrap

    # At underscores too: names of ontologies have no spaces.
    spaced = cut(name, 3 * width).replace("_", "_ ")
    return [line.replace("_ ", "_") for line in textwrap.wrap(spaced, width)] or [""]


def check_suffix(path: Path) -> None:
    """Refuse a file whose suffix is no kind of picture.

    Raises:
        SettingsError: saying which are.
    """
    if path.suffix.lower() not in SUFFIXES:
        found = path.suffix or "no suffix"
        raise SettingsError(f"{path}: {found} is no kind of picture; name a file that ends in {', '.join(SUFFIXES)}")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches.

    Raises:
        SettingsError: when matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingsError("matplotlib is not installed: `pip install 'mashbill[plots]'`") from error
    return Figure(figsize=(width, height), facecolor="white")


def written(figure: Figure, path: Path, title: str) -> Path:
    """Write a figure into a file of the kind that its suffix names; the same figure is the same bytes.

    A letter that no font here has is a `MissingLetters` warning, but for kinds that leave fonts to the reader.

    Raises:
        StoreError: when the file cannot be written.
    """
    import matplotlib

    suffix = path.suffix.lower()
    kind = "svg" if suffix == ".html" else suffix[1:]
    # As text and not as outlines: it can be searched, and the reader's fonts have the letters that ours lack.
    settings: dict[str, Any] = {"svg.fonttype": "none", "svg.hashsalt": "mashbill"}
    metadata = {"svg": {"Date": None, "Title": title}, "pdf": {"CreationDate": None}}.get(kind)
    made = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught, matplotlib.rc_context(settings):
        warnings.simplefilter("always")
        figure.savefig(made, format=kind, dpi=150, metadata=metadata)
    missing = {str(one.message) for one in caught if _MISSING.match(str(one.message))}
    for one in caught:
        if str(one.message) not in missing:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if missing and kind != "svg":  # who opens an .svg has fonts of their own
        letters = "".join(chr(int(found[1])) for text in sorted(missing) if (found := _MISSING.match(text)))
        warnings.warn(
            f"{path}: no font here has {cut(letters, 20)}: in their place stand boxes; install one (Noto Sans CJK has "
            "most), or name a file that ends in .svg or .html, which use the fonts of whoever opens them",
            MissingLetters,
            stacklevel=3,
        )
    data = made.getvalue()
    if suffix == ".html":
        picture = data.decode()[data.decode().index("<svg") :]
        head = f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        data = f"{head}<body>\n{picture}</body>\n</html>\n".encode()
    write_bytes(path, data)
    return path
