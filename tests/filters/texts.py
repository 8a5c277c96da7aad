"""Texts to test on: hypothesis strategies that repeat themselves, and real text from this machine."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest
from hypothesis import strategies as st

TOKENS = [
    "the",
    "salt",
    "guild",
    "of",
    "and",
    "ß",
    "日本",
    "-",
    "•",
    "...",
    "…",
    "#",
    "e\u0301",
    "7",
    "a.b",
    "to",
    "🧂",
    "salt.",
    "[1]",
    "(...)",
    "##",
    "Read More",
    "⦿x",
    "เกลือ",
    "http://a.b/c",
    "{x}",
]
GAPS = [
    " ",
    " ",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\n\n\n",
    "\t",
    "\u00a0",
    "\u3000",
    "\u2003",
    "\x85",
    " \n \n",
    "\r\n",
    "\r",
    "\u2028",
    "\n\n\n\n",
    "\x0b",
]

repetitive = st.builds(
    lambda pairs, ends: ends[0] + "".join(token + gap for token, gap in pairs) + ends[1],
    st.lists(st.tuples(st.sampled_from(TOKENS), st.sampled_from(GAPS)), max_size=60),
    st.tuples(st.sampled_from(["", *GAPS]), st.sampled_from(["", *TOKENS])),
)
wild = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
texts = st.one_of(repetitive, wild)


def real_texts(most: int = 300) -> list[str]:
    """Texts of the machine's package documentation, or of MASHBILL_DATA when it is set."""
    folder = Path(os.environ.get("MASHBILL_DATA", "/usr/share/doc"))
    suffixes = {".txt", ".md", ".gz", ""}
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in suffixes)
    found = []
    for path in paths[:: max(len(paths) // (2 * most), 1)]:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(60_000)
        text = data.decode("utf-8", "replace").replace("\x00", "")
        if len(text) > 200:
            found.append(text)
    if not found:
        pytest.skip(f"no texts in {folder}; set MASHBILL_DATA to a folder with .txt files")
    return found[:most]


def random_text(draw: random.Random, words: int, vocabulary: int = 5000) -> list[str]:
    return [f"w{draw.randrange(vocabulary)}" for _ in range(words)]
