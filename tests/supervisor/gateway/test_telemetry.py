"""Spans and metrics as a collector gets them: what it is told, what it is never told, and that it holds up nobody."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aish.supervisor.gateway import observed, telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import World

DEADLINE_S = 60.0
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class Collector:
    """OTLP over HTTP, on a port of the loopback."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.metrics: dict[str, Any] = {}
        self.raw = b""
        self._changed = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path: str, body: bytes) -> None:
        with self._changed:
            self.raw += body
            if path == "/v1/traces":
                for part in ExportTraceServiceRequest.FromString(body).resource_spans:
                    self.resources.append(told(part.resource.attributes))
                    self.spans += [span for scope in part.scope_spans for span in scope.spans]
            elif path == "/v1/metrics":
                for part in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    self.metrics.update(
                        (metric.name, metric) for scope in part.scope_metrics for metric in scope.metrics
                    )
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[Collector], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), DEADLINE_S), (self.spans, self.metrics)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def told(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def asks(endpoint: str) -> dict[str, str]:
    return {
        "AISH_OTEL": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_METRIC_EXPORT_INTERVAL": "100",
    }


@pytest.fixture
def collector() -> Iterator[Collector]:
    with closing(Collector()) as made:
        yield made


def test_a_request_is_a_span_of_its_client_s_trace_and_counted(world: World, collector: Collector) -> None:
    world.gateway.environ = asks(collector.url)
    world.start()
    id, key = world.agent()
    before_s = time.time()
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-claude-code-session-id": "session-7"}
    body = {"model": "small", "messages": [{"role": "user", "content": "say 5 cached 2 SECRETWORDS"}]}
    assert world.gateway.call("/v1/chat/completions", body, key, headers)[0] == 200
    collector.wait_for(lambda it: bool(it.spans) and "gen_ai.client.token.usage" in it.metrics)
    (span,) = collector.spans
    attributes = told(span.attributes)
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "llama.cpp",
        "gen_ai.request.model": "small",
        "gen_ai.response.model": "inner",
        "gen_ai.agent.id": id,
        "gen_ai.agent.name": f"agent-{id}",
        "gen_ai.conversation.id": "session-7",
        "gen_ai.usage.input_tokens": 6,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 2,
    }
    assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("chat small", TRACE, PARENT)
    assert before_s - 1 <= span.start_time_unix_nano / 1e9 <= span.end_time_unix_nano / 1e9 <= time.time() + 1
    assert collector.resources[0]["service.name"] == "aish-gateway"
    points = collector.metrics["gen_ai.client.token.usage"].histogram.data_points
    sums = {told(point.attributes)["gen_ai.token.type"]: point.sum for point in points}
    assert sums == {"input": 6.0, "output": 5.0}
    assert collector.metrics["gen_ai.client.operation.duration"].histogram.data_points[0].count == 1
    assert "gen_ai.client.operation.time_to_first_chunk" in collector.metrics
    for secret in (b"SECRETWORDS", key.encode(), b"w w w"):
        assert secret not in collector.raw


def test_an_error_and_an_estimate_say_so(world: World, collector: Collector) -> None:
    world.gateway.environ = {**asks(collector.url), "OTEL_SERVICE_NAME": "mine"}
    world.start()
    _, key = world.agent()
    assert world.gateway.chat(key, "status 429")[0] == 429
    assert world.gateway.chat(key, "say 3 nousage")[0] == 200
    collector.wait_for(lambda it: len(it.spans) == 2)
    failed, estimated = (told(span.attributes) for span in collector.spans)
    assert failed["error.type"] == "429"
    assert collector.spans[0].status.code == 2
    assert estimated["aish.usage.estimated"] is True
    assert "error.type" not in estimated
    assert collector.resources[0]["service.name"] == "mine"


def test_what_waits_at_the_end_is_sent(world: World, collector: Collector) -> None:
    world.gateway.environ = {**asks(collector.url), "OTEL_BSP_SCHEDULE_DELAY": "60000"}
    world.start()
    _, key = world.agent()
    assert world.gateway.chat(key, "say 1")[0] == 200
    assert world.gateway.stop() == 0
    collector.wait_for(lambda it: len(it.spans) == 1)


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.slow
def test_a_collector_that_is_not_there_or_hangs_holds_up_nobody(world: World, there: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        if not there:
            deaf.close()
        world.gateway.environ = {**asks(f"http://127.0.0.1:{port}"), "OTEL_BSP_MAX_QUEUE_SIZE": "512"}
        world.start()
        id, key = world.agent()
        for _ in range(20):
            assert world.gateway.chat(key, "say 1")[0] == 200
        assert world.daemon.settled(id, 20).tokens.output == 20
        began_s = time.monotonic()
        assert world.gateway.stop() == 0
        assert time.monotonic() - began_s < 10
        told_of = [line for line in world.gateway.read_log().splitlines() if "telemetry" in line]
        assert len(told_of) <= 1, "once, and not for every request"
        assert "Traceback" not in world.gateway.read_log()


def test_without_being_asked_for_nothing_of_it_is_loaded() -> None:
    script = (
        "import sys; import aish.supervisor.gateway.gateway;"
        "print([name for name in sys.modules if name.startswith('opentelemetry') or name.endswith('.telemetry')])"
    )
    environ = {name: value for name, value in os.environ.items() if name != "AISH_OTEL"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, env=environ, check=True
    )
    assert done.stdout.strip() == "[]"


def test_only_a_clear_yes_asks_for_it() -> None:
    assert [observed.asked({"AISH_OTEL": said}) for said in ("1", "true", "0", "", "no")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert not observed.asked({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}), "it may be meant for others"


def test_a_library_that_is_missing_is_told_once_and_requests_are_dropped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(telemetry, "missing", lambda: True)
    made = telemetry.Telemetry()
    made._thread.join(DEADLINE_S)
    for _ in range(3):
        made(None)  # type: ignore[arg-type]
    assert not made._waiting
    assert capsys.readouterr().err.count("pip install 'aish-shell[otel]'") == 1


def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()
    monkeypatch.setattr(telemetry, "_exporters", lambda: (lambda _: held.wait(DEADLINE_S), lambda: None))
    made = telemetry.Telemetry()
    for _ in range(3 * telemetry.MOST_WAITING):
        made(None)  # type: ignore[arg-type]
    assert len(made._waiting) <= telemetry.MOST_WAITING
    held.set()
