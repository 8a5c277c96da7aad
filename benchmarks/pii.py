"""How much personal data the rules find of a gold set, how much of what they find is some, and how fast they look.

    python -m benchmarks.pii --passages 4000 --json runs/pii.json

The gold set (`benchmarks/pii_gold.txt`) was written for these rules by the same hands, hard cases on both sides, so its
figures say which forms are known and not what a corpus will give. Something found counts when it covers the same
characters, but for two at each end. Speed is beside datatrove's formatter (e-mail and public IPv4 alone) in the same
run where it is installed, one core, processor time.
"""

from __future__ import annotations

import argparse
import random
import re
import string
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from benchmarks.passages import passages
from filters.pii_found import found_in
from filters.pii_kinds import KINDS, Span, spans_in
from mashbill.disk import write_json

GOLD = Path(__file__).with_name("pii_gold.txt")
LETTERS = {"": string.ascii_letters + string.digits, "U": string.ascii_uppercase + "234567", "H": "0123456789abcdef"}
_MARK = re.compile(r"⟦(\w+):(.*?)⟧")
_DRAWN = re.compile(r"⟨(\d+)([UH]?)⟩")


def gold() -> Iterator[tuple[str, list[Span]]]:
    """Each text of the gold set with what should be found in it."""
    drawn = random.Random(7)
    for line in GOLD.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        marked = _DRAWN.sub(lambda found: "".join(drawn.choices(LETTERS[found[2]], k=int(found[1]))), line)
        text, spans, at = "", list[Span](), 0
        for found in _MARK.finditer(marked):
            text += marked[at : found.start()]
            spans.append(Span(found[1], len(text), len(text) + len(found[2])))
            text, at = text + found[2], found.end()
        yield text + marked[at:], spans


def measured() -> dict[str, dict[str, float]]:
    """Precision and recall of each kind."""
    right, found, there = Counter[str](), Counter[str](), Counter[str]()
    for text, spans in gold():
        there.update(span.kind for span in spans)
        for one in spans_in(text, list(KINDS)):
            found[one.kind] += 1
            right[one.kind] += any(_same(one, span) for span in spans)
    return {
        kind: {
            "gold": there[kind],
            "found": found[kind],
            "precision": right[kind] / max(found[kind], 1),
            "recall": right[kind] / max(there[kind], 1),
        }
        for kind in KINDS
    }


def _same(one: Span, other: Span) -> bool:
    return one.kind == other.kind and abs(one.start - other.start) <= 2 and abs(one.end - other.end) <= 2


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=4000)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args(arguments)
    numbers = measured()
    for kind, one in numbers.items():
        print(
            f"{kind:<6} {one['gold']:>3} in the gold set, {one['found']:>3} found: precision {one['precision']:.2f}, "
            f"recall {one['recall']:.2f}"
        )
    texts = pl.Series(passages(options.passages))
    begin = time.process_time()
    rows = found_in(texts, list(KINDS))
    rates = {"ours, all kinds": len(texts) / (time.process_time() - begin)}
    begin = time.process_time()
    found_in(texts, ["email", "ip"])
    rates["ours, email and ip"] = len(texts) / (time.process_time() - begin)
    rates |= peer(texts.to_list())
    for name, rate in rates.items():
        print(f"{name:<40} {rate:>10,.0f} passages a second")
    by_kind = Counter(span.kind for spans in rows.values() for span in spans)
    print(f"of {len(texts):,} passages {len(rows):,} have some: {dict(by_kind)}")
    if options.json:
        write_json(options.json, {"gold": numbers, "rates": rates, "passages": len(texts), "found": dict(by_kind)})


def peer(texts: Sequence[str]) -> dict[str, float]:
    """Passages a second of datatrove's formatter, where it is installed."""
    try:
        from datatrove.pipeline.formatters import PIIFormatter
    except ImportError:
        return {}
    formatter = PIIFormatter()
    begin = time.process_time()
    for text in texts:
        formatter.format(text)
    return {"datatrove, email and public IPv4": len(texts) / (time.process_time() - begin)}


if __name__ == "__main__":
    main()
