"""OpenTelemetry: metrics and spans of a run, sent where ``OTEL_EXPORTER_OTLP_ENDPOINT`` says; off without it.

==================================  =========  =====================================================
metric                              kind       attributes
==================================  =========  =====================================================
``gen_ai.client.operation.duration``  histogram  seconds of a reply, by provider and model
``gen_ai.client.token.usage``         histogram  tokens of a reply, by ``gen_ai.token.type``
``mashbill.asks``                     counter    by ``mashbill.engine`` and ``mashbill.state``
``mashbill.tokens``                   counter    by engine, ``kind`` and ``from`` (``engine``, ``ledger``)
``mashbill.rows``                     counter    by step, ``outcome`` (``kept``, ``rejected``) and ``reason``
``mashbill.batch.size``               histogram  requests of a call
``mashbill.asks.in_flight``           gauge      asks on their way, by engine
``mashbill.asks.queued``              gauge      of these, those that wait for a call
==================================  =========  =====================================================

A run is one span, each step one below it. Names are those of OpenTelemetry's semantic conventions for generative AI
where they have one. Nothing holds a prompt or a reply. Providers are the run's own, so a program that has set up
OpenTelemetry for itself keeps what it has.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mashbill import logs
from mashbill.ask_state import WITHOUT_REPLY, AskState
from mashbill.counts import Counts
from mashbill.engine import Reply
from mashbill.errors import SettingsError
from mashbill.store import Stored
from mashbill.usage import Usage

if TYPE_CHECKING:
    from flows.run_record import Run

ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)
LAST_WORDS = 5_000
"""Milliseconds that a run waits at its end for what it has measured to be taken: a collector that is down must not hold
it."""

log = logs.logger("telemetry")


class Telemetry:
    """The instruments of one run; is a `mashbill.progress.Progress` and a `mashbill.meter.Meter`."""

    def __init__(self, run: Run, meters: Any, tracers: Any) -> None:
        self.usages: Callable[[], Mapping[str, Usage]] = dict
        """Engine -> what it was asked by now; set by whoever has the engines."""
        self.waiting: Callable[[], Mapping[str, tuple[int, int]]] = dict
        """Engine -> asks on their way, and how many of them wait for a call."""
        self._meters, self._tracers = meters, tracers
        meter = meters.get_meter("mashbill")
        self._tracer = tracers.get_tracer("mashbill")
        self._seconds = meter.create_histogram("gen_ai.client.operation.duration", "s", "How long a reply took.")
        self._tokens = meter.create_histogram("gen_ai.client.token.usage", "{token}", "Tokens of a reply.")
        self._batch = meter.create_histogram("mashbill.batch.size", "{request}", "Requests of a call.")
        self._rows = meter.create_counter("mashbill.rows", "{row}", "Rows that steps kept and rejected.")
        meter.create_observable_counter("mashbill.asks", [self._asks], "{ask}", "Asks that ended, by state.")
        meter.create_observable_counter("mashbill.tokens", [self._all_tokens], "{token}", "Tokens of replies used.")
        meter.create_observable_gauge("mashbill.asks.in_flight", [self._in_flight], "{ask}", "Asks on their way.")
        meter.create_observable_gauge("mashbill.asks.queued", [self._queued], "{ask}", "Asks that wait for a call.")
        self._run = self._tracer.start_span(f"{run.command} {run.name}", attributes={"mashbill.run.id": run.id})
        self._steps: dict[str, Any] = {}

    def begin(self, step: str, records: int, done: int) -> None:
        """A step starts."""
        from opentelemetry.trace import set_span_in_context

        inside = set_span_in_context(self._run)
        attributes = {"mashbill.step": step, "mashbill.records": records, "mashbill.records.before": done}
        self._end_span(step)
        self._steps[step] = self._tracer.start_span(f"step {step}", context=inside, attributes=attributes)

    def advance(self, step: str, counts: Counts, usage: Usage) -> None:
        """Counts are told at the end of the step."""

    def end(self, step: str, stored: Stored, *, reused: bool) -> None:
        """The step is finished; what was made before is counted by the run that made it."""
        counts = stored.manifest.counts
        if not reused:
            self._rows.add(counts.kept, {"mashbill.step": step, "mashbill.outcome": "kept"})
            for reason, count in counts.rejected.items():
                said = {"mashbill.step": step, "mashbill.outcome": "rejected", "mashbill.reason": reason}
                self._rows.add(count, said)
        self._end_span(step, {"mashbill.rows.kept": counts.kept, "mashbill.rows.rejected": counts.rejects})

    def training(self, event: Mapping[str, object]) -> None:
        """A training is a span from its first step to its last."""
        name = str(event.get("name") or "train")
        if name not in self._steps:
            self.begin(name, int(str(event["steps"])), int(str(event["step"])) - 1)
        if event["step"] == event["steps"]:
            self._end_span(name)

    def sent(self, engine: str, requests: int) -> None:
        """A call is handed to an engine."""
        self._batch.record(requests, {"mashbill.engine": engine})

    def answered(self, engine: str, seconds: float, reply: Reply) -> None:
        """A reply came."""
        said = model_of(engine)
        self._seconds.record(seconds, said)
        self._tokens.record(reply.prompt_tokens, {**said, "gen_ai.token.type": "input"})
        self._tokens.record(reply.completion_tokens, {**said, "gen_ai.token.type": "output"})

    def close(self, error: BaseException | None = None) -> None:
        """End what is open and send what is not sent yet."""
        from opentelemetry.trace import Status, StatusCode

        for step in list(self._steps):
            self._end_span(step)
        if error is not None:
            # The type alone: a message may quote a text.
            self._run.set_status(Status(StatusCode.ERROR, type(error).__name__))
        self._run.end()
        self._tracers.force_flush(LAST_WORDS)
        self._tracers.shutdown()
        self._meters.shutdown(timeout_millis=LAST_WORDS)

    def _end_span(self, step: str, attributes: Mapping[str, int] | None = None) -> None:
        span = self._steps.pop(step, None)
        if span is not None:
            span.set_attributes(attributes or {})
            span.end()

    def _asks(self, _: object) -> Iterable[Any]:
        for engine, usage in self.usages().items():
            replied = sum(count for state, count in usage.states.items() if state not in WITHOUT_REPLY)
            states = {AskState.OK.value: usage.asks - replied, **usage.states}
            yield from (_observed(count, engine, {"mashbill.state": state}) for state, count in states.items())

    def _all_tokens(self, _: object) -> Iterable[Any]:
        for engine, usage in self.usages().items():
            new = {"prompt": usage.new_prompt_tokens, "completion": usage.new_completion_tokens}
            every = {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens}
            for kind, count in new.items():
                yield _observed(count, engine, {"mashbill.kind": kind, "mashbill.from": "engine"})
                yield _observed(every[kind] - count, engine, {"mashbill.kind": kind, "mashbill.from": "ledger"})

    def _in_flight(self, _: object) -> Iterable[Any]:
        return (_observed(every, engine, {}) for engine, (every, _queued) in self.waiting().items())

    def _queued(self, _: object) -> Iterable[Any]:
        return (_observed(queued, engine, {}) for engine, (_every, queued) in self.waiting().items())


def _observed(count: int, engine: str, attributes: Mapping[str, str]) -> Any:
    from opentelemetry.metrics import Observation

    return Observation(count, {"mashbill.engine": engine, **attributes})


def model_of(engine: str) -> dict[str, str]:
    """An engine's identity as the conventions name provider and model.

    >>> model_of("openai/qwen3-8b@2026-04-28")["gen_ai.request.model"]
    'qwen3-8b'
    """
    provider, _, model = engine.partition("/")
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model.partition("@")[0],
    }


@contextlib.contextmanager
def telemetry(run: Run, environ: Mapping[str, str] | None = None) -> Iterator[Telemetry | None]:
    """The instruments of a run while it is at work; None where no endpoint is named.

    Raises:
        SettingsError: when an endpoint is named and OpenTelemetry is not installed.
    """
    environ = os.environ if environ is None else environ
    if not any(environ.get(name) for name in ENDPOINTS) or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        yield None
        return
    with _quiet():
        made = Telemetry(run, *_providers(run))
        try:
            yield made
        except BaseException as error:
            made.close(error)
            raise
        made.close()


def _providers(run: Run) -> tuple[Any, Any]:
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but {error.name} is not installed: `pip install 'mashbill[otel]'`, "
            "or unset it"
        ) from error
    said = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "mashbill"), "mashbill.bill": run.name}
    resource = Resource.create({**said, "mashbill.run.id": run.id})
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return MeterProvider([reader], resource=resource, shutdown_on_exit=False), tracers


class _Once(logging.Handler):
    """Says in the run's log, once, that what was measured cannot be sent; the library would say it each time."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._said:
            self._said = True
            log.warning("what is measured cannot be sent: %s", record.getMessage().splitlines()[0][:200])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    top = logging.getLogger("opentelemetry")
    handler, propagated = _Once(), top.propagate
    top.addHandler(handler)
    top.propagate = False
    try:
        yield
    finally:
        top.removeHandler(handler)
        top.propagate = propagated
