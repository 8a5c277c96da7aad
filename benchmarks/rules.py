"""How fast a stack of rule filters judges real passages, and how that compares with datatrove and NeMo Curator.

The same passages in the same run, one process after the other on one core, processor time. Ours is what a run does:
Arrow parts in, kept and rejected rows with reasons and all scores out. Theirs is the call of each filter on each text
and nothing else, no reading, no writing, no pipeline around it. Peers are found as `benchmarks.agreement` finds them;
one that is not there is left out.

    MASHBILL_PEERS=peers python -m benchmarks.rules --passages 4000 --json runs/rules.json

Kernels are compiled by the first call and kept on disk; what the first process of an installation waits is measured
with ``--compile``, in a cache of its own.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.agreement import decisions
from benchmarks.passages import passages
from filters.c4 import C4
from filters.chunk import chunk_of
from filters.curator_ratios import CuratorRatios
from filters.document_profile import DocumentProfile
from filters.fineweb import Fineweb
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from filters.length import Length
from filters.questions import C4Lines, Quality, Repetition
from filters.reading import read_texts
from mashbill.disk import write_json
from mashbill.filter_stack import apply_filters
from mashbill.records import Document, to_table
from mashbill.step import Filter

STACK: tuple[Filter[Any], ...] = (GopherQuality(), GopherRepetition(), Fineweb(), C4())
STACKS: dict[str, tuple[Filter[Any], ...]] = {
    "length": (Length(min_words=50),),
    "gopher_quality": (GopherQuality(),),
    "gopher_repetition": (GopherRepetition(),),
    "fineweb": (Fineweb(),),
    "c4": (C4(),),
    "curator_ratios": (CuratorRatios(),),
    "document_profile": (DocumentProfile(),),
    "gopher_quality, gopher_repetition": STACK[:2],
    "gopher_quality, gopher_repetition, fineweb, c4": STACK,
}
WHOLE, GOPHER = list(STACKS)[-1], list(STACKS)[-2]
PART = 1000
COMPILE = "from benchmarks.rules import first; first()"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path(os.environ.get("MASHBILL_PEERS", "peers")))
    parser.add_argument("--compile", action="store_true", help="measure the first process of an installation too")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args(arguments)
    texts = passages(options.passages)
    size = sum(len(text.encode()) for text in texts) / len(texts)
    print(f"{len(texts)} passages of {size:,.0f} bytes, best of {options.rounds}, one core\n")
    rates = ours(texts, options.rounds)
    for name, rate in rates.items():
        print(f"{name:<50} {rate:>10,.0f} a second, {rate * size / 1e6:>6.0f} MB/s")
    ratios = {}
    for peer in ("datatrove", "curator"):
        if said := decisions(peer, texts, options.peers):
            seconds = said["seconds"]
            same = WHOLE if peer == "datatrove" else GOPHER
            spent = seconds.get("stack") or seconds["gopher_quality"] + seconds["gopher_repetition"]
            rates[f"{peer} {said['version']}: {same}"] = len(texts) / spent
            ratios[peer] = {"same rules": rates[same] * spent / len(texts), "four": rates[WHOLE] * spent / len(texts)}
            print(f"\n{peer} {said['version']}, {same}: {len(texts) / spent:,.0f} a second")
            print(
                f"ours is {ratios[peer]['same rules']:.0f} times as fast, and with all four {ratios[peer]['four']:.0f}"
            )
    waits = compile_waits() if options.compile else {}
    for name, wait in waits.items():
        print(f"{name}: {wait:.1f} s")
    if options.json:
        write_json(options.json, {"passages": len(texts), "rates": rates, "ratios": ratios, "compile": waits})


def ours(texts: Sequence[str], rounds: int) -> dict[str, float]:
    """Passages a second of processor time of each stack, and of the kernels alone."""
    documents = [Document.new(text=text) for text in texts]
    parts = [to_table(documents[at : at + PART], Document) for at in range(0, len(documents), PART)]
    first()
    rates = {}
    for name, stack in STACKS.items():

        def judge(made: Sequence[pa.Table], stack: Sequence[Filter[Any]] = stack) -> None:
            for part in made:
                apply_filters(stack, part, Document)

        rates[name] = len(texts) / min(_seconds(functools.partial(judge, list(fresh(parts)))) for _ in range(rounds))
    quality, repetition, lines = Quality(GopherQuality().stop_words), Repetition(), C4Lines()
    arrays = [part["text"].combine_chunks().cast(pa.large_string()) for part in parts]
    rates["kernels: reading alone"] = len(texts) / min(
        _seconds(lambda: [read_texts(one) for one in arrays]) for _ in range(rounds)
    )

    def asked() -> None:
        for one in arrays:
            chunk = chunk_of(read_texts(one))
            for question in (quality, repetition, lines):
                question(chunk)

    rates["kernels: all four rule sets"] = len(texts) / min(_seconds(asked) for _ in range(rounds))
    return rates


def fresh(parts: Sequence[pa.Table]) -> Iterator[pa.Table]:
    """The parts with texts of their own bytes, so that no answer is remembered from the round before."""
    for table in parts:
        place = table.schema.get_field_index("text")
        yield table.set_column(place, table.schema.field("text"), pa.array(table["text"].to_pylist()))


def first() -> None:
    """Have every kernel compiled, or read from disk."""
    apply_filters([*STACK, CuratorRatios()], to_table([Document.new(text="Salt.\n\nFish.")], Document), Document)


def compile_waits() -> dict[str, float]:
    """Seconds until a process has every kernel: with an empty cache, and with a full one."""
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "NUMBA_CACHE_DIR": cache}
        waits = {}
        for name in ("first process, kernels compiled", "next process, kernels read from disk"):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", COMPILE], check=True, env=env)
            waits[name] = time.perf_counter() - begin
        return waits


def _seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
