"""One client's connection: whole frames in and out, bounded both ways, never blocking the loop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Final

from aish.errors import DisconnectedError, InputError
from aish.wire import codec, frame
from aish.wire.message import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.daemon.authority import Caller
    from aish.wire.message import Message

INBOX_FRAMES: Final = 16
"""Frames read ahead; beyond that the client's own socket buffer fills and it waits."""
STALL_S: Final = 30.0
"""How long a reply may wait for a client that does not read."""
FAREWELL_S: Final = 5.0
_SEND_BYTES: Final = 256 << 10


class Connection:
    """Requests are taken one by one with `next`; `send` queues, `flushed` waits until the client has read."""

    def __init__(self, sock: socket.socket, ended: Callable[[Connection], None]) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.caller: Caller | None = None
        self.pid = 0
        self.version = VERSION
        """Of the client's protocol; another one may only end everything."""
        self.on_gone: Callable[[], object] | None = None
        """Called once when the client has gone: cancels what only it waits for."""
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._decoder = frame.Decoder()
        self._inbox: deque[tuple[bytes, list[int]]] = deque()
        self._outbox: deque[tuple[memoryview, list[int]]] = deque()
        self._fault: InputError | None = None
        self._gone = False
        self._closed = False
        self._reading = False
        self._arrival: asyncio.Future[None] | None = None
        self._emptied: asyncio.Future[None] | None = None
        self._read(True)

    @property
    def gone(self) -> bool:
        return self._gone or self._closed

    async def next(self) -> tuple[bytes, list[int]]:
        """The next frame and its descriptors, which are then the caller's.

        Raises DisconnectedError at the end, InputError when what came is no frame (the end, too).
        """
        while not self._inbox:
            if self._fault is not None:
                raise self._fault
            if self.gone:
                raise DisconnectedError("the client closed the connection")
            self._arrival = self._loop.create_future()
            await self._arrival
        self._read(not self.gone and self._fault is None)
        return self._inbox.popleft()

    def send(self, message: Message, fds: list[int] | None = None) -> None:
        """Queue a message. Its descriptors are the connection's from now on."""
        self.send_body(codec.encode(message), fds)

    def send_body(self, body: bytes, fds: list[int] | None = None) -> None:
        fds = fds or []
        if self._closed:
            _close(fds)
            return
        try:
            packed = frame.pack(body, len(fds))
        except InputError:
            _close(fds)
            raise
        self._outbox.append((memoryview(packed), fds))
        if len(self._outbox) == 1:
            self._write()

    async def flushed(self, timeout_s: float = STALL_S) -> None:
        """Until everything queued is in the kernel's hands. Raises DisconnectedError, TimeoutError."""
        while self._outbox:
            if self._closed:
                raise DisconnectedError("the client closed the connection")
            self._emptied = self._loop.create_future()
            async with asyncio.timeout(timeout_s):
                await self._emptied

    async def farewell(self, message: Message) -> None:
        """A last message to a client that is cut off: behind what is half sent, in place of all that waits."""
        while len(self._outbox) > 1:
            _close(self._outbox.pop()[1])
        self.send(message)
        try:
            await self.flushed(FAREWELL_S)
        except (TimeoutError, DisconnectedError):
            return

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self.sock)
        self._loop.remove_writer(self.sock)
        self.sock.close()
        self._decoder.close()
        for _, fds in (*self._inbox, *self._outbox):
            _close(fds)
        self._inbox.clear()
        self._outbox.clear()
        self._went()
        self._ended(self)

    def _went(self) -> None:
        if not self._gone:
            self._gone = True
            if self.on_gone is not None:
                self.on_gone()
        _wake(self._arrival)
        _wake(self._emptied)

    def _read(self, wanted: bool) -> None:
        if wanted == self._reading or self._closed:
            return
        self._reading = wanted
        if wanted:
            self._loop.add_reader(self.sock, self._readable)
        else:
            self._loop.remove_reader(self.sock)

    def _readable(self) -> None:
        try:
            data, fds = frame.receive(self.sock)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        except InputError as error:
            self._broken(error)
            return
        if not data:
            self._read(False)
            self._went()
            return
        try:
            self._inbox.extend(self._decoder.feed(data, fds))
        except InputError as error:
            self._broken(error)
            return
        if len(self._inbox) >= INBOX_FRAMES:
            self._read(False)
        if self._inbox:
            _wake(self._arrival)

    def _broken(self, error: InputError) -> None:
        self._fault = error
        self._read(False)
        _wake(self._arrival)

    def _write(self) -> None:
        while self._outbox:
            view, fds = self._outbox[0]
            try:
                if fds:
                    sent = socket.send_fds(self.sock, [view[:_SEND_BYTES]], fds)
                else:
                    sent = self.sock.send(view[:_SEND_BYTES])
            except BlockingIOError:
                self._loop.add_writer(self.sock, self._write)
                return
            except OSError:
                self._loop.call_soon(self.close)
                return
            if fds:
                _close(fds)
            if sent < len(view):
                self._outbox[0] = (view[sent:], [])
            else:
                self._outbox.popleft()
        self._loop.remove_writer(self.sock)
        _wake(self._emptied)


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def _close(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())
