"""Does EntiGraph help a student more than rewording does, and rewording more than the documents alone?

The question of arXiv 2409.07431, at a size that a laptop answers: 120 made people, a perfect scripted teacher, a
student of 0.9M weights from scratch. Half of the people have question-answer lines in training (30 % of the tokens),
and the student is asked, without any document, about the other half. The arms differ in their texts alone:

    raw          the 120 documents, again and again
    rephrase     30 rewordings of each, by `Rephrase`
    entigraph    21 pair texts, 35 triple texts and a summary of each, by `Entigraph`
    entigraph_dedup_0.1   the same after `MinhashDedup` at that Jaccard threshold within a document

with equal training tokens and about equal mentions of each fact. The texts are made by the real steps, through
`mashbill.execute`; what the teacher is assumed to write is in `benchmarks/benefit_corpus.py`. Each finished arm is
written to ``results.json``; running the same command again goes on where it stopped. A run takes some three minutes on
one idle core::

    .venv/bin/python -m benchmarks.benefit --seeds 5 --workers 2 --out runs/benefit
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from benchmarks.benefit_report import chart, curve_table, table, verdict
from benchmarks.benefit_run import MAIN_ARMS, Arm, ArmResult, Prepared, prepare, train
from mashbill.disk import write_bytes, write_json

DEDUP_ARMS = tuple(f"entigraph_dedup_{threshold}" for threshold in ("0.2", "0.1", "0.05"))
"""At the default of `MinhashDedup` within a document, 0.9, none of these texts goes; at 0.3 it is 0.1 % of them."""

TOKENS = 1_250_000
QUICK_TOKENS = 100_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and report; 0 when the expected order holds, 1 when it does not or cannot be judged."""
    options = _options(arguments)
    results = Results(options.out / "results.json")
    wanted = [Arm(name, seed, options.tokens, options.out) for seed in range(options.seeds) for name in options.arms]
    for result in _run([arm for arm in wanted if arm.key not in results.found], options.workers):
        results.add(result, options.tokens)
        print(f"{result.arm} seed {result.seed}: {result.accuracy:.3f} in {result.seconds:.0f} s", flush=True)
    found = [results.found[arm.key] for arm in wanted]
    holds, said = verdict(found)
    report = f"{table(found)}\n\n{curve_table(found)}\n\n{said}\n"
    write_bytes(options.out / "report.md", report.encode())
    chart(found, options.out / "benefit.png")
    print(f"\n{report}\n{options.out / 'benefit.png'}")
    return 0 if holds else 1


class Results:
    """Finished arms, on disk as soon as they are known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        stored = json.loads(path.read_bytes()) if path.is_file() else {}
        self.found = {key: ArmResult.model_validate(value) for key, value in stored.items()}

    def add(self, result: ArmResult, tokens: int) -> None:
        """Keep a result."""
        self.found[Arm(result.arm, result.seed, tokens, self.path.parent).key] = result
        write_json(self.path, {key: value.model_dump(mode="json") for key, value in self.found.items()})


def _run(arms: Sequence[Arm], workers: int) -> Iterator[ArmResult]:
    if workers == 1:
        for arm in arms:
            yield train(prepare(arm))
        return
    # Corpora are made here, one after the other, since arms share them; the workers only train.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(_train, prepare(arm)) for arm in arms]
        for job in as_completed(jobs):
            yield job.result()


def _train(prepared: Prepared) -> ArmResult:
    return train(prepared)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--seeds", type=int, default=5, help="seeds 0 to N-1; each has a world and a student of its own"
    )
    parser.add_argument("--tokens", type=int, default=TOKENS, help="training tokens of each arm")
    parser.add_argument("--arms", type=lambda text: text.split(","), default=[*MAIN_ARMS, *DEDUP_ARMS])
    parser.add_argument("--workers", type=int, default=1, help="students trained at once, one core each")
    parser.add_argument("--out", type=Path, default=Path("runs/benefit"))
    parser.add_argument(
        "--quick", action="store_true", help="one seed of the main arms, too short to learn: a smoke test"
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.arms if name not in MAIN_ARMS and not name.startswith("entigraph_dedup_")]
    if unknown:
        parser.error(f"no arm {unknown[0]}; take {', '.join(MAIN_ARMS)}, or entigraph_dedup_ and a threshold")
    if options.quick:
        options.seeds, options.tokens, options.arms = 1, QUICK_TOKENS, list(MAIN_ARMS)
    return options


if __name__ == "__main__":
    sys.exit(main())
