"""Requests through distilabel, in its own environment; see `benchmarks.peer_job`."""

from __future__ import annotations

import importlib.metadata
import os

from peer_job import Job, prompt_of

job = Job()
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(job.out / "hf"), "DISTILABEL_LOG_LEVEL": "WARNING"}

from distilabel.distiset import Distiset  # noqa: E402
from distilabel.models import OpenAILLM  # noqa: E402
from distilabel.pipeline import Pipeline  # noqa: E402
from distilabel.steps import LoadDataFromDicts  # noqa: E402
from distilabel.steps.tasks import TextGeneration  # noqa: E402


def run(first: int, count: int, name: str) -> Distiset:
    """A whole pipeline: it loads its steps in processes of their own, each time."""
    llm = OpenAILLM(model="instant", base_url=job.url, api_key="none")
    with Pipeline(name=name, cache_dir=job.out / name) as pipeline:
        data = [{"number": n, "instruction": prompt_of(n)} for n in range(first, first + count)]
        load = LoadDataFromDicts(data=data, batch_size=job.flight)
        # Requests of one batch are in flight together.
        say = TextGeneration(llm=llm, input_batch_size=job.flight, add_raw_input=False, add_raw_output=False)
        load >> say
    made = pipeline.run(use_cache=False)
    made.save_to_disk(str(job.out / f"{name}-made"))
    return made


def main() -> None:
    run(job.requests, job.warm, "warm")
    job.ready()
    made = run(0, job.requests, "work")
    job.over()
    rows = [(row["number"], row["generation"]) for row in made["default"]["train"]]
    job.done(importlib.metadata.version("distilabel"), [row for row in rows if row[1] is not None])


if __name__ == "__main__":
    main()
