"""One connection of a client: HTTP/1.1, its requests answered one after the other.

Bytes are parsed by llhttp (httptools). A handler begins as soon as a head is here, and is cancelled when the client
hangs up; one that only sends no more gets its answers (peer.py tells them apart), and is looked at until then. Of a
body that nobody wants yet not much more than HIGH_BYTES are read, nor of requests in advance.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, cast

import httptools
from multidict import CIMultiDict

from aish.errors import InputError
from aish.supervisor.gateway.log import log, place
from aish.supervisor.gateway.outbox import Outbox
from aish.supervisor.gateway.peer import is_open
from aish.supervisor.gateway.web import Request, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aish.supervisor.gateway.web import Answer

MAX_HEAD_BYTES: Final = 64 << 10
HIGH_BYTES: Final = 256 << 10
MOST_QUEUED: Final = 16
"""Requests that came before the one before them was answered."""
LINGER_S: Final = 1.0
"""How long a client may go on sending what nobody reads: cut at once, it might not see what it was answered."""
LOOKS_S: Final = (0.01, 0.04, 0.2)
"""After how long a client that sends no more is looked at: soon, since one that closes may just have begun to."""
_VERSIONS: Final = ("1.1", "1.0")


class Visitor(asyncio.Protocol):
    """A Way of its requests. `handler` answers them, `malformed` what is none; `left` is called once it is closed."""

    def __init__(
        self,
        handler: Callable[[Request], Awaitable[Answer]],
        malformed: Callable[[str], Response],
        left: Callable[[Visitor], None],
        idle_s: float,
        outbox: Outbox | None = None,
    ) -> None:
        self._outbox = outbox or Outbox()
        self._handler, self._malformed, self._left = handler, malformed, left
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: CIMultiDict[str] = CIMultiDict()
        self._head_bytes = 0
        self._incoming: Request | None = None
        """Its body comes."""
        self._skips = False
        """What the parser tells is known already: see _go_on_without_upgrade."""
        self._queue: deque[Request] = deque()
        """Not answered yet; the first of them is at its handler."""
        self._task: asyncio.Task[None] | None = None
        self._why: str | None = None
        """Why nothing more is read of what comes."""
        self._ending = False
        self._silent = False
        """The client sends no more, and waits for its answers."""
        self._paused = False
        self._room: asyncio.Future[None] | None = None
        """While the client does not read what we write."""
        self._free_s = self._loop.time()
        """Since when it has no request."""
        self._timer: asyncio.TimerHandle | None = None

    # --- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it
        self._timer = self._loop.call_later(self._idle_s, self._look)

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()  # the client has hung up
        # All of these refer to this, which would stay until the collector finds it.
        self._transport = self._parser = self._timer = self._task = self._incoming = None
        self._queue.clear()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._left(self)

    def data_received(self, data: bytes) -> None:
        while data and self._why is None and self._parser is not None:
            data = self._feed(self._parser, data)
        if self._queue and self._task is None:
            self._begin()

    def eof_received(self) -> bool:
        """Whether it stays open: for a client that is still there and waits for an answer to a whole request."""
        if not self._queue or self._incoming is not None or not self._is_there():
            return False
        self._silent = True
        self._loop.call_later(LOOKS_S[0], self._look_after, 1)
        return True

    def _is_there(self) -> bool:
        """Whether the client's end is open, though nothing more comes of it."""
        transport = self._transport
        if transport is None:
            return False
        return is_open(transport.get_extra_info("sockname"), transport.get_extra_info("peername"))

    def _look_after(self, looks: int) -> None:
        if self._is_there():
            self._loop.call_later(LOOKS_S[min(looks, len(LOOKS_S) - 1)], self._look_after, looks + 1)
        else:
            self.cut()

    def pause_writing(self) -> None:
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def _look(self) -> None:
        """Whether it has been without a whole head for too long."""
        rest_s = self._idle_s if self._queue else self._free_s + self._idle_s - self._loop.time()
        if rest_s > 0:
            self._timer = self._loop.call_later(rest_s, self._look)
        else:
            self.cut()

    # --- reading ------------------------------------------------------------------------------------------------

    def _feed(self, parser: httptools.HttpRequestParser, data: bytes) -> bytes:
        """Returns what is still to be fed."""
        in_head, seen = self._incoming is None, len(self._queue)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade()
            return data[upgrade.args[0] :]
        except httptools.HttpParserCallbackError as error:
            self._break(str(error.__context__ or error))
        except httptools.HttpParserError as error:
            self._break(str(error))
        else:
            if in_head and self._incoming is None and len(self._queue) == seen:
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD_BYTES:
                    self._break(_TOO_LONG)
        return b""

    def _go_on_without_upgrade(self) -> None:
        """The client would like another protocol (as Java's does), and gets none. The parser stops before its body: a
        new one reads that, told of a head with its length."""
        request = self._queue[-1]
        parser = self._parser = httptools.HttpRequestParser(self)
        told = [name for name in ("Content-Length", "Transfer-Encoding") if request.headers.get(name, "0") != "0"]
        request.keep = request.keep and not _closes(request)
        if request.method == "CONNECT":
            request.keep, self._why = False, "a tunnel"
        if self._why is not None or not told:
            self._incoming = None
            request.end()
        else:
            head = "".join(f"{name}: {request.headers[name]}\r\n" for name in told)
            head += "" if request.keep else "Connection: close\r\n"
            self._skips = True
            parser.feed_data(f"POST / HTTP/1.1\r\n{head}\r\n".encode())
            self._skips = False

    def _break(self, why: str) -> None:
        """Nothing more of it can be understood."""
        self._why = why
        if self._incoming is not None:
            self._incoming.fail(InputError(f"the body cannot be read: {why}"))
            self._incoming = None
        elif not self._queue:
            self._refuse()

    def _refuse(self) -> None:
        request = Request(self, "GET", "/", CIMultiDict(), newer=True)
        if self._transport is not None:
            answer = self._malformed(self._why or "")
            self._outbox.put(self._transport, (answer.head(request, keep=False), answer.body))
            self._leave()

    # --- httptools ----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if not self._skips:
            self._target, self._headers, self._head_bytes = b"", CIMultiDict(), 0

    def on_url(self, url: bytes) -> None:
        if not self._skips:
            self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._incoming is None:  # else it is a trailer
            self._head_bytes += len(name) + len(value)
            if self._head_bytes > MAX_HEAD_BYTES:
                raise ValueError(_TOO_LONG)
            self._headers.add(name.decode("ascii"), value.decode(errors="surrogateescape"))

    def on_headers_complete(self) -> None:
        if self._skips:
            return
        assert self._parser is not None
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            raise ValueError(f"version {version}")
        method, target = self._parser.get_method().decode("ascii"), self._target.decode("ascii", "replace")
        request = self._incoming = Request(self, method, target, self._headers, newer=version == "1.1")
        self._head_bytes = 0
        self._queue.append(request)
        if len(self._queue) > MOST_QUEUED:
            self._pause()

    def on_body(self, data: bytes) -> None:
        request = self._incoming
        if request is not None and request.add(data) > HIGH_BYTES and not request.wanted:
            self._pause()

    def on_message_complete(self) -> None:
        request = self._incoming
        assert self._parser is not None
        if request is None or self._skips or self._parser.should_upgrade():
            return
        request.keep = self._parser.should_keep_alive()
        self._incoming = None
        request.end()

    def _pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    # --- answering ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        # Named, or a name would be made for each.
        self._task = asyncio.Task(self._answer(self._queue[0]), loop=self._loop, name="request")

    async def _answer(self, request: Request) -> None:
        self._outbox.under_way += 1
        try:
            keep = self._write_answer(request, await self._handler(request))
            if self._room is not None:
                await self._room  # nobody sees whether it is read: what it took is settled
        except Exception as error:  # noqa: BLE001  the edge of the process: recorded, and the client sees an end
            log("fault", place(error))
            self.cut()
            return
        finally:
            self._outbox.under_way -= 1
        if self._transport is None:
            return
        self._queue.popleft()
        self._task = None
        self._free_s = self._loop.time()
        if not keep:
            self._leave()
            return
        if self._queue:
            self._begin()
        self._resume()

    def _write_answer(self, request: Request, answer: Answer) -> bool:
        """Whether another one may follow."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        keep = self.keeps(request)
        if isinstance(answer, Response):
            head = answer.head(request, keep=keep)
            self._outbox.put(transport, (head, answer.body) if request.method != "HEAD" else (head,))
        else:
            self._outbox.put(transport, (answer.last(),))
            keep = keep and answer.keep
        return keep

    def keeps(self, request: Request) -> bool:
        last = len(self._queue) < 2
        return request.complete and request.keep and not self._ending and not (last and (self._silent or self._why))

    def _leave(self) -> None:
        """Close the connection, as gently as it takes for the client to see the answer."""
        if self._transport is None:
            return
        self._outbox.release(self._transport)
        if self._incoming is None and self._why is None:
            self._transport.close()
            return
        self._why = self._why or "its request was answered before it was here"
        self._resume()  # what comes is read and forgotten
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._loop.call_later(LINGER_S, self.cut)

    # --- for requests and streams -------------------------------------------------------------------------------

    def wants_more(self) -> None:
        self._resume()

    def proceed(self) -> None:
        if self._transport is not None:
            self._outbox.put(self._transport, (b"HTTP/1.1 100 Continue\r\n\r\n",))

    async def write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        self._outbox.put(self._transport, (data,))
        if self._room is not None:
            await self._room
            if self._transport is None:
                raise ConnectionResetError

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- for the server -----------------------------------------------------------------------------------------

    def end(self) -> None:
        """Close it once what is under way has been answered."""
        self._ending = True
        if not self._queue and self._transport is not None:
            self._outbox.release(self._transport)
            self._transport.close()


def _closes(request: Request) -> bool:
    """Whether its client means to close the connection after it."""
    told = ",".join(request.headers.getall("Connection", ()))
    return "close" in (word.strip().lower() for word in told.split(","))


_TOO_LONG: Final = f"a head of more than {MAX_HEAD_BYTES} bytes"
