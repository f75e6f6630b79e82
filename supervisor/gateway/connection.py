"""One connection to a model server: HTTP/1.1 over plain TCP or a Unix socket, one request at a time.

Bytes are parsed by llhttp (httptools). What it does not bound is bounded here: the head, and whatever is no body. A
reply is read as it comes, and not much more than HIGH_BYTES of it wait to be read. It ends as the protocol says: by a
length, a last chunk, or with the connection where there is neither; any other end has cut it.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

import httptools
from multidict import CIMultiDict, istr

from aish.supervisor.gateway.broken import ClosedError, CutError, NotHttpError
from aish.supervisor.gateway.fields import encoded
from aish.supervisor.gateway.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable

HIGH_BYTES: Final = 256 << 10
MAX_HEAD_BYTES: Final = 64 << 10
"""Of a reply's head, and of what comes in a row that is no body: chunk extensions, trailers, interim replies."""
_INFLATED_BYTES: Final = 1 << 20
_TARGET: Final = re.compile(r"/[!-~]*")
_HOST: Final = re.compile(r"[!-~]+")
_TYPE, _CODING = istr("Content-Type"), istr("Content-Encoding")
_LENGTH, _TRANSFER = istr("Content-Length"), istr("Transfer-Encoding")
_VERSIONS: Final = ("1.1", "1.0")
_CUT: Final = "the connection was closed in the middle of the reply"


def head(method: str, target: str, host: str, fields: str, length: int | None, *, keep: bool) -> bytes:
    """A request's head with lines of fields. `keep`: another may follow. Raises ValueError for what would
    be one inside of this."""
    close = "" if keep else "Connection: close\r\n"
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return encoded(f"{_start(method, target, host)}{fields}{close}{size}\r\n")


@lru_cache(maxsize=256)
def _start(method: str, target: str, host: str) -> str:
    if not _TARGET.fullmatch(target) or not _HOST.fullmatch(host):
        raise ValueError("not a path or a host of HTTP")
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n"


@lru_cache(maxsize=256)
def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower() or "application/octet-stream"


_NONE: Final[CIMultiDict[str]] = CIMultiDict()
"""Until a reply has headers."""


class PlainReply:
    """A Reply."""

    __slots__ = (
        "_connection",
        "_error",
        "_inflate",
        "_loop",
        "_parts",
        "_size_bytes",
        "_waiter",
        "ended",
        "headers",
        "status",
    )

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection, self._loop = connection, loop
        self.status = 0
        self.headers = _NONE
        self.ended = False
        """All of it has been received, though maybe not read."""
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._inflate: _Inflate | None = None

    @property
    def content_type(self) -> str:
        """Without parameters, in small letters."""
        return _kind(self.headers.get(_TYPE, ""))

    async def read(self) -> bytes:
        """What there is of the body, b'' at its end. Raises CutError when it was cut, TimeoutError,
        NotHttpError."""
        while True:
            while not self._parts and not self.ended:
                await self.more()
            if not self._parts:
                if self._inflate is not None:
                    self._inflate.finish()
                return b""
            data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts.clear()
            if self._inflate is not None:
                data = self._inflate.feed(data)
                if self._inflate.rest:
                    self._parts.append(self._inflate.rest)
            self._size_bytes = sum(map(len, self._parts))
            if not self._parts and not self.ended:
                self._connection.resume()
            if data:
                return data

    def rest(self) -> bytes | None:
        """All that was not read yet, if it is here and is not packed."""
        if not self.ended or self._inflate is not None:
            return None
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        return data

    @property
    def behind(self) -> bool:
        """Whether more of it waits at the server: we do not take it, since nobody reads what is here."""
        return self._connection.paused

    def unread(self) -> bytes:
        """What is here and was not read; nothing where it is packed."""
        return b"" if self._inflate is not None else b"".join(self._parts)

    def more(self) -> asyncio.Future[None]:
        """Done once something came. Raises what went wrong."""
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        return self._waiter

    def close(self) -> None:
        """Nothing more of it is wanted: a server that is still at it notices at once."""
        if not self.ended:
            self._connection.abort()

    # --- what the connection tells -------------------------------------------------------------------------------

    def begun(self, status: int, headers: CIMultiDict[str]) -> None:
        self.status, self.headers = status, headers
        coding = headers.get(_CODING, "identity").strip().lower()
        if coding in ("gzip", "deflate"):  # though nobody asked for it
            self._inflate = _Inflate()
        self._wake()

    def add(self, data: bytes) -> bool:
        """Whether more than enough waits to be read."""
        self._parts.append(data)
        self._size_bytes += len(data)
        self._wake()
        return self._size_bytes > HIGH_BYTES

    def end(self) -> None:
        self.ended = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        if not self.ended and self._error is None:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Inflate:
    """gzip or zlib, a bounded piece at a time; `rest` is to be fed again."""

    __slots__ = ("_zlib", "rest")

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        try:
            out = self._zlib.decompress(data, _INFLATED_BYTES)
        except zlib.error as error:
            raise NotHttpError(f"a body that is not encoded as its head says: {error}") from None
        self.rest = self._zlib.unconsumed_tail
        return out

    def finish(self) -> None:
        if not self._zlib.eof:
            raise CutError(_CUT)


