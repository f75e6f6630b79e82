"""Plain connections to model servers: what is a reply, what is none, when they are kept, who is told of their end.

The server writes what each test says, byte by byte if need be.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.supervisor.gateway import connection, pool
from aish.supervisor.gateway.broken import FAILURES, ClosedError, CutError, LostError, NotHttpError
from aish.supervisor.gateway.connection import HIGH_BYTES, MAX_HEAD_BYTES, head
from aish.supervisor.gateway.fields import lines
from aish.supervisor.gateway.pool import Address, Pool, address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aish.supervisor.gateway.connection import PlainReply

DEADLINE_S = 60.0
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Writer = asyncio.StreamWriter
Script = Callable[["Server", Writer], Awaitable[None]]


class Server:
    """Reads each request to its end (they have none or a short body), then lets the script answer it."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.connections = 0
        self.requests: list[bytes] = []
        self.gone = asyncio.Event()
        """A client closed its end while it was answered."""

    async def handle(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self.connections += 1
        try:
            while True:
                told = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in told.split(b"\r\n") if line.lower().startswith(b"content-length:")]
                told += await reader.readexactly(int(length[0].partition(b":")[2])) if length else b""
                self.requests.append(told)
                await self._script(self, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()


@asynccontextmanager
async def served(script: Script, idle_s: float = DEADLINE_S) -> AsyncIterator[tuple[Server, Pool, Address]]:
    made = Server(script)
    listening = await asyncio.start_server(made.handle, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    connections = Pool(idle_s)
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield made, connections, Address(f"127.0.0.1:{port}", host="127.0.0.1", port=port, numeric=True)
    finally:
        connections.close()
        listening.close()


def writes(*pieces: bytes, ends: bool = False) -> Script:
    """Each piece is a write of its own, and a read of its own at the other end, most likely."""

    async def script(_server: Server, writer: Writer) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if ends:
            writer.close()

    return script


async def ask(connections: Pool, where: Address, *, keep: bool = True, body: bytes = b"{}") -> PlainReply:
    return await connections.send(where, "POST", "/v1/x", "Accept: */*\r\n", body, keep=keep)


async def whole(reply: PlainReply) -> bytes:
    parts = []
    while data := await reply.read():
        parts.append(data)
    reply.close()
    return b"".join(parts)


def told(script: Script, *, keep: bool = True, idle_s: float = DEADLINE_S) -> tuple[int, bytes]:
    """(status, body) of one request."""

    async def play() -> tuple[int, bytes]:
        async with served(script, idle_s) as (_, connections, where):
            reply = await ask(connections, where, keep=keep)
            return reply.status, await whole(reply)

    return asyncio.run(play())


# --- replies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        (OK + b"Content-Length: 5\r\n\r\nhello",),
        (OK + b"Content-Length: 5\r\n", b"\r\nhel", b"lo"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\n\r\n",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nhe\r", b"\n3\r\nll", b"o\r\n0\r\nTrailer: x\r\n\r\n"),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nx: y\r\n\r\n" + OK,
            b"Content-Length: 5\r\n\r\nhello",
        ),
        tuple(bytes([byte]) for byte in OK + b"Content-Length: 5\r\n\r\nhello"),
    ],
)
def test_a_reply_in_all_its_forms_and_pieces(pieces: tuple[bytes, ...]) -> None:
    assert told(writes(*pieces)) == (200, b"hello")


def test_a_reply_that_ends_with_the_connection() -> None:
    assert told(writes(OK + b"\r\nhel", b"lo", ends=True)) == (200, b"hello")
    assert told(writes(b"HTTP/1.0 200 OK\r\n\r\nhello", ends=True)) == (200, b"hello")


def test_no_body_at_all() -> None:
    assert told(writes(b"HTTP/1.1 204 No Content\r\n\r\n")) == (204, b"")
    assert told(writes(OK + b"Content-Length: 0\r\n\r\n")) == (200, b"")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_an_encoding_that_nobody_asked_for(pack: Callable[[bytes], bytes]) -> None:
    text = b"word " * 1_000_000
    packed = pack(text)
    coding = b"gzip" if pack is gzip.compress else b"deflate"
    start = OK + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding, len(packed))
    assert told(writes(start + packed)) == (200, text)
    with pytest.raises(NotHttpError):
        told(writes(start + bytes(len(packed))))
    with pytest.raises(CutError):
        told(writes(OK + b"Content-Encoding: %s\r\n\r\n" % coding + packed[:-20], ends=True))


