"""Requests a second and rows through faults, beside bespokelabs-curator, distilabel and NeMo Data Designer.

    scripts/peer_envs.sh .venv-peers                     # each in an environment of its own
    .venv/bin/python -m benchmarks.peers --peers .venv-peers --json runs/peers.json

An instant server in a process of its own answers all of them in turn; prompts, replies and the number in flight are the
same. Ours is what `mashbill run` does: a source, a generator, every reply durable in the ledger before it is used,
Parquet parts, a release with its card. Each peer writes its dataset in its own way. Each is a process of its own, told
in two figures: from the first prompt to rows on disk, after a first run of some prompts has loaded everything; and the
whole process with its start and that first run. Two bare loops, aiohttp and httpx, that keep nothing show what the
machine gives. `flight` is the same for all; `best` is what each one's documentation offers for speed.

The second table is of prompts of which a share meets one fault, on its first request alone (`benchmarks.peer_server`):
how many rows are then lost, doubled, of another prompt, or kept though they were cut off. A row that is set aside is
no lost one: it has its reason and its text, and ours are then asked once more, with `mashbill retry`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.peer_job import number_in, prompt_of
from benchmarks.peer_server import SENTENCE, instant_server

OURS = "mashbill"
RUNNERS = {
    "curator": "peer_curator_llm.py",
    "distilabel": "peer_distilabel.py",
    "data_designer": "peer_data_designer.py",
}
BEST = {OURS: 128, "curator": 500, "distilabel": 500, "data_designer": 256}
"""In flight: our default; for the others more, as their pages advise for a server of one's own. Distilabel has as many
in flight as one batch holds."""
WARM = 10
LONGEST = 280
"""Seconds for one run of a peer; past that it counts as not ended."""


def run(name: str, peers: Path, url: str, requests: int, flight: int) -> dict[str, Any]:
    """One run of one of them in a process of its own."""
    out = Path(tempfile.mkdtemp(prefix=f"peers-{name}-", dir=os.environ.get("MASHBILL_BENCH_DIR")))
    job = {"url": url, "requests": requests, "warm": WARM, "flight": flight}
    job |= {"out": str(out), "result": str(out / "result.json")}
    (out / "job.json").write_text(json.dumps(job), encoding="utf-8")
    began = time.perf_counter()
    try:
        done = subprocess.run(
            [*command_of(name, peers), str(out / "job.json")],
            env=os.environ | offline_tokens(peers),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LONGEST,
        )
        said = done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired:
        said = f"not ended after {LONGEST} s"
    whole = time.perf_counter() - began
    try:
        result = out / "result.json"
        if not result.is_file():
            return {"failed": said[-800:], "whole_s": whole}
        found: dict[str, Any] = json.loads(result.read_text("utf-8"))
        return found | {"whole_s": whole}
    finally:
        shutil.rmtree(out, ignore_errors=True)


def command_of(name: str, peers: Path) -> list[str]:
    if name == OURS:
        return [sys.executable, "-m", "benchmarks.peer_mashbill"]
    return [str(peers / name / "bin" / "python"), str(Path(__file__).parent / RUNNERS[name])]


def offline_tokens(peers: Path) -> dict[str, str]:
    """Token tables for those that would fetch them: litellm brings them along."""
    found = next(peers.glob("*/lib/python*/site-packages/litellm/litellm_core_utils/tokenizers"), None)
    return {} if found is None else {"TIKTOKEN_CACHE_DIR": str(found)}


async def bare(url: str, requests: int, flight: int, client: str) -> float:
    """Requests a second of a loop that keeps nothing."""
    if client == "httpx":
        import httpx

        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=flight), timeout=60) as session:

            async def ask(body: dict[str, Any]) -> Any:
                return (await session.post(url + "/chat/completions", json=body)).json()

            return await paced(ask, requests, flight)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as aio:

        async def ask(body: dict[str, Any]) -> Any:
            async with aio.post(url + "/chat/completions", json=body) as response:
                return await response.json()

        return await paced(ask, requests, flight)


async def paced(ask: Callable[[dict[str, Any]], Any], requests: int, flight: int) -> float:
    numbers = iter(range(requests))

    async def worker() -> None:
        for number in numbers:
            body = {"model": "instant", "messages": [{"role": "user", "content": prompt_of(number)}], "max_tokens": 512}
            assert number_in((await ask(body))["choices"][0]["message"]["content"]) == number

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(flight)))
    return requests / (time.perf_counter() - began)


def speed(found: dict[str, Any], names: Sequence[str], options: argparse.Namespace, write: Callable[[], None]) -> None:
    """Every one at both settings, in turn, the best of some rounds."""
    with instant_server() as url:
        for _ in range(options.rounds):
            for client, requests in (("aiohttp", options.requests), ("httpx", options.peer_requests)):
                rate = asyncio.run(bare(url, requests, options.flight, client))
                keep(found, f"bare {client}", {"rate": rate})
            for name in names:
                requests = options.requests if name == OURS else options.peer_requests
                for setting, flight in {"flight": options.flight, "best": BEST[name]}.items():
                    keep(found, f"{name} {setting}", told(run(name, options.peers, url, requests, flight), requests))
                    write()


def told(result: dict[str, Any], requests: int) -> dict[str, Any]:
    """Rates of one run."""
    if "failed" in result:
        return {"rate": 0.0, "failed": result["failed"]}
    kept = len({number for number, _ in result["rows"]})
    return {
        "version": result["version"],
        "rate": kept / result["run_s"],
        "whole_rate": kept / result["whole_s"],
        "cpu_ms": result["cpu_s"] / requests * 1000,
        "kept": kept,
        "requests": requests,
    }


def keep(found: dict[str, Any], name: str, one: dict[str, Any]) -> None:
    """The better of two rounds."""
    if name not in found or one["rate"] > found[name]["rate"]:
        found[name] = one
    print(f"  {name:24} {one['rate']:9,.0f}/s {one.get('failed', '')[-300:]}", file=sys.stderr, flush=True)


def faults(found: dict[str, Any], names: Sequence[str], options: argparse.Namespace, write: Callable[[], None]) -> None:
    """What each makes of prompts of which a share meets a fault."""
    for name in names:
        with instant_server(options.faults) as url:  # anew for each: a prompt meets its fault once
            result = run(name, options.peers, url, options.peer_requests, options.flight)
        found[name] = fate(result, options.peer_requests)
        print(f"  {name:24} {found[name]}", file=sys.stderr, flush=True)
        write()


def fate(result: dict[str, Any], requests: int) -> dict[str, Any]:
    """What became of the prompts."""
    if "failed" in result:
        return {"lost": requests, "failed": result["failed"]}
    rows = [(int(number), str(text)) for number, text in result["rows"]]
    times = Counter(number for number, _ in rows)
    whole = {SENTENCE.format(number=number).strip() for number in range(requests)}
    set_aside = sum(result["rejected"].values())
    return {
        "rows": len(rows),
        "set_aside": result["rejected"],
        "retried": result["retried"],
        "lost": requests - len(times) - set_aside,
        "doubled": sum(count - 1 for count in times.values()),
        "cut_off": sum(text.strip() not in whole and number_in(text) == number for number, text in rows),
        "of_another": sum(number_in(text) != number for number, text in rows),
        "run_s": result["run_s"],
    }


def render(found: dict[str, Any]) -> str:
    """Both tables."""
    rates, base = found["speed"], found["speed"].get(f"{OURS} flight", {}).get("rate", 0.0)
    lines = [f"{'':26} {'requests/s':>11} {'ours is':>8} {'with start':>11} {'cpu ms each':>12}"]
    for name, one in rates.items():
        if "failed" in one:
            lines.append(f"{name:26} {'failed':>11}   {one['failed'][-100:]!r}")
            continue
        cells = f"{one['rate']:11,.0f} {base / one['rate']:7.1f}x"
        more = f" {one['whole_rate']:11,.0f} {one['cpu_ms']:12.2f}" if "whole_rate" in one else ""
        lines.append(f"{name:26} {cells}{more}")
    lines += ["", f"{found['faults_share']:.0%} of the prompts meet a fault once, {found['peer_requests']:,} prompts"]
    heads = {"rows": 6, "lost": 6, "doubled": 8, "cut off": 8, "another’s": 10, "set aside": 10, "retried": 8, "s": 7}
    lines.append(f"{'':16} " + " ".join(f"{head:>{width}}" for head, width in heads.items()))
    for name, one in found["faults"].items():
        if "failed" in one:
            lines.append(f"{name:16} {'':>6} {one['lost']:6}  {one['failed'][-100:]!r}")
            continue
        counts = [one["rows"], one["lost"], one["doubled"], one["cut_off"], one["of_another"]]
        aside = sum(one["set_aside"].values())
        widths = (6, 6, 8, 8, 10)
        cells = " ".join(f"{count:{width}}" for count, width in zip(counts, widths, strict=True))
        lines.append(f"{name:16} {cells} {aside:10} {one['retried']:8} {one['run_s']:7.1f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), help="where scripts/peer_envs.sh built them")
    parser.add_argument("--requests", type=int, default=10_000, help="ours")
    parser.add_argument("--peer-requests", type=int, default=1_000, help="theirs, and everybody's with faults")
    parser.add_argument("--flight", type=int, default=50)
    parser.add_argument("--faults", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="", help="names, with commas between")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    options = parser.parse_args()
    there = [name for name in RUNNERS if (options.peers / name / "bin" / "python").is_file()]
    names = [name for name in (OURS, *there) if not options.only or name in options.only.split(",")]
    print(f"{', '.join(names)}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)
    found: dict[str, Any] = {"peer_requests": options.peer_requests, "faults_share": options.faults}
    found |= {"flight": options.flight, "load_before": os.getloadavg(), "cores": os.cpu_count()}
    found |= {"speed": {}, "faults": {}}

    def write() -> None:
        # As it goes: a peer may take minutes, and what was measured before is not to be lost.
        found["load_after"] = os.getloadavg()
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    if options.rounds:
        speed(found["speed"], names, options, write)
    if options.faults:
        faults(found["faults"], names, options, write)
    print(render(found))


if __name__ == "__main__":
    main()
