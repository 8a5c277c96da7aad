"""OpenTelemetry: what arrives at a collector of our own, and that a run without one, or with one that is down, is none
the worse."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows.run_bill import run_bill
from flows.run_record import Run, runs_under
from flows.telemetry import model_of, telemetry
from mashbill.errors import EngineRefused, SettingsError
from mashbill.progress import Silent
from mashbill.settings import Settings
from tests.flows.fake_kitchen import HERE, Project, project

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

SMALL: dict[str, Any] = {"student": None, "train": None, "evaluate": None}


@dataclass
class Collector:
    """Takes what is sent to it, as an OpenTelemetry collector does over HTTP."""

    url: str = ""
    metrics: list[Any] = field(default_factory=list)
    spans: list[Any] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def take(self, path: str, body: bytes) -> None:
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        self.bodies.append(body)
        if path.endswith("/metrics"):
            self.metrics.append(ExportMetricsServiceRequest.FromString(body))
        else:
            self.spans.append(ExportTraceServiceRequest.FromString(body))

    def last(self) -> dict[str, dict[tuple[tuple[str, str], ...], Any]]:
        """Metric -> attributes -> the last point of each."""
        found: dict[str, dict[tuple[tuple[str, str], ...], Any]] = defaultdict(dict)
        for request in self.metrics:
            for metric in request.resource_metrics[0].scope_metrics[0].metrics:
                for point in getattr(metric, metric.WhichOneof("data")).data_points:
                    said = tuple(sorted((one.key, one.value.string_value) for one in point.attributes))
                    found[metric.name][said] = point
        return found

    def all_spans(self) -> list[Any]:
        return [span for request in self.spans for span in request.resource_spans[0].scope_spans[0].spans]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    taken = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import gzip

            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.take(self.path, gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    taken.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", taken.url)
    yield taken
    server.shutdown()
    server.server_close()


def settings_of(run: Project) -> Settings:
    return Settings(root=run.root, records_in_flight=2)


def by(points: dict[tuple[tuple[str, str], ...], Any], name: str) -> dict[str, int]:
    """An attribute's values -> the sum of their points."""
    found: dict[str, int] = defaultdict(int)
    for said, point in points.items():
        found[dict(said).get(name, "")] += point.as_int
    return found


def test_what_a_run_did_arrives_at_a_collector(collector: Collector, tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    run_bill(run.bill, settings_of(run), Silent())
    (done,) = runs_under(run.root)
    metrics = collector.last()
    states = by(metrics["mashbill.asks"], "mashbill.state")
    assert sum(states.values()) == done.asks == len(run.paid())
    assert states["ok"] > 0
    assert states["unparsable"] > 0
    assert by(metrics["mashbill.tokens"], "mashbill.kind") == {"prompt": 9 * done.asks, "completion": 5 * done.asks}
    assert by(metrics["mashbill.tokens"], "mashbill.from")["ledger"] == 0
    assert by(metrics["mashbill.rows"], "mashbill.reason")["length_too_few_words"] == 3
    kept = {dict(said)["mashbill.step"]: point.as_int for said, point in metrics["mashbill.rows"].items()
            if ("mashbill.outcome", "kept") in said}  # fmt: skip
    assert kept["tell_tales"] == 27
    (seconds,) = metrics["gen_ai.client.operation.duration"].values()
    assert seconds.count == done.asks
    assert seconds.sum > 0
    tokens = {dict(said)["gen_ai.token.type"]: one.sum for said, one in metrics["gen_ai.client.token.usage"].items()}
    assert tokens == {"input": 9 * done.asks, "output": 5 * done.asks}
    (batches,) = metrics["mashbill.batch.size"].values()
    assert batches.sum == done.asks
    waiting = [by(metrics[name], "mashbill.engine") for name in ("mashbill.asks.in_flight", "mashbill.asks.queued")]
    assert waiting == [{"scripted/rule": 0}] * 2, "at the end nothing is on its way"

    spans = {span.name: span for span in collector.all_spans()}
    assert set(spans) >= {"run tiny", "step tell_tales", "step length", "step exact_dedup"}
    assert {span.parent_span_id for name, span in spans.items() if name != "run tiny"} == {spans["run tiny"].span_id}
    resource = {one.key: one.value.string_value for one in collector.spans[0].resource_spans[0].resource.attributes}
    assert (resource["service.name"], resource["mashbill.run.id"]) == ("mashbill", done.id)
    assert not any(b"sold salt" in body or b"carried salt" in body for body in collector.bodies), "no text is sent"


def test_what_was_made_before_is_not_counted_again(collector: Collector, tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    run_bill(run.bill, settings_of(run), Silent())
    collector.metrics.clear()
    run_bill(run.bill, settings_of(run), Silent())
    assert "mashbill.rows" not in collector.last()


def test_a_run_that_failed_is_a_span_with_an_error_and_without_its_message(
    collector: Collector, tmp_path: Path
) -> None:
    run = project(tmp_path, **SMALL, engine={"scripted_teacher": {"refuses_after": 3}})
    with pytest.raises(EngineRefused):
        run_bill(run.bill, settings_of(run), Silent())
    spans = {span.name: span for span in collector.all_spans()}
    assert spans["run tiny"].status.message == "EngineRefused"
    assert "step tell_tales" in spans, "what was open is ended and sent"


def test_a_collector_that_is_down_costs_a_line_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    run = project(tmp_path, **SMALL)
    assert run_bill(run.bill, settings_of(run), Silent()).releases is not None
    (log,) = (run.root / "run-log").glob("*.jsonl")
    assert log.read_text().count("what is measured cannot be sent") == 1
    assert capsys.readouterr() == ("", "")


def test_a_training_is_one_span(collector: Collector) -> None:
    with telemetry(Run.now("20261201-041500-7f3a", "tiny", "run", Path("tiny.yaml"))) as measured:
        assert measured is not None
        for step in (1, 2, 3):
            measured.training({"name": "train raw", "step": step, "steps": 3})
    assert sorted(span.name for span in collector.all_spans()) == ["run tiny", "step train raw"]


def test_without_an_endpoint_nothing_of_it_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from flows.telemetry import telemetry; from flows.run_record import Run\n"
        "run = Run.now('20261201-041500-7f3a', 'tiny', 'run', Path('tiny.yaml'))\n"
        "off = {'OTEL_EXPORTER_OTLP_ENDPOINT': 'http://x', 'OTEL_SDK_DISABLED': 'true'}\n"
        "for environ in ({}, off):\n"
        "    with telemetry(run, environ) as measured: assert measured is None\n"
        "print([one for one in sys.modules if one.startswith('opentelemetry')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_an_endpoint_without_the_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.metrics", None)
    run = Run.now("20261201-041500-7f3a", "tiny", "run", Path("tiny.yaml"))
    with (
        pytest.raises(SettingsError, match=r"opentelemetry.*is not installed: `pip install 'mashbill\[otel\]'`"),
        telemetry(run, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}),
    ):
        pass


def test_the_model_of_an_engine() -> None:
    assert model_of("transformers/smollm2@5af1+{}") == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "transformers",
        "gen_ai.request.model": "smollm2",
    }