def test_headers_are_found_whatever_their_case_and_bytes() -> None:
    async def play() -> None:
        start = b"HTTP/1.1 200 OK\r\ncontent-TYPE:  Text/Event-Stream; charset=x\r\nX-Id: \xff\r\nX-Id: 2\r\n"
        async with served(writes(start + b"Content-Length: 0\r\n\r\n")) as (_, connections, where):
            reply = await ask(connections, where)
            assert reply.content_type == "text/event-stream"
            assert reply.headers.getall("x-id") == ["\udcff", "2"]

    asyncio.run(play())


# --- what is none ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 5x\r\n\r\nhello",
        OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
        OK + b"X: " + b"a" * (MAX_HEAD_BYTES + 1) + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4000,
        OK + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"e" * (MAX_HEAD_BYTES + 1),
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: x\r\n" * 20_000,
    ],
)
def test_what_is_no_http_is_refused_at_once(sent: bytes) -> None:
    """Within no time-out: the server says nothing more, and does not close."""
    with pytest.raises(NotHttpError):
        told(writes(sent))


def test_a_head_that_never_ends_is_cut() -> None:
    async def drips(_server: Server, writer: Writer) -> None:
        writer.write(OK)
        while True:
            writer.write(b"X: " + b"a" * 1000 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    with pytest.raises(NotHttpError, match="in a row"):
        told(drips)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", ClosedError),
        (b"HTTP/1.1 200", ClosedError),
        (OK + b"Content-Length: 5\r\n", ClosedError),
        (b"HTTP/1.1 100 Continue\r\n\r\n", ClosedError),
        (OK + b"Content-Length: 5\r\n\r\nhell", CutError),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", CutError),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", CutError),
        (OK + b"Transfer-Encoding: gzip\r\n\r\nhello", CutError),
    ],
)
def test_a_reply_that_is_cut_is_never_taken_for_a_whole_one(sent: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        told(writes(sent, ends=True))


def test_a_reset_is_not_the_end_of_a_reply() -> None:
    """Where the end of the connection would be."""

    async def play() -> None:
        read = asyncio.Event()

        async def resets(_server: Server, writer: Writer) -> None:
            writer.write(OK + b"\r\nhello")
            await read.wait()
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

        async with served(resets) as (_, connections, where):
            reply = await ask(connections, where)
            assert await reply.read() == b"hello"
            read.set()
            with pytest.raises(CutError):
                await reply.read()

    asyncio.run(play())


@pytest.mark.parametrize("sent", [b"", OK, OK + b"Content-Length: 5\r\n\r\nhell"])
def test_silence_ends(sent: bytes) -> None:
    with pytest.raises(TimeoutError):
        told(writes(sent), idle_s=0.2)


def test_what_comes_slowly_but_comes_is_not_silence() -> None:
    async def slow(_server: Server, writer: Writer) -> None:
        for byte in OK + b"Content-Length: 5\r\n\r\nhello":
            writer.write(bytes([byte]))
            await asyncio.sleep(0.01)

    assert told(slow, idle_s=0.25) == (200, b"hello")


# --- requests -------------------------------------------------------------------------------------------------------


def test_what_is_sent() -> None:
    async def play() -> None:
        async with served(writes(OK + b"Content-Length: 0\r\n\r\n")) as (server, connections, where):
            for keep in (True, False):
                await ask(connections, where, keep=keep, body=b'{"a":1}')
            await connections.send(where, "GET", "/v1/models", "", None, keep=True)
            kept, closed, get = server.requests
            start = b"POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\n" % where.port
            assert kept == start + b'Content-Length: 7\r\n\r\n{"a":1}'
            assert closed == start + b'Connection: close\r\nContent-Length: 7\r\n\r\n{"a":1}'
            assert get == b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % where.port

    asyncio.run(play())


@pytest.mark.parametrize(
    ("target", "host", "headers"),
    [
        ("/a b", "h", {}),
        ("/a\r\nX: y", "h", {}),
        ("a", "h", {}),
        ("/é", "h", {}),
        ("/a", "h\r\nX: y", {}),
        ("/a", "h", {"X": "a\r\nY: b"}),
        ("/a", "h", {"X": "a\n"}),
        ("/a", "h", {"X\r\nY": "a"}),
        ("/a", "h", {"X:": "a"}),
        ("/a", "h", {"": "a"}),
        ("/a", "h", {"X": "\0"}),
    ],
)
def test_nothing_is_smuggled_into_a_request(target: str, host: str, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not a"):
        head("POST", target, host, lines(headers), 1, keep=True)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("unix:/run/a.sock", Address("localhost", path="/run/a.sock")),
        ("http://127.0.0.1:8000/v1", Address("127.0.0.1:8000", host="127.0.0.1", port=8000, numeric=True)),
        ("http://[::1]:8/v1/", Address("[::1]:8", host="::1", port=8, numeric=True)),
        ("http://inner.example", Address("inner.example", host="inner.example")),
        ("https://127.0.0.1/v1", None),
        ("http://user:word@h/v1", None),
        ("http://h/v1?a=b", None),
        ("http://h/v1#a", None),
        ("http://h/a b", None),
        ("http://h:99999/v1", None),
        ("http://häuser/v1", None),
        ("http:///v1", None),
    ],
)
def test_addresses(url: str, found: Address | None) -> None:
    assert address(url) == found


