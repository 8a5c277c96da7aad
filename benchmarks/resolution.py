"""How the search for doubtful pairs grows with the number of names, and what it misses.

Made-up names of one to three words from a vocabulary that grows with them, one in ten with a twin that lacks a letter.
Each size is timed in one process on processor time, and compared with the size before: 10 times the names should take
not much more than 10 times as long, and never the 100 times of comparing all with all.

    .venv/bin/python -m benchmarks.resolution --sizes 1000 10000 100000 --json runs/resolution.json
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from typing import Any

from kg.resolve_candidates import candidate_pairs
from mashbill.disk import write_json
from mashbill.embedding import load_embedder

SYLLABLES = ("ka", "to", "ren", "mi", "ves", "lo", "dra", "quen", "tal", "ber", "ost", "in", "mar", "fel", "gru", "sha")
LEAST = 0.6


def made_names(count: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Distinct names, sorted, and the planted pairs."""
    draw = random.Random(count)
    words = ["".join(draw.choices(SYLLABLES, k=draw.choice((2, 3, 3, 4)))) for _ in range(max(50, count // 4))]
    names: dict[str, None] = {}
    planted = []
    while len(names) < count:
        name = " ".join(draw.choices(words, k=draw.choice((1, 2, 2, 3))))
        names[name] = None
        at = draw.randrange(1, len(name) - 1)
        if len(name) > 8 and name[at] != " " and draw.random() < 0.1:
            twin = name[:at] + name[at + 1 :]
            names[twin] = None
            planted.append((name, twin))
    return sorted(names), planted


def measured(count: int) -> dict[str, Any]:
    """Processor seconds of embedding and of finding pairs, and the share of planted pairs found."""
    names, planted = made_names(count)
    embedder = load_embedder()
    start = time.process_time()
    vectors = embedder.embed(names)
    embedded = time.process_time()
    pairs = candidate_pairs(names, vectors, LEAST)
    end = time.process_time()
    place = {name: at for at, name in enumerate(names)}
    found = set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))
    caught = sum(tuple(sorted((place[one], place[other]))) in found for one, other in planted)
    return {
        "names": len(names),
        "embed_s": embedded - start,
        "pairs_s": end - embedded,
        "pairs": len(pairs),
        "of_all_pairs": len(pairs) / (len(names) * (len(names) - 1) / 2),
        "planted_found": caught / len(planted),
    }


def main() -> None:
    """Print one line a size, with its ratio to the size before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for size in args.sizes:
        row = measured(size)
        before = rows[-1] if rows else None
        more = (
            f"{row['names'] / before['names']:.0f}x names, {row['pairs_s'] / before['pairs_s']:.1f}x time"
            if before
            else ""
        )
        rows.append(row)
        print(
            f"{row['names']:>8} names  embed {row['embed_s']:.2f} s  pairs {row['pairs_s']:.2f} s  "
            f"{row['pairs']} found, {row['of_all_pairs']:.5%} of all  planted found {row['planted_found']:.1%}  {more}",
            flush=True,
        )
    if args.json:
        write_json(args.json, {"rows": rows})


if __name__ == "__main__":
    main()
