"""What NeMo Curator's heuristic filters say of passages; run by its own Python, see `benchmarks.agreement`.

    {its python} benchmarks/peer_curator.py passages.json decisions.json

Writes, for each rule set, the name of the first filter that drops each passage ("" where it stays) and the seconds it
took. The filters are called as its `ScoreFilter` calls them, `score_document` and `keep_document`, and their limits are
those of its `heuristic_filter_english_pipeline.yaml`. Its package's start-up, which wants Ray, is stepped around: the
modules of the filters are loaded by themselves.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import sys
import time
import types
from pathlib import Path
from typing import Any

PACKAGES = (
    *("", ".stages", ".stages.text", ".stages.text.filters", ".stages.text.utils"),
    *(".stages.text.filters.heuristic", ".stages.text.filters.heuristic.repetition"),
)


def modules() -> tuple[Any, Any]:
    """Its modules of string and of repetition filters."""
    files = importlib.metadata.files("nemo-curator") or []
    root = Path(str(next(one for one in files if one.name == "doc_filter.py").locate())).parents[3]
    for package in PACKAGES:
        module = types.ModuleType(f"nemo_curator{package}")
        module.__path__ = [str(root.joinpath(*package.split(".")))]
        sys.modules[module.__name__] = module
    # Only an abstract base in its place there: the file itself imports the tasks of a pipeline.
    base = types.ModuleType("nemo_curator.stages.text.filters.doc_filter")
    base.DocumentFilter = DocumentFilter  # type: ignore[attr-defined]
    sys.modules[base.__name__] = base
    heuristic = "nemo_curator.stages.text.filters.heuristic"
    return importlib.import_module(f"{heuristic}.string"), importlib.import_module(f"{heuristic}.repetition.repetition")


class DocumentFilter:
    """What its filters use of their base."""

    def __init__(self) -> None:
        self._name = type(self).__name__
        self._sentences = self._paragraphs = self._ngrams = None


def rules(string: Any, repetition: Any) -> dict[str, list[Any]]:
    """Rule set -> its filters, in the order of its configuration."""
    top = ((2, 0.2), (3, 0.18), (4, 0.16))
    duplicate = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
    return {
        "gopher_quality": [
            string.SymbolsToWordsFilter(0.1),
            string.WordCountFilter(50, 100_000),
            string.WordsWithoutAlphabetsFilter(0.8),
            string.CommonEnglishWordsFilter(2, False),
            string.MeanWordLengthFilter(3, 10),
            string.EllipsisFilter(0.3),
            string.BulletsFilter(0.9),
        ],
        "gopher_repetition": [
            repetition.RepeatedLinesFilter(0.7),
            repetition.RepeatedParagraphsFilter(0.7),
            repetition.RepeatedLinesByCharFilter(0.8),
            repetition.RepeatedParagraphsByCharFilter(0.8),
            *(repetition.RepeatingTopNGramsFilter(n, limit) for n, limit in top),
            *(repetition.RepeatingDuplicateNGramsFilter(n, limit) for n, limit in duplicate),
        ],
        "curator_ratios": [
            string.NonAlphaNumericFilter(0.25),
            string.NumbersFilter(0.15),
            string.UrlsFilter(0.2),
            string.WhiteSpaceFilter(0.25),
            string.ParenthesesFilter(0.1),
            string.BoilerPlateStringFilter(True, 0.4),
            string.PunctuationFilter(0.85),
            string.LongWordFilter(1000),
        ],
    }


def main(source: str, target: str) -> None:
    texts: list[str] = json.loads(Path(source).read_text("utf-8"))
    found: dict[str, Any] = {"seconds": {}, "reasons": {}, "version": importlib.metadata.version("nemo-curator")}
    found["scores"] = {}
    for name, filters in rules(*modules()).items():
        begin = time.process_time()
        # Every score of every row, as its pipeline computes those of the rows that are left: most rows stay.
        scores = [[one.score_document(text) for one in filters] for text in texts]
        found["seconds"][name] = time.process_time() - begin
        dropped = [
            next((one._name for one, score in zip(filters, row, strict=True) if not one.keep_document(score)), "")
            for row in scores
        ]
        found["reasons"][name], found["scores"][name] = dropped, scores
        found.setdefault("names", {})[name] = [one._name for one in filters]
    Path(target).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
