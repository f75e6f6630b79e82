"""The simulated provider as a server: sockets in, replies out, byte for byte as the faults have them.

POST /v1/chat/completions  /v1/completions  /v1/embeddings  /v1/responses  /v1/messages  /v1/messages/count_tokens
GET  /v1/models
with `engine` "llama.cpp" also /props, /health, /tokenize and /v1/chat/completions/input_tokens
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Final

from aish.plugins.simprovider import anthropic, openai, responses, said, script
from aish.plugins.simprovider.faults import FAULTS
from aish.plugins.simprovider.faults.fault import NONE, Fault
from aish.plugins.simprovider.reply import SSE, Reply, encoded
from aish.plugins.simprovider.said import Event, Said
from aish.plugins.simprovider.script import Body, Script

LLAMACPP: Final = "llama.cpp"
MAX_HEAD_BYTES: Final = 64 << 10
_RST: Final = struct.pack("ii", 1, 0)


@dataclass(slots=True, frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    """Names in small letters."""
    body: bytes

    @property
    def fields(self) -> Body:
        """Raises ValueError."""
        found = json.loads(self.body)
        if not isinstance(found, dict):
            raise ValueError("not an object")
        return found


class _Reader(asyncio.StreamReader):
    """One that says when the client is gone, without reading what else it may have sent."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.gone.set()


@dataclass
class Provider:
    """Serves on listening sockets. What it saw stands in `requests`; `busy` requests are under way, `open`
    connections are open. `changed` is told of every change."""

    engine: str = ""
    context: int = 4096
    slots: int = 64
    told: dict[str, str] = field(default_factory=dict)
    """Further headers of every answer: those of usage windows, say."""
    requests: list[Request] = field(default_factory=list)
    busy: int = 0
    open: int = 0
    aborted: int = 0
    """Requests whose client went away before the reply was written."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    _befallen: Counter[str] = field(default_factory=Counter)
    """How often a fault of these words has come."""
    _stored: dict[object, int] = field(default_factory=dict)
    """Responses that others may go on from, and their tokens."""

    async def serve(self, sock: socket.socket) -> asyncio.Server:
        """On a bound socket."""

        def protocol() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(_Reader(limit=MAX_HEAD_BYTES), self._connection)

        loop = asyncio.get_running_loop()
        if sock.family == socket.AF_UNIX:
            return await loop.create_unix_server(protocol, sock=sock, backlog=1024)
        return await loop.create_server(protocol, sock=sock, backlog=1024)

    def _change(self, *, busy: int = 0, open_: int = 0, aborted: int = 0) -> None:
        with self.changed:
            self.busy += busy
            self.open += open_
            self.aborted += aborted
            self.changed.notify_all()

    # --- connections --------------------------------------------------------------------------------------------

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._change(open_=1)
        try:
            while (request := await _read(reader)) is not None:
                if not await self._exchange(request, reader, writer):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # the client went away, or spoke no HTTP
        finally:
            self._change(open_=-1)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _exchange(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether another may come."""
        with self.changed:
            self.requests.append(request)
        self._change(busy=1)
        aborted = 1
        try:
            reply = self._reply(request)
            reply.headers += self.told.items()
            writing = asyncio.ensure_future(_write(reply, writer))
            assert isinstance(reader, _Reader)
            leaving = asyncio.ensure_future(reader.gone.wait())
            try:
                await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
                if not writing.done():
                    return False
                aborted = int(writing.exception() is not None)
                return writing.exception() is None and reply.keeps
            finally:
                for task in (writing, leaving):
                    task.cancel()
                await asyncio.gather(writing, leaving, return_exceptions=True)
        finally:
            self._change(busy=-1, aborted=aborted)

    # --- answers ------------------------------------------------------------------------------------------------

    def _reply(self, request: Request) -> Reply:
        path = request.path.partition("?")[0].removeprefix("/v1")
        try:
            body = request.fields if request.method == "POST" else {}
        except ValueError:
            return _json(openai.error(400, "not a JSON object"), 400)
        match path:
            case "/chat/completions" | "/completions" | "/embeddings" | "/responses" | "/messages":
                return self._answer(path, body)
            case "/messages/count_tokens":
                return _json({"input_tokens": script.words(body)})
            case "/models":
                return _json(openai.models())
            case "/health" | "/props" | "/tokenize" | "/chat/completions/input_tokens" if self.engine == LLAMACPP:
                told = {"/health": {"status": "ok"}, "/props": openai.props(self.context, self.slots)}
                asked = {"/tokenize": openai.tokenized, "/chat/completions/input_tokens": openai.counted}
                return _json(told[path] if path in told else asked[path](body))
            case _:
                return _json(openai.error(404, f"no such path: {path}"), 404)

    def _answer(self, path: str, body: Body) -> Reply:
        asked = script.read(script.prompt(body))
        fault = self._fault(asked)
        streams = bool(body.get("stream"))
        if (fault.stream if streams else fault.whole) is None:
            fault = NONE
        streams = streams != (fault.flips and path != "/embeddings")
        answer = said.answer(asked, body)
        if path == "/responses":
            self._store(answer, body)
        if fault.said is not None:
            answer = fault.said(answer)
        if fault.error is not None:
            status, message = fault.error
            shaped = anthropic.error(status, message) if path == "/messages" else openai.error(status, message)
            reply = _json(shaped, status)
        elif streams:
            reply = _stream(path, body, answer, fault)
        else:
            reply = _whole(path, body, answer, fault)
        reply.between_s = asked.pace_s
        return fault.reply(reply) if fault.reply is not None else reply

    def _store(self, answer: Said, body: Body) -> None:
        """What goes on from an earlier response has read that, too."""
        assert isinstance(answer.input, int)
        assert isinstance(answer.output, int)
        answer.id = str(len(self._stored))
        answer.input += self._stored.get(body.get("previous_response_id"), 0)
        self._stored[f"resp_{answer.id}"] = answer.input + answer.output

    def _fault(self, asked: Script) -> Fault:
        """The fault that befalls this request."""
        if asked.first is not None:
            self._befallen[asked.text] += 1
            if self._befallen[asked.text] > asked.first:
                return NONE
        return FAULTS.get(asked.fault, NONE)