# --- keeping --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "keep", "connections_made"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", True, 1),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", True, 1),
        (OK + b"Content-Length: 5\r\n\r\nhello", False, 3),
        (OK + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello", True, 3),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", True, 3),
        (OK + b"Content-Length: 5\r\n\r\nhello" + OK + b"Content-Length: 6\r\n\r\nsecond", True, 3),
        (OK + b"Content-Length: 5\r\n\r\nhello, and more", True, 3),
    ],
)
def test_a_connection_is_kept_after_exactly_one_whole_reply(reply: bytes, keep: bool, connections_made: int) -> None:
    """What comes after it must never be the answer to another request."""

    async def play() -> None:
        async with served(writes(reply)) as (server, connections, where):
            for _ in range(3):
                found = await ask(connections, where, keep=keep)
                assert "Trailer" not in found.headers
                assert await whole(found) == b"hello"
            assert server.connections == connections_made

    asyncio.run(play())


def test_a_trailer_is_no_header_of_the_next_reply() -> None:
    bodies = iter([b"5\r\nhello\r\n0\r\nX-Secret: of the first\r\n\r\n", b"0\r\n\r\n"])

    async def script(_server: Server, writer: Writer) -> None:
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n" + next(bodies))

    async def play() -> None:
        async with served(script) as (server, connections, where):
            assert await whole(await ask(connections, where)) == b"hello"
            second = await ask(connections, where)
            assert "X-Secret" not in second.headers
            assert server.connections == 1

    asyncio.run(play())


def test_words_on_an_idle_connection_end_it() -> None:
    async def play() -> None:
        writers: list[Writer] = []

        async def script(_server: Server, writer: Writer) -> None:
            writers.append(writer)
            writer.write(OK + b"Content-Length: 0\r\n\r\n")

        async with served(script) as (server, connections, where):
            await whole(await ask(connections, where))
            writers[0].write(OK + b"Content-Length: 5\r\n\r\nhello")  # an answer that nobody asked for
            await server.gone.wait()
            assert await whole(await ask(connections, where)) == b""
            assert server.connections == 2

    asyncio.run(play())


def test_idle_connections_are_closed_before_servers_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "KEEP_S", 0.1)

    async def play() -> None:
        async with served(writes(OK + b"Content-Length: 0\r\n\r\n")) as (server, connections, where):
            await whole(await ask(connections, where))
            await server.gone.wait()
            assert connections._kept == {}
            await ask(connections, where)
            assert server.connections == 2

    asyncio.run(play())


def test_a_kept_connection_that_the_server_has_just_closed_is_replaced_once() -> None:
    async def play() -> None:
        async def script(server: Server, writer: Writer) -> None:
            if len(server.requests) == 2:  # the second on the kept connection: closed without a word
                writer.close()
            else:
                writer.write(OK + b"Content-Length: 2\r\n\r\nok")

        async with served(script) as (server, connections, where):
            assert await whole(await ask(connections, where)) == b"ok"
            assert await whole(await ask(connections, where)) == b"ok"
            assert server.connections == 2

    asyncio.run(play())


def test_a_fresh_connection_without_an_answer_is_not_tried_again() -> None:
    """The server may have worked on it: it would be paid twice."""

    async def play() -> None:
        async with served(writes(b"", ends=True)) as (server, connections, where):
            with pytest.raises(ClosedError):
                await ask(connections, where)
            assert len(server.requests) == 1

    asyncio.run(play())


