"""A model server for real clients: OpenAI's dialect, and an answer of a script for each request that offers tools.
Requests without tools are a client's own (titles and the like) and have one word for answer."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

Call = tuple[str, dict[str, Any]]


class Provider:
    """`script`: words to say, or a tool to call with its arguments; the last one repeats."""

    def __init__(self, *script: str | Call) -> None:
        self.script: list[str | Call] = list(script)
        self.asked: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                self._send("application/json", json.dumps({"object": "list", "data": [{"id": "sim"}]}).encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                events = _events(provider.next(body))
                if body.get("stream"):
                    self._send("text/event-stream", b"".join(b"data: " + event + b"\n\n" for event in events))
                else:
                    self._send("application/json", _whole(events))

            def _send(self, kind: str, data: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._serving.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def next(self, body: dict[str, Any]) -> str | Call:
        with self._lock:
            self.asked.append(body)
            if not body.get("tools"):
                return "title"
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def close(self) -> None:
        self._server.shutdown()
        self._serving.join()
        self._server.server_close()


def _events(step: str | Call) -> list[bytes]:
    if isinstance(step, str):
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": word + " "} for word in step.split()]
        finish = "stop"
    else:
        called = {"name": step[0], "arguments": json.dumps(step[1])}
        deltas = [
            {"role": "assistant", "tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": called}]}
        ]
        finish = "tool_calls"
    chunks = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    chunks.append({"index": 0, "delta": {}, "finish_reason": finish})
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "sim"}
    usage = {"prompt_tokens": 7, "completion_tokens": len(deltas), "total_tokens": 7 + len(deltas)}
    events = [{**head, "choices": [chunk]} for chunk in chunks] + [{**head, "choices": [], "usage": usage}]
    return [json.dumps(event).encode() for event in events] + [b"[DONE]"]


def _whole(events: list[bytes]) -> bytes:
    parts = [json.loads(event) for event in events[:-1]]
    deltas = [part["choices"][0]["delta"] for part in parts if part["choices"]]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(part.get("content") or "" for part in deltas)}
    for delta in deltas:
        if "tool_calls" in delta:
            message["tool_calls"] = delta["tool_calls"]
    finish = parts[-2]["choices"][0]["finish_reason"]
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps(
        {**parts[0], "object": "chat.completion", "choices": [choice], "usage": parts[-1]["usage"]}
    ).encode()


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider("hello")
    yield made
    made.close()
