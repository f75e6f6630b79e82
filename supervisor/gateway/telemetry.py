"""Spans and metrics of model calls by OpenTelemetry's names for generative AI, for a collector that the user names.

Their status is Development (opentelemetry.io/docs/specs/semconv/gen-ai): all of the names stand here, nowhere else.
The library comes with the extra `otel`. Everything of it happens in a thread of its own, behind a queue of bounded
length: a collector that is slow, hangs or is not there costs a request nothing but what is told of it.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from aish.supervisor.gateway.log import log, place
from aish.supervisor.gateway.observed import ASKED, Observed

if TYPE_CHECKING:
    from collections.abc import Callable

    Record = Callable[[Observed], None]

MOST_WAITING: Final = 4096
"""Requests that wait for the thread; older ones go."""
FLUSH_S: Final = 2.0
"""How long the end of the gateway waits for the last of them."""
SELDOM_S: Final = 600.0
HINT: Final = "pip install 'aish-shell[otel]'"
_NS: Final = 1_000_000_000
_TOKENS: Final = [4.0**power for power in range(14)]
_SECONDS: Final = [0.01 * 2.0**power for power in range(14)]


class Telemetry:
    """An Observer. One per gateway, and only where the user asks for it."""

    def __init__(self) -> None:
        self._waiting: deque[Observed] = deque(maxlen=MOST_WAITING)
        self._woken = threading.Event()
        self._ending = self._over = False
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def __call__(self, observed: Observed) -> None:
        if not self._over:
            self._waiting.append(observed)
            self._woken.set()

    async def close(self, patience_s: float) -> None:
        """Send what waits, if that can be done in a moment."""
        self._ending = True
        self._woken.set()
        await asyncio.to_thread(self._thread.join, max(0.0, min(FLUSH_S, patience_s)))

    def _run(self) -> None:
        try:
            self._work()
        except ImportError:
            log("telemetry", f"{ASKED} asks for OpenTelemetry, which is not installed: {HINT}")
        except Exception as error:  # noqa: BLE001  the edge of the thread: recorded, and requests go on without it
            log("telemetry", f"it ends: {place(error)}")
        finally:
            self._over = True
            self._waiting.clear()

    def _work(self) -> None:
        """Until the gateway ends. Raises ImportError."""
        record, flush = _exporters()
        while not self._ending or self._waiting:
            self._woken.wait()
            self._woken.clear()
            while self._waiting:
                record(self._waiting.popleft())
        flush()


def missing() -> bool:
    """Whether the library is not there. Looks without loading it."""
    try:
        importlib.metadata.version("opentelemetry-sdk")
        importlib.metadata.version("opentelemetry-exporter-otlp-proto-http")
    except importlib.metadata.PackageNotFoundError:
        return True
    return False


def _exporters() -> tuple[Record, Callable[[], None]]:
    """What records a request, and what sends the rest of them. Raises ImportError. Takes a quarter of a second."""
    if missing():
        raise ImportError(HINT)
    from opentelemetry.sdk.resources import Resource

    _quieten()
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({} if named else {"service.name": "aish-gateway"})
    spans, flush_spans = _spans(resource) if _wanted("TRACES") else (_nothing, _done)
    metrics, flush_metrics = _metrics(resource) if _wanted("METRICS") else (_nothing, _done)

    def record(observed: Observed) -> None:
        spans(observed)
        metrics(observed)

    def flush() -> None:
        flush_spans()
        flush_metrics()

    return record, flush


def _wanted(signal: str) -> bool:
    return os.environ.get(f"OTEL_{signal}_EXPORTER", "otlp") != "none"


def _nothing(_: Observed) -> None:
    pass


def _done() -> None:
    pass


# --- spans ----------------------------------------------------------------------------------------------------------


def _spans(resource: object) -> tuple[Record, Callable[[], None]]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    assert isinstance(resource, Resource)
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("aish.gateway")
    propagator = TraceContextTextMapPropagator()

    def record(observed: Observed) -> None:
        span = tracer.start_span(
            f"{observed.operation} {observed.asked}",
            context=propagator.extract(observed.trace),
            kind=SpanKind.CLIENT,
            attributes=span_attributes(observed),
            start_time=round(observed.began_s * _NS),
        )
        if observed.status >= 400 or observed.status == 0:
            span.set_status(Status(StatusCode.ERROR))
        span.end(round((observed.began_s + observed.waited_s + observed.seconds) * _NS))

    return record, lambda: _flushed(provider.force_flush)


def span_attributes(observed: Observed) -> dict[str, str | int | bool]:
    """What is not known is left out."""
    usage = {
        "input_tokens": observed.input,
        "output_tokens": observed.output,
        "cache_read.input_tokens": observed.cached or None,
        "cache_creation.input_tokens": observed.written or None,
        "reasoning.output_tokens": observed.reasoning or None,
    }
    told: dict[str, str | int | bool | None] = {
        **metric_attributes(observed),
        "gen_ai.agent.id": observed.agent_id,
        "gen_ai.agent.name": observed.agent_name,
        "gen_ai.conversation.id": observed.conversation,
        "aish.usage.estimated": observed.estimated or None,
        **{f"gen_ai.usage.{name}": value for name, value in usage.items()},
    }
    return {name: value for name, value in told.items() if value is not None}


# --- metrics --------------------------------------------------------------------------------------------------------


def _metrics(resource: object) -> tuple[Record, Callable[[], None]]:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource

    assert isinstance(resource, Resource)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    meter = provider.get_meter("aish.gateway")
    tokens = meter.create_histogram(
        "gen_ai.client.token.usage", "{token}", explicit_bucket_boundaries_advisory=_TOKENS
    )
    duration = meter.create_histogram(
        "gen_ai.client.operation.duration", "s", explicit_bucket_boundaries_advisory=_SECONDS
    )
    first = meter.create_histogram(
        "gen_ai.client.operation.time_to_first_chunk", "s", explicit_bucket_boundaries_advisory=_SECONDS
    )

    def record(observed: Observed) -> None:
        attributes = metric_attributes(observed)
        for kind, count in (("input", observed.input), ("output", observed.output)):
            if count:
                tokens.record(count, {**attributes, "gen_ai.token.type": kind})
        duration.record(observed.seconds, attributes)
        if observed.first_token_s is not None:
            first.record(observed.first_token_s, attributes)

    return record, lambda: _flushed(provider.force_flush)


def metric_attributes(observed: Observed) -> dict[str, str]:
    """Of few values each: no process and no conversation is among them."""
    told = {
        "gen_ai.operation.name": observed.operation,
        "gen_ai.provider.name": observed.provider,
        "gen_ai.request.model": observed.asked,
        "gen_ai.response.model": observed.model,
        "error.type": str(observed.status) if observed.status >= 400 or observed.status == 0 else None,
    }
    return {name: value for name, value in told.items() if value is not None}


# --- its quiet ------------------------------------------------------------------------------------------------------


def _flushed(flush: Callable[[int], bool]) -> None:
    flush(round(FLUSH_S * 1000 / 2))


class _Seldom(logging.Handler):
    """What the library has to say of a collector that is not there, once in a while."""

    def __init__(self) -> None:
        super().__init__()
        self._told_s = -SELDOM_S

    def emit(self, record: logging.LogRecord) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s >= SELDOM_S:
            self._told_s = now_s
            log("telemetry", f"the collector does not take what it is sent ({record.module}.{record.funcName})")


def _quieten() -> None:
    logger = logging.getLogger("opentelemetry")
    logger.handlers, logger.propagate = [_Seldom()], False
