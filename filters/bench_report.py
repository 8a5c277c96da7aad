"""What a decontamination reports: each set with its items, how many of them the rows had, and the rows that went.

::

    {"sets": {"gsm8k.jsonl": {"items": 500, "digest": "3f…", "items found": 2, "rows": {"bench_question": 1, …}}},
     "rows kept with 13 words in a row": 4, "nearest": [{"row": "6f1c…", "item": "gsm8k.jsonl:17", "cosine": 0.93}]}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from filters.bench import Bench
from filters.keep_order import score_of
from filters.row_texts import audited_of
from mashbill.store import Stored

NEAREST = 5
"""Rows named as the nearest to an item."""

_ITEM = r"^(.+?:\d+) (?:has|asks|stands|is)\b"
"""How each detail begins: the item's place."""


def set_report(stored: Stored, names: Sequence[str], digests: Mapping[str, str]) -> dict[str, Any]:
    """By set: its items, how many different ones were found, and the rows that went by reason."""
    items = Counter(names)
    frames = [pl.DataFrame(schema={"reason": pl.String, "detail": pl.String})]
    frames += [pl.DataFrame(pl.from_arrow(stored.rejects(at, ["reason", "detail"]))) for at in range(len(stored))]
    gone = pl.concat(frames).with_columns(item=pl.col("detail").str.extract(_ITEM))
    found: dict[str, Any] = {}
    for name in dict.fromkeys(names):
        mine = gone.filter(pl.col("item").str.starts_with(f"{name}:") | pl.col("item").str.starts_with(f"{name}/"))
        found[name] = {
            "items": items[name],
            "digest": digests[name],
            "items found": mine["item"].n_unique(),
            "rows": dict(sorted(Counter(mine["reason"].to_list()).items())),
        }
    return found


def card_lines(sets: Mapping[str, Any], words: int, notes: Mapping[str, int]) -> list[str]:
    """The report as sentences of the card."""
    lines = []
    for name, one in sets.items():
        rows = ", ".join(f"{reason} {count:,}" for reason, count in one["rows"].items())
        went = f"{sum(one['rows'].values()):,} rows went ({rows})" if rows else "no row went"
        lines.append(
            f"compared with {one['items']:,} items of {name} (digest {one['digest'][:12]}) by question, path and "
            f"{words} words in a row: {went}; {one['items found']:,} of its items were found"
        )
    lines.extend(f"{count:,} rows {what}" for what, count in notes.items())
    return lines


def nearest_rows(stored: Stored, bench: Bench, embedder: str) -> list[dict[str, Any]]:
    """The kept rows that are nearest to an item, the nearest first, each with that item."""
    scored = [pl.DataFrame(schema={"cosine": pl.Float64, "part": pl.Int64, "row": pl.Int64})]
    for part in range(len(stored)):
        frame = pl.DataFrame(pl.from_arrow(stored.table(part, ["scores"])))
        scored.append(
            frame.select(cosine=score_of("bench_similarity"), part=pl.lit(part, pl.Int64), row=pl.int_range(pl.len()))
        )
    found = []
    for cosine, part, row in (
        pl.concat(scored).sort("cosine", "part", "row", descending=[True, False, False]).head(NEAREST).iter_rows()
    ):
        rows = pl.DataFrame(pl.from_arrow(stored.table(part).slice(row, 1)))
        text = rows.select(text=audited_of(stored.kind)).fill_null("")["text"].to_list()
        item = bench.audit(embedder).nearest(text)[1][0]
        found.append({"row": rows["id"][0], "item": bench.where(int(item)), "cosine": round(cosine, 4)})
    return found