def _stream(path: str, body: Body, answer: Said, fault: Fault) -> Reply:
    events: Iterable[Event]
    match path:
        case "/messages":
            events, error = anthropic.events(answer), anthropic.told_error
        case "/responses":
            events, error = responses.events(answer), responses.told_error
        case _:
            events, error = openai.events(answer, body), openai.told_error
    if fault.told_error:
        middle = len(events) // 2
        events = [*events[:middle], error("told inside the stream")]
    if fault.events is not None:
        events = fault.events(events)
    pieces: Iterable[bytes] = [encoded(event.name, _data(event.data)) for event in events]
    if fault.sse is not None:
        pieces = fault.sse(list(pieces))
    return Reply(pieces, SSE, framing="chunked")


def _whole(path: str, body: Body, answer: Said, fault: Fault) -> Reply:
    match path:
        case "/messages":
            fields = anthropic.whole(answer)
        case "/responses":
            fields = responses.whole(answer)
        case "/embeddings":
            fields = openai.embeddings(answer, body)
        case _:
            fields = openai.whole(answer, body)
    if fault.told_error:
        message = "told with status 200"
        fields = anthropic.error(500, message) if path == "/messages" else openai.error(500, message)
    data = _data(fields)
    pieces = [data] if fault.body is None else fault.body(data)
    return Reply(pieces, framing="length" if isinstance(pieces, list) else "chunked")


def _json(fields: object, status: int = 200) -> Reply:
    return Reply([_data(fields)], status=status)


def _data(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


# --- reading and writing --------------------------------------------------------------------------------------------


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request; None at the end. Raises ValueError for what is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "chunked" in headers.get("transfer-encoding", ""):
        body = b"".join([piece async for piece in _chunks(reader)])
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, _path(target), headers, body)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass


def _path(target: str) -> str:
    """Of a target in either form: the absolute one is how a proxy is asked."""
    _, found, rest = target.partition("://")
    return "/" + rest.partition("/")[2] if found else target


async def _write(reply: Reply, writer: asyncio.StreamWriter) -> None:
    """Raises OSError once the client is gone."""
    if reply.before_s:
        await asyncio.sleep(reply.before_s)
    size = sum(map(len, reply.pieces)) if isinstance(reply.pieces, list) else None
    if reply.cut != "before the head":
        head = reply.head(size)
        writer.write(head[: len(head) // 2] if reply.cut == "in the head" else head)
    if reply.cut not in ("before the head", "in the head"):
        for number, piece in enumerate(reply.framed()):
            if number and reply.between_s:
                await asyncio.sleep(reply.between_s)
            writer.write(piece)
            await writer.drain()
        if reply.extra:
            await asyncio.sleep(reply.late_s)
            writer.write(reply.extra)
    if reply.reset:
        await writer.drain()
        await asyncio.sleep(0.02)  # what was written is to be read before the kernel throws it away
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    await writer.drain()