class Connection(asyncio.Protocol):
    """`released` is called when a reply was received and another request may follow, `lost` when it is closed."""

    def __init__(
        self,
        idle_s: float,
        released: Callable[[Connection], None],
        lost: Callable[[Connection], None],
        outbox: Outbox | None = None,
    ) -> None:
        self._idle_s = idle_s
        self._outbox = outbox or Outbox()
        self._released, self._lost = released, lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._reply: PlainReply | None = None
        self._headers: CIMultiDict[str] = CIMultiDict()
        self._no_body_bytes = 0
        self._in_body = False
        self._until_end = False
        """Its body ends with the connection."""
        self._paused = False
        self._heard_s = 0.0
        """When something came last, or the request went."""
        self._timer: asyncio.TimerHandle | None = None

    async def send(self, head: bytes, body: bytes) -> PlainReply:
        """Send a request; returns once the head of its reply is here. Whoever is cancelled meanwhile has hung up.

        Raises ClosedError, LostError, NotHttpError, TimeoutError.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ClosedError
        reply = self._reply = PlainReply(self, self._loop)
        self._headers = CIMultiDict()
        self._parser = httptools.HttpResponseParser(self)  # a new one: nothing of the reply before is left in it
        self._no_body_bytes, self._in_body, self._until_end = 0, False, False
        self._heard_s = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._idle_s, self._look)
        self._outbox.put(transport, (head, body) if body else (head,))
        try:
            while not reply.status:
                await reply.more()
        except BaseException:
            self.abort()
            raise
        return reply

    def resume(self) -> None:
        """What had been received was read."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._heard_s = self._loop.time()
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close it, whatever is on its way."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._reply is None and self._transport is not None and not self._transport.is_closing()

    @property
    def paused(self) -> bool:
        """Whether more than enough of the reply waits to be read."""
        return self._paused

    def _look(self) -> None:
        """Whether the server has been silent for too long. A reader that is slow is not the server's fault."""
        self._timer = None
        reply = self._reply
        if reply is None:
            return
        rest_s = self._idle_s if self._paused else self._heard_s + self._idle_s - self._loop.time()
        if rest_s > 0:
            self._timer = self._loop.call_later(rest_s, self._look)
        else:
            self._fail(TimeoutError())

    def _fail(self, error: BaseException) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.fail(error)
        self.abort()

    # --- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it

    def data_received(self, data: bytes) -> None:
        if self._reply is None or self._parser is None:  # nobody asked
            self.abort()
            return
        self._heard_s = self._loop.time()
        self._no_body_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(NotHttpError(str(error)))
            return
        if self._no_body_bytes > MAX_HEAD_BYTES:
            self._fail(NotHttpError(f"more than {MAX_HEAD_BYTES} bytes in a row that are no body"))

    def eof_received(self) -> None:
        """The transport closes itself then."""

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = self._parser = None  # which refer to this
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reply, self._reply = self._reply, None
        if reply is not None:
            if self._until_end and error is None:
                reply.end()
            elif reply.status:
                reply.fail(CutError(_CUT))
            else:
                reply.fail(ClosedError())
        self._lost(self)

    # --- httptools ----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._reply is None:
            raise NotHttpError("more than one reply")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:  # else it is a trailer
            self._headers.add(name.decode("ascii"), value.decode(errors="surrogateescape"))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        assert self._reply is not None
        if self._parser.get_http_version() not in _VERSIONS:
            raise NotHttpError("another version of HTTP")
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                raise NotHttpError("another protocol, which nobody asked for")
            self._headers = CIMultiDict()
            return
        self._in_body = True
        told = _LENGTH in self._headers or _TRANSFER in self._headers
        self._until_end = not told and status not in (204, 304)
        self._reply.begun(status, self._headers)

    def on_body(self, data: bytes) -> None:
        self._no_body_bytes = 0
        if self._reply is not None and self._reply.add(data) and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if not self._in_body:
            return  # an interim reply: the real one follows
        reply, self._reply = self._reply, None
        parser, transport = self._parser, self._transport
        if reply is None or parser is None or transport is None:
            return
        reply.end()
        if self._paused:
            self._paused = False
            transport.resume_reading()
        sent = not transport.get_write_buffer_size() and not self._outbox.holds(transport)
        if sent and parser.should_keep_alive():
            self._released(self)
        else:
            transport.abort()
