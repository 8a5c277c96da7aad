"""What a proxy of a judge is worth: does it say what is true where the judge errs at a known rate, and how fast.

Passages of 300 words that this machine has. A scripted judge answers one of two questions about each by a rule (is it
running text? does it speak of licences?), and says the opposite as often as its error is. `proxy_judge` has a sample of
them judged and decides the rest. Printed are, for each question and rate of error: the proxy's agreement with the judge
on held-out rows and what it would be if it said the truth as often as it does (the two are equal where errors are not
learnt), how often the rest is decided truly, by the proxy alone and with doubts sent back, and the share of rows asked
about. Then rows a second of processor time: the proxy with each embedder, and the whole way of asking a judge that
answers at once, both in this run.

    .venv/bin/python -m benchmarks.judging --rows 4000 --sample 1000
    .venv/bin/python -m benchmarks.judging --rows 4000 --embedded 8       # and the embedded model as the judge
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.passages import passages
from filters.opinion import opinion_of
from filters.proxy_judge import ProxyJudge
from filters.rubric_file import yes_no
from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.counts import Counts
from mashbill.disk import file_digest, write_json, write_parquet
from mashbill.engine import Engine, Request, ScriptedEngine
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.proxy import Judged, fit_proxy
from mashbill.records import Document, Reject, to_table
from mashbill.runtime import Runtime
from mashbill.store import Manifest, PartEntry, Stored, part_name

PART = 1000
LICENCE = re.compile(r"\b(licen[cs]e|copyright|warrant)", re.IGNORECASE)


def letters(text: str) -> float:
    """The share of characters that are letters or spaces."""
    return sum(one.isalpha() or one == " " for one in text) / max(1, len(text))


def flips(text: str, rate: float) -> bool:
    """Whether a judge of this rate of error is wrong about a text: by its content, so asking again helps nothing."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4, key=b"wrong").digest(), "big") < rate * 2**32


def stored(folder: Path, texts: Sequence[str]) -> Stored:
    """Documents as a finished step; each passage is a source of its own."""
    rows = [Document.new(text=text) for text in texts]
    entries = []
    place = folder / "passages" / "0"
    for index, start in enumerate(range(0, len(rows), PART)):
        part = rows[start : start + PART]
        kept, rejects = place / part_name(index), place / "rejects" / part_name(index)
        write_parquet(rejects, to_table([], Reject))
        write_parquet(kept, to_table(part, Document))
        counts = Counts(read=len(part), attempts=len(part), kept=len(part))
        entries.append(
            PartEntry(name=kept.name, sha256=file_digest(kept), rejects_sha256=file_digest(rejects), counts=counts)
        )
    manifest = Manifest(
        step="passages",
        kind="Document",
        fingerprint="0",
        identity={},
        parts=tuple(entries),
        counts=sum((one.counts for one in entries), Counts()),
    )
    write_json(place / "manifest.json", manifest.model_dump(mode="json"))
    return Stored.open(place)


def judge_of(truth: Callable[[str], bool], rate: float) -> ScriptedEngine:
    """A judge that knows the truth, but for its errors."""

    def answer(request: Request) -> str:
        text = request.messages[1].content.removeprefix("<text>\n").removesuffix("\n</text>")
        return json.dumps({"reason": "", "label": "yes" if truth(text) != flips(text, rate) else "no"})

    return ScriptedEngine(answer)


async def distilled(source: Stored, step: ProxyJudge, engine: ScriptedEngine, root: Path) -> Stored:
    """The stored output of a proxy step."""
    ledger = Ledger(root / "ledger.sqlite")
    try:
        async with Asker(engine, ledger) as asker:
            return await execute(step, source, Runtime(root=root, asker=asker))
    finally:
        await ledger.close()


def judged_rows(made: Stored) -> dict[str, tuple[bool, bool]]:
    """Text -> whether it was kept, and whether the judge was asked."""
    found = {}
    for index in range(len(made)):
        for kept, table in ((True, made.table(index)), (False, made.rejects(index))):
            for row in table.select(["text", "scores"]).to_pylist():
                scores = {one["name"]: one["value"] for one in row["scores"]}
                found[row["text"]] = kept, bool(scores.get("judge_asked"))
    return found


