"""How other libraries deduplicate a folder of Parquet parts; run by their own Python, see `benchmarks.dedup`.

    {their python} benchmarks/peer_dedup.py gaoya parts/ found.json

Writes the ids that would be kept, and the processor seconds it took from Parquet to those ids, imports left out.
Each is used as its documentation shows, with word 5-grams, 128 permutations and a threshold of 0.75; of rows that are
joined the one read first is kept. None of them verifies.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
import time
from pathlib import Path
from typing import Any

THRESHOLD, PERMUTATIONS, GRAM = 0.75, 128, 5


def main(peer: str, folder: str, target: str) -> None:
    work = {"datasketch": datasketch, "gaoya": gaoya, "rensa": rensa, "text_dedup": text_dedup}
    read = importlib.import_module("pyarrow.parquet").read_table
    module = "text_dedup.minhash" if peer == "text_dedup" else peer
    importlib.import_module(module)
    begin = time.process_time()
    ids, texts = list[str](), list[str]()
    for path in sorted(Path(folder).glob("*.parquet")):
        table = read(path, columns=["id", "text"])
        ids += table.column("id").to_pylist()
        texts += table.column("text").to_pylist()
    kept = work[peer](ids, texts)
    seconds = time.process_time() - begin
    version = importlib.metadata.version(peer.replace("_", "-"))
    Path(target).write_text(json.dumps({"kept": sorted(kept), "seconds": seconds, "version": version}), "utf-8")


def grams(text: str) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[at : at + GRAM]) for at in range(max(len(words) - GRAM + 1, 1))]


def datasketch(ids: list[str], texts: list[str]) -> list[str]:
    library: Any = importlib.import_module("datasketch")
    index = library.MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    kept = []
    for name, text in zip(ids, texts, strict=True):
        sketch = library.MinHash(num_perm=PERMUTATIONS)
        sketch.update_batch([gram.encode() for gram in grams(text)])
        if not index.query(sketch):
            kept.append(name)
        index.insert(name, sketch, check_duplication=False)
    return kept


def gaoya(ids: list[str], texts: list[str]) -> list[str]:
    library: Any = importlib.import_module("gaoya.minhash")
    index = library.MinHashStringIndex(
        hash_size=32,
        jaccard_threshold=THRESHOLD,
        num_bands=21,
        band_size=6,
        analyzer="word",
        lowercase=True,
        ngram_range=(GRAM, GRAM),
    )
    index.par_bulk_insert_docs(list(range(len(ids))), texts)
    return joined(ids, [(row, other) for row, found in enumerate(index.par_bulk_query(texts)) for other in found])


def rensa(ids: list[str], texts: list[str]) -> list[str]:
    library: Any = importlib.import_module("rensa")
    matrix = library.RMinHash.digest_matrix_from_token_sets([grams(text) for text in texts], PERMUTATIONS, 42)
    index = library.RMinHashLSH(THRESHOLD, PERMUTATIONS, 16)
    flags = index.query_duplicate_flags_matrix_one_shot(matrix)
    sketches = library.RMinHash.from_token_sets(
        [grams(text) for text, flag in zip(texts, flags, strict=True) if flag], PERMUTATIONS, 42
    )
    rows = [row for row, flag in enumerate(flags) if flag]
    pairs = []
    for row, sketch in zip(rows, sketches, strict=True):
        index.insert(row, sketch)
    for row, sketch in zip(rows, sketches, strict=True):
        pairs += [(row, other) for other in index.query(sketch)]
    return joined(ids, pairs)


def text_dedup(ids: list[str], texts: list[str]) -> list[str]:
    library: Any = importlib.import_module("text_dedup.minhash")
    numpy: Any = importlib.import_module("numpy")
    prime, most = (1 << 61) - 1, (1 << 32) - 1
    bands, rows = library.optimal_param(THRESHOLD, PERMUTATIONS, 0.5, 0.5)
    draw = numpy.random.RandomState(42)
    given = {
        "num_perm": PERMUTATIONS,
        "ngram_size": GRAM,
        "min_length": GRAM,
        "hashranges": [(at * rows, (at + 1) * rows) for at in range(bands)],
        "permutations": tuple(draw.randint(low, prime, size=(PERMUTATIONS,), dtype=numpy.uint64) for low in (1, 0)),
        "hash_func": library.xxh3_32hash,
        "dtype": numpy.uint64,
        "max_hash": numpy.uint(most),
        "modulo_prime": numpy.uint(prime),
    }
    tables: list[dict[Any, int]] = [{} for _ in range(bands)]
    pairs = []
    for row, text in enumerate(texts):
        for table, key in zip(tables, library.embed_func(text, row, **given)["__signatures__"], strict=True):
            pairs.append((row, table.setdefault(key, row)))
    return joined(ids, pairs)


def joined(ids: list[str], pairs: list[tuple[int, int]]) -> list[str]:
    """The first row of each group that pairs join."""
    root = list(range(len(ids)))

    def find(row: int) -> int:
        while root[row] != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    for one, other in pairs:
        low, high = sorted((find(one), find(other)))
        root[high] = low
    return [name for row, name in enumerate(ids) if find(row) == row]


if __name__ == "__main__":
    main(*sys.argv[1:])
