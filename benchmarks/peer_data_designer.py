"""Requests through NeMo Data Designer, in its own environment; see `benchmarks.peer_job`."""

from __future__ import annotations

import importlib.metadata
import os

from peer_job import QUESTION, TEXT, Job

job = Job()
os.environ |= {"NEMO_TELEMETRY_ENABLED": "false", "DATA_DESIGNER_HOME": str(job.out / "home"), "INSTANT_KEY": "none"}

import data_designer.config as dd  # noqa: E402
import pandas as pd  # type: ignore[import-untyped]  # noqa: E402
from data_designer.interface import DataDesigner  # noqa: E402


def run(first: int, count: int, name: str) -> pd.DataFrame:
    """One dataset, made and read back."""
    provider = dd.ModelProvider(name="instant", endpoint=job.url, provider_type="openai", api_key="INSTANT_KEY")
    how = dd.ChatCompletionInferenceParams(max_parallel_requests=job.flight, max_tokens=512)
    model = dd.ModelConfig(alias="instant", model="instant", provider="instant", inference_parameters=how)
    config = dd.DataDesignerConfigBuilder(model_configs=[model])
    numbers = pd.DataFrame({"number": list(range(first, first + count))})
    config.with_seed_dataset(dd.DataFrameSeedSource(df=numbers))
    config.add_column(
        dd.LLMTextColumnConfig(name="text", prompt=f"{TEXT} #{{{{ number }}}}#\n\n{QUESTION}", model_alias="instant")
    )
    designer = DataDesigner(artifact_path=job.out / "artifacts", model_providers=[provider])
    designer.set_run_config(dd.RunConfig(otel_metrics_port=None, disable_early_shutdown=True))
    return designer.create(config, num_records=count, dataset_name=name).load_dataset()


def main() -> None:
    run(job.requests, job.warm, "warm")
    job.ready()
    made = run(0, job.requests, "work")
    job.over()
    rows = [(int(row.number), str(row.text)) for row in made.itertuples()]
    job.done(importlib.metadata.version("data-designer"), rows)


if __name__ == "__main__":
    main()