def accuracy_row(
    texts: Sequence[str], source: Stored, truth: Callable[[str], bool], rate: float, sample: int, embedder: str
) -> dict[str, Any]:
    """The figures of one question at one rate of error."""
    figures: dict[str, Any] = {}
    for name, share in (("proxy alone", 0.0), ("with doubts", 0.1)):
        step = ProxyJudge(
            instruction="?", engine="main", sample=sample, most_escalated=share, embedder=embedder, least_kappa=-1.0
        )
        with tempfile.TemporaryDirectory() as place:
            engine = judge_of(truth, rate)
            made = asyncio.run(distilled(source, step, engine, Path(place)))
            rows, label = judged_rows(made), made.manifest.notes["dimensions"]["label"]
        rest = [text for text in texts if not rows[text][1]] if not share else list(texts)
        true = sum(rows[text][0] == truth(text) for text in rest) / len(rest)
        figures[name] = {"true": round(true, 4), "asked": round(len(engine.seen) / len(texts), 4)}
        figures |= {"agrees": label["accuracy"], "kappa": label.get("kappa")}
    alone = figures["proxy alone"]["true"]
    figures["agrees if errors are not learnt"] = round(alone * (1 - rate) + (1 - alone) * rate, 4)
    return figures


def speeds(texts: Sequence[str], truth: Callable[[str], bool], embedders: Sequence[str]) -> dict[str, float]:
    """Rows a second of processor time."""
    found = {}
    for embedder in embedders:
        rows = [Judged(text=text, label=str(truth(text)), source_id=str(at)) for at, text in enumerate(texts[:400])]
        proxy = fit_proxy(rows, embedder)
        count = len(texts) if embedder == "hashed_ngrams" else min(len(texts), 256)
        start = time.process_time()
        proxy.label(texts[:count])
        found[f"proxy, {embedder}"] = count / (time.process_time() - start)
    start = time.process_time()
    asyncio.run(asked(texts, judge_of(truth, 0.0)))
    found["asking a judge that answers at once"] = len(texts) / (time.process_time() - start)
    return found


async def asked(texts: Sequence[str], engine: Engine) -> int:
    """Ask about each text the durable way; how many answered."""
    rubric = yes_no("Is it running text, and not a list, a table, a licence or code?")
    with tempfile.TemporaryDirectory() as place:
        ledger = Ledger(Path(place) / "ledger.sqlite")
        async with Asker(engine, ledger) as asker:
            ask = Ask(asker, "row", "judging")
            said = await asyncio.gather(*(opinion_of(rubric, {"text": text}, ask) for text in texts))
        await ledger.close()
    return sum(one.marks["label"] is not None for one in said)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--sample", type=int, default=1000)
    parser.add_argument("--embedders", nargs="+", default=["hashed_ngrams"])
    parser.add_argument("--embedded", type=int, default=0, metavar="N", help="ask the embedded model about N passages")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    texts = passages(args.rows)
    middle = sorted(map(letters, texts))[len(texts) // 2]
    questions = {
        "running text": lambda text: letters(text) > middle,
        "licences": lambda text: bool(LICENCE.search(text)),
    }
    result: dict[str, Any] = {"rows": len(texts), "sample": args.sample}
    with tempfile.TemporaryDirectory() as place:
        source = stored(Path(place), texts)
        for question, truth in questions.items():
            for rate in (0.0, 0.1, 0.2):
                one = accuracy_row(texts, source, truth, rate, args.sample, args.embedders[0])
                result[f"{question}, judge errs {rate:.0%}"] = one
                print(f"{question}, judge errs {rate:.0%}: {json.dumps(one)}")
    result["rows a second"] = found = speeds(texts, questions["running text"], args.embedders)
    for name, rate in found.items():
        print(f"{name}: {rate:,.0f} rows a second of processor time")
    if args.embedded:
        from synth.engines.transformers import Transformers

        start = time.perf_counter()
        answered = asyncio.run(asked(texts[: args.embedded], Transformers()))
        result["embedded judge"] = {
            "rows a second": args.embedded / (time.perf_counter() - start), "answered": answered / args.embedded
        }  # fmt: skip
        print(f"the embedded model as the judge: {json.dumps(result['embedded judge'])}")
    if args.json:
        write_json(args.json, result)


if __name__ == "__main__":
    main()
