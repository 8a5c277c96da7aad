"""Requests through bespokelabs-curator, in its own environment; see `benchmarks.peer_job`."""

from __future__ import annotations

import importlib.metadata
import os
from typing import Any

from peer_job import Job, prompt_of

job = Job()
os.environ |= {
    "CURATOR_CACHE_DIR": str(job.out),
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "TELEMETRY_ENABLED": "false",
    "HF_DATASETS_CACHE": str(job.out / "hf"),
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}

from bespokelabs import curator  # noqa: E402
from datasets import Dataset  # noqa: E402


class Say(curator.LLM):  # type: ignore[misc]
    """One prompt, one row."""

    def prompt(self, row: dict[str, Any]) -> str:
        """The prompt as it is."""
        return str(row["prompt"])

    def parse(self, row: dict[str, Any], response: str) -> dict[str, Any]:
        """The reply as it is."""
        return {"number": row["number"], "text": response}


def prompts(first: int, count: int) -> Dataset:
    """So many prompts as its input."""
    return Dataset.from_list([{"number": n, "prompt": prompt_of(n)} for n in range(first, first + count)])


def main() -> None:
    say = Say(
        model_name="instant",
        backend="openai",
        backend_params={
            "base_url": job.url,
            "api_key": "none",
            "max_concurrent_requests": job.flight,
            # Limits that are never met: what is measured is not its patience with a provider.
            "max_requests_per_minute": 10_000_000,
            "max_tokens_per_minute": 10_000_000_000,
            "require_all_responses": False,
        },
    )
    say(prompts(job.requests, job.warm))
    given = prompts(0, job.requests)
    job.ready()
    made = say(given).dataset  # written by it as Arrow, beside its log of responses
    job.over()
    rows = [(row["number"], row["text"]) for row in made]
    job.done(importlib.metadata.version("bespokelabs-curator"), rows)


if __name__ == "__main__":
    main()
