"""A model server that is scripted by its faults: real sockets, real HTTP, one step of the script per chat request."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aish.agents.invocation import command

DEADLINE_S = 60.0
Step = Callable[["Exchange"], None]


class Exchange:
    """One request that was read, and the connection to answer it on."""

    def __init__(self, server: Server, connection: socket.socket, body: dict[str, Any], head: str) -> None:
        self.server = server
        self.connection = connection
        self.body = body
        self.head = head

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def begin(self, headers: bytes = b"") -> None:
        self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n")
        self.send(headers + b"\r\n")

    def raw(self, data: bytes) -> None:
        """One HTTP chunk."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, value: object) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        self.raw(b"data: " + text.encode() + b"\n\n")

    def text(self, text: str, finish: str | None = None) -> None:
        self.event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]})

    def finish(self, finish: str = "stop", usage: tuple[int, int] | None = (7, 3)) -> None:
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        if usage:
            self.event({"choices": [], "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}})
        self.event("[DONE]")
        self.send(b"0\r\n\r\n")

    def json(self, status: int, value: object, headers: str = "") -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        kind = "application/json" if not isinstance(value, bytes) else "text/html"
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        self.send(head.encode() + body)

    def until_gone(self) -> None:
        """Wait for the client to hang up, and tell the test."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN | select.POLLRDHUP)
        if poll.poll(DEADLINE_S * 1000) and not _peek(self.connection):
            self.server.aborted.set()


def _peek(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1, socket.MSG_PEEK)
    except OSError:
        return b""


class Server:
    """`script`: what happens to each chat request in turn; when it is used up, the last step repeats."""

    def __init__(self) -> None:
        self.script: list[Step] = [says("ok")]
        self.tokens: Callable[[str], int] | None = None
        self.context_tokens: int | None = 4096
        self.waits = ""
        """What the gateway says to who asks why his request waits."""
        self.requests: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.counted: list[str] = []
        self.arrived = threading.Event()
        self.aborted = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._closing = False
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def prompts(self) -> list[str]:
        """The user message of every chat request."""
        return [request["messages"][-1]["content"] for request in self.requests]

    def close(self) -> None:
        self._closing = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._accepting.join(DEADLINE_S)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        for thread in self._threads:
            thread.join(DEADLINE_S)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            self._answer(connection)
        except OSError:
            self.aborted.set()  # a write failed: the client has hung up
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _answer(self, connection: socket.socket) -> None:
        head, body = _read_request(connection)
        if head is None:
            return
        path = head.split(" ")[1]
        if path.endswith("/aish/waits"):
            Exchange(self, connection, {}, head).json(200, {"waits": self.waits})
            return
        value = json.loads(body)
        if path.endswith("/aish/tokens"):
            exchange = Exchange(self, connection, value, head)
            self.counted.append(value["text"])
            if self.tokens is None:
                exchange.json(404, {"error": {"message": "no such path"}})
            else:
                answer = {"tokens": self.tokens(value["text"]), "exact": True, "context_tokens": self.context_tokens}
                exchange.json(200, answer)
            return
        assert path == "/v1/chat/completions", path
        with self._lock:
            self.requests.append(value)
            self.heads.append(head)
            step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.arrived.set()
        step(Exchange(self, connection, value, head))


def _read_request(connection: socket.socket) -> tuple[str | None, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None, b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    text = head.decode()
    lengths = (line.split(":")[1] for line in text.split("\r\n") if line.lower().startswith("content-length"))
    length = int(next(lengths, "0"))
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            return None, b""
        body += piece
    return text, body


# --- steps ----------------------------------------------------------------------------------------------------------


def says(*pieces: str, finish: str = "stop", usage: tuple[int, int] | None = (7, 3), headers: bytes = b"") -> Step:
    def step(exchange: Exchange) -> None:
        exchange.begin(headers)
        for piece in pieces:
            exchange.text(piece)
        exchange.finish(finish, usage)

    return step


def refuses(status: int, **error: object) -> Step:
    return lambda exchange: exchange.json(status, {"error": error})


def hangs_up(exchange: Exchange) -> None:
    """Reads the request and closes without a byte."""


def begins(exchange: Exchange) -> None:
    """A stream's first chunk, which has no word in it, and then the end of the connection."""
    exchange.begin()
    exchange.event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]})


def cuts_after(*pieces: str) -> Step:
    def step(exchange: Exchange) -> None:
        exchange.begin()
        for piece in pieces:
            exchange.text(piece)

    return step


def stalls_after(*pieces: str) -> Step:
    """Says something, then nothing more, as a slow model or a gateway that holds."""

    def step(exchange: Exchange) -> None:
        exchange.begin()
        for piece in pieces:
            exchange.text(piece)
        exchange.until_gone()

    return step


def never_ends(piece: str) -> Step:
    def step(exchange: Exchange) -> None:
        exchange.begin()
        while True:
            exchange.text(piece)

    return step


# --- the runner -----------------------------------------------------------------------------------------------------


class Bench:
    """Starts the runner as a real process against the scripted server."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": "aish-test-key",
        }

    def agent(self, text: str, name: str = "tester") -> str:
        """An agent file with this text; its path."""
        path = self.folder / f"{name}.md"
        path.write_text(text)
        return str(path)

    def words(
        self, *words: str, file: str | None = None, direct: str | None = None, model: str | None = None
    ) -> tuple[str, ...]:
        return command(words, file=file, direct_model=direct, model=model)

    def run(
        self,
        *words: str,
        file: str | None = None,
        direct: str | None = None,
        model: str | None = None,
        stdin: bytes | str = b"",
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.words(*words, file=file, direct=direct, model=model),
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            env=self.environ,
            cwd=self.folder,
            timeout=DEADLINE_S,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(
        self, *words: str, file: str | None = None, direct: str | None = None, **options: Any
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.words(*words, file=file, direct=direct), env=self.environ, cwd=self.folder, **options
        )


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def bench(server: Server, tmp_path: Path) -> Bench:
    return Bench(server, tmp_path)
