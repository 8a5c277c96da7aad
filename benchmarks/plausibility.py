"""How well `plausibility` tells true triples from corrupted ones: area under the ROC curve, with intervals.

Five random splits of a graph. In each a tenth of the triples is held out and one end of each replaced at random; and a
twentieth of corrupted triples is put into the whole graph, in which each triple is scored without itself. Bootstraps
over the scored triples of all splits give the intervals.

    .venv/bin/python -m benchmarks.plausibility $MASHBILL_DATA/umls.tsv --json runs/plausibility.json
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kg.plausibility import Fit
from mashbill.disk import write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Row = tuple[str, str, str]
SPLITS = 5
BOOTSTRAPS = 200


def corrupted(rows: Sequence[Row], known: set[Row], names: Sequence[str], draw: np.random.Generator) -> list[Row]:
    """Each row with its head or its tail replaced at random, so that it is none of the known ones."""
    found = []
    for head, relation, tail in rows:
        while True:
            other = names[int(draw.integers(len(names)))]
            row = (other, relation, tail) if draw.random() < 0.5 else (head, relation, other)
            if row not in known:
                break
        found.append(row)
    return found


def scored(fit: Fit, rows: Sequence[Row]) -> Floats:
    """The score of each row."""
    heads, relations, tails = (list(column) for column in zip(*rows, strict=True))
    return fit.score(heads, relations, tails)


def fitted(rows: Sequence[Row]) -> Fit:
    """What a graph of these rows says."""
    heads, relations, tails = (list(column) for column in zip(*rows, strict=True))
    return Fit.of(heads, relations, tails)


def held_out(rows: Sequence[Row], draw: np.random.Generator) -> tuple[Floats, Floats]:
    """Scores of a tenth that the graph lacks, and of the same with one end replaced."""
    order = draw.permutation(len(rows))
    out, kept = ([rows[at] for at in part] for part in np.split(order, [len(rows) // 10]))
    fit = fitted(kept)
    return scored(fit, out), scored(fit, corrupted(out, set(rows), _names(rows), draw))


def put_in(rows: Sequence[Row], draw: np.random.Generator) -> tuple[Floats, Floats]:
    """Scores of a graph's triples and of a twentieth of wrong ones among them, each without itself."""
    chosen = draw.choice(len(rows), max(1, len(rows) // 20), replace=False)
    wrong = corrupted([rows[at] for at in chosen], set(rows), _names(rows), draw)
    fit = fitted([*rows, *wrong])
    return scored(fit, rows), scored(fit, wrong)


def _names(rows: Sequence[Row]) -> list[str]:
    return sorted({row[0] for row in rows} | {row[2] for row in rows})


def area(true: Floats, false: Floats) -> float:
    """The share of pairs in which the true one scores higher; ties count half."""
    ordered = np.sort(false)
    below = np.searchsorted(ordered, true, side="left")
    upto = np.searchsorted(ordered, true, side="right")
    return float((below + upto).mean() / 2 / len(false))


def measured(rows: Sequence[Row], task: Callable[..., tuple[Floats, Floats]]) -> dict[str, Any]:
    """The mean area over the splits, its 95 % interval, and processor seconds a split."""
    start = time.process_time()
    splits = [task(rows, np.random.default_rng(seed)) for seed in range(SPLITS)]
    seconds = (time.process_time() - start) / SPLITS
    draw = np.random.default_rng(SPLITS)
    means = [
        float(np.mean([area(draw.choice(true, len(true)), draw.choice(false, len(false))) for true, false in splits]))
        for _ in range(BOOTSTRAPS)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    mean = float(np.mean([area(true, false) for true, false in splits]))
    return {"area": mean, "low": float(low), "high": float(high), "seconds": seconds}


def main() -> None:
    """Print one line a task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph", type=Path, help="a file of tab-separated heads, relations and tails")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    lines = args.graph.read_text(encoding="utf-8").splitlines()
    found = dict.fromkeys((head, relation, tail) for head, relation, tail in (line.split("\t") for line in lines))
    result = {name: measured(list(found), task) for name, task in (("held out", held_out), ("put in", put_in))}
    for name, one in result.items():
        print(f"{name}: {one['area']:.3f} [{one['low']:.3f}, {one['high']:.3f}], {one['seconds']:.2f} s a split")
    if args.json:
        write_json(args.json, {"graph": args.graph.name, "triples": len(found), **result})


if __name__ == "__main__":
    main()