def test_a_kept_connection_that_is_cut_in_its_reply_is_not_tried_again() -> None:
    async def play() -> None:
        async def script(server: Server, writer: Writer) -> None:
            writer.write(OK + b"Content-Length: 2\r\n\r\n" + (b"ok" if len(server.requests) == 1 else b"o"))
            if len(server.requests) == 2:
                writer.close()

        async with served(script) as (server, connections, where):
            assert await whole(await ask(connections, where)) == b"ok"
            reply = await ask(connections, where)
            with pytest.raises(CutError):
                await whole(reply)
            assert len(server.requests) == 2

    asyncio.run(play())


def test_who_is_not_there() -> None:
    async def play() -> None:
        connections = Pool(DEADLINE_S)
        for where in (Address("x", host="127.0.0.1", port=1, numeric=True), Address("x", path="/nowhere/x.sock")):
            with pytest.raises(LostError) as caught:
                await ask(connections, where)
            assert caught.value.errno
        connections.close()

    asyncio.run(play())


# --- hanging up -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", OK + b"Content-Length: 50\r\n\r\nhello"])
def test_who_hangs_up_frees_the_server_at_once(sent: bytes) -> None:
    async def play() -> None:
        async def script(server: Server, writer: Writer) -> None:
            writer.write(sent)
            await asyncio.sleep(0)

        async with served(script) as (server, connections, where):
            task = asyncio.ensure_future(ask(connections, where))
            if sent:
                reply = await task
                reply.close()
            else:
                while not server.requests:
                    await asyncio.sleep(0.01)
                task.cancel()
            await server.gone.wait()
            assert connections._connections == set()

    asyncio.run(play())


def test_a_server_is_not_read_faster_than_its_client_reads() -> None:
    async def play() -> None:
        sent = 0

        async def script(_server: Server, writer: Writer) -> None:
            nonlocal sent
            writer.write(OK + b"\r\n")
            while sent < 64 << 20:
                writer.write(b"x" * 65536)
                sent += 65536
                await writer.drain()
            writer.close()

        async with served(script, idle_s=0.3) as (_, connections, where):
            reply = await ask(connections, where)
            seen = -1
            while seen != sent:  # until it stands still
                seen = sent
                await asyncio.sleep(0.1)
            assert sent < 32 << 20
            waiting = sum(map(len, reply._parts))
            assert waiting < HIGH_BYTES + (1 << 20)
            await asyncio.sleep(0.5)  # the reader is slow, and not the server
            assert len(await whole(reply)) == 64 << 20

    asyncio.run(play())


# --- anything -------------------------------------------------------------------------------------------------------

FORMS = [
    OK + b"Content-Length: 5\r\n\r\nhello",
    OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
    OK + b"\r\nhello",
]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_whatever_a_server_sends_ends_as_a_reply_or_an_error(data: st.DataObject) -> None:
    """Bytes of a good reply are changed, cut out and put in, and it comes in any pieces. A connection after which
    something was left over is never used again."""
    sent = bytearray(data.draw(st.sampled_from(FORMS)))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(sent)))
        cut = data.draw(st.integers(0, 3))
        sent[place : place + cut] = data.draw(
            st.one_of(st.binary(max_size=3), st.sampled_from([b"\r\n", b"0", b":"]))
        )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=4)))
    pieces = [bytes(sent[start:end]) for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]

    async def play() -> None:
        feeds: list[connection.Connection] = []
        released: list[connection.Connection] = []
        made = connection.Connection(DEADLINE_S, released.append, feeds.append)
        transport = Silent(made)
        made.connection_made(transport)
        task = asyncio.ensure_future(made.send(b"", b""))
        await asyncio.sleep(0)
        for piece in pieces:
            if piece and not transport.closed:
                made.data_received(piece)
        if not transport.closed:
            transport.lose()
        try:
            body = await whole(await task)
        except FAILURES:
            return
        assert transport.closed
        assert len(body) <= len(sent)
        assert len(released) <= 1

    asyncio.run(play())


class Silent(asyncio.Transport):
    """Takes everything, and is closed when it is told so."""

    def __init__(self, protocol: connection.Connection) -> None:
        super().__init__()
        self._protocol = protocol
        self.closed = False

    def write(self, data: object) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def abort(self) -> None:
        if not self.closed:
            self.lose()

    def lose(self) -> None:
        self.closed = True
        self._protocol.connection_lost(None)
