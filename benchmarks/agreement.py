"""How often our rule filters decide as datatrove and NeMo Curator do, on real passages, and where they differ.

Peers are oracles here and nowhere else: each lives in an environment of its own, is run by its own Python and is no
dependency. Make them anywhere and say where:

    python3 -m venv peers/datatrove && peers/datatrove/bin/pip install datatrove==0.10.1 spacy regex nltk
    python3 -m venv peers/curator && peers/curator/bin/pip install --no-deps nemo-curator==1.4.0
    peers/curator/bin/pip install loguru regex
    MASHBILL_PEERS=peers python -m benchmarks.agreement --passages 10000

A peer that is not there is skipped, and said to be. The decision compared is whether a passage stays; of each rule set
the passages decided differently are listed by their two reasons, with the first few in the JSON. Exits with 1 where
less than `--least` of the decisions agree.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.passages import passages
from filters.c4 import C4
from filters.curator_ratios import CuratorRatios
from filters.fineweb import Fineweb
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from mashbill.step import Filter

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Pair:
    """One of our rule sets and the peer's that it is compared with."""

    name: str
    peer: str
    theirs: str
    ours: Filter[Any]
    holds: bool = True
    """Whether it is held to `--least`; else it is shown for comparison."""


PAIRS = (
    Pair("gopher_quality", "curator", "gopher_quality", GopherQuality()),
    Pair("gopher_repetition", "curator", "gopher_repetition", GopherRepetition()),
    Pair("curator_ratios", "curator", "curator_ratios", CuratorRatios()),
    Pair("c4", "datatrove", "c4", C4()),
    Pair("fineweb, its tokens", "datatrove", "fineweb", Fineweb(words="tokens")),
    Pair(
        "gopher_quality, its tokens",
        "datatrove",
        "gopher_quality",
        GopherQuality(words="tokens", definitions="datatrove"),
    ),
    Pair(
        "gopher_repetition, its tokens",
        "datatrove",
        "gopher_repetition",
        GopherRepetition(words="tokens", definitions="datatrove"),
    ),
    Pair("fineweb, words split at white space", "datatrove", "fineweb", Fineweb(), holds=False),
    Pair(
        "gopher_quality, words split at white space",
        "datatrove",
        "gopher_quality",
        GopherQuality(definitions="datatrove"),
        holds=False,
    ),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--peers", type=Path, default=Path(os.environ.get("MASHBILL_PEERS", "peers")))
    parser.add_argument("--least", type=float, default=0.999)
    parser.add_argument("--json", type=Path, help="where to write the numbers and the differences")
    options = parser.parse_args(arguments)
    texts = passages(options.passages)
    said = {peer: decisions(peer, texts, options.peers) for peer in ("curator", "datatrove")}
    if not any(said.values()):
        print(f"no peer is installed under {options.peers}: nothing compared (see the top of this file)")
        return
    found = {f"{one.peer}: {one.name}": compared(one, texts, said[one.peer]) for one in PAIRS if said[one.peer]}
    for name, row in found.items():
        print(f"{name:<55} {row['agree']:>9.3%} agree; they keep {row['theirs']:.1%}, we keep {row['ours']:.1%}")
        for why, count in row["differences"].items():
            print(f"    {count:>5}  {why}")
    if options.json:
        versions = {peer: one["version"] for peer, one in said.items() if one}
        whole = {"passages": len(texts), "versions": versions, "pairs": found}
        options.json.write_text(json.dumps(whole, indent=1, ensure_ascii=False), "utf-8")
    held = {f"{one.peer}: {one.name}" for one in PAIRS if one.holds}
    sys.exit(any(row["agree"] < options.least for name, row in found.items() if name in held))


def decisions(peer: str, texts: Sequence[str], folder: Path) -> Mapping[str, Any]:
    """What a peer says of the texts; nothing where it is not installed."""
    python = folder / peer / "bin" / "python"
    if not python.is_file():
        print(f"{peer} is skipped: there is no {python}")
        return {}
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place) / "texts.json", Path(place) / "said.json"
        source.write_text(json.dumps(texts), "utf-8")
        # Its ties are broken by the order of a set of strings, which differs from process to process.
        env = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
        command = [str(python), str(HERE / f"peer_{peer}.py"), str(source), str(target)]
        subprocess.run([*command, *(["tokens"] if peer == "datatrove" else [])], check=True, env=env)
        return dict(json.loads(target.read_text("utf-8")))


def compared(pair: Pair, texts: Sequence[str], said: Mapping[str, Any]) -> dict[str, Any]:
    """Shares and differences of one rule set."""
    frame = pl.DataFrame({"text": texts, **({"tokens": said["tokens"]} if "tokens" in said else {})})
    hits = frame.select(**pair.ours.reasons())
    reason = hits.select(pl.coalesce(*[pl.when(name).then(pl.lit(name)) for name in hits.columns], pl.lit("")))
    ours, theirs = reason.to_series().to_list(), list(said["reasons"][pair.theirs])
    other = [at for at in range(len(texts)) if (ours[at] == "") != (theirs[at] == "")]
    whys = Counter(f"they: {theirs[at] or 'stays'}; we: {ours[at] or 'stays'}" for at in other)
    return {
        "agree": 1 - len(other) / max(len(texts), 1),
        "theirs": theirs.count("") / max(len(texts), 1),
        "ours": ours.count("") / max(len(texts), 1),
        "differences": dict(whys.most_common(8)),
        "first": [texts[at][:400] for at in other[:5]],
    }


if __name__ == "__main__":
    main()
