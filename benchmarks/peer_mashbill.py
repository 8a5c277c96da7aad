"""Requests through `mashbill run`: a source, a generator, the ledger, Parquet parts, a release with its card."""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks.peer_job import TEXT, Job, number_in

BILL = """
name: peers
steps: [{steps}]
sources: {{prompts: {{read_documents: {{path: prompts.jsonl}}}}}}
engine: {{openai: {{model: instant}}}}
rejects: {{share: 1.0}}
streams:
  said: {{from: prompts, generate: say}}
"""


def bill_in(folder: Path, first: int, count: int) -> Path:
    """A bill whose source has these prompts."""
    folder.mkdir(parents=True)
    lines = (json.dumps({"text": f"{TEXT} #{number}#"}) for number in range(first, first + count))
    (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    steps = Path(__file__).parent / "peer_steps"
    (folder / "bill.yaml").write_text(BILL.format(steps=steps), encoding="utf-8")
    return folder / "bill.yaml"


def main() -> None:
    job = Job()
    os.environ |= {"MASHBILL_ENGINE_URL": job.url, "MASHBILL_ENGINE_CONCURRENCY": str(job.flight)}
    from dataclasses import replace

    from flows.retry import retry_bill
    from flows.retry_change import Change
    from flows.run_bill import run_bill
    from mashbill.ask_state import AskState
    from mashbill.progress import Silent
    from mashbill.settings import Settings

    settings = replace(Settings.load(), records_in_flight=4 * job.flight)
    warm = bill_in(job.out / "warm", job.requests, job.warm)
    run_bill(warm, replace(settings, root=job.out / "warm" / "runs"), Silent())
    bill = bill_in(job.out / "work", 0, job.requests)
    job.ready()
    outcome = run_bill(bill, replace(settings, root=job.out / "work" / "runs"), Silent())
    job.over()
    rows, rejected = rows_in(outcome.releases), rejects_in(job.out / "work" / "runs" / "say")
    retried = 0
    if rejected.get("truncated"):
        # What a user does about replies that were cut off: `mashbill retry BILL --state truncated --max-tokens 2x`.
        change = Change(state=AskState.TRUNCATED, max_tokens="2x")
        again = retry_bill(bill, replace(settings, root=job.out / "work" / "runs"), Silent(), change)
        retried = len({number for number, _ in rows_in(again.releases)} - {number for number, _ in rows})
    job.done("this checkout", rows, rejected, retried)


def rows_in(release: Path | None) -> list[tuple[int, str]]:
    """What was released, by the number that each text names."""
    import polars as pl

    assert release is not None
    texts = pl.read_parquet(release / "data" / "*.parquet")["text"].to_list()
    return [(number_in(text), text) for text in texts]


def rejects_in(step: Path) -> dict[str, int]:
    """Reason -> rows that were set aside for it."""
    import polars as pl

    reasons = pl.read_parquet(step / "*" / "rejects" / "*.parquet")["reason"]
    return dict(reasons.value_counts().iter_rows())


if __name__ == "__main__":
    main()
