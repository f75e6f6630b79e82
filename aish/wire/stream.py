"""A connection to the daemon whose frames come with descriptors, for programs of asyncio that it tells of itself."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque

from aish.errors import UnavailableError
from aish.wire import frame


class Frames:
    """Whole frames from the reading half. Raises UnavailableError at its end, InputError on malformed ones."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._decoder = frame.Decoder()
        self._ready: deque[tuple[bytes, list[int]]] = deque()

    async def next(self) -> tuple[bytes, list[int]]:
        """A body, and descriptors which are the caller's."""
        while not self._ready:
            try:
                data, fds = frame.receive(self._sock)
            except BlockingIOError:
                await self._readable()
                continue
            if not data:
                raise UnavailableError("the daemon closed the connection")
            self._ready.extend(self._decoder.feed(data, fds))
        return self._ready.popleft()

    async def plain(self) -> bytes:
        """A body whose descriptors nobody asked for."""
        body, fds = await self.next()
        for fd in fds:
            os.close(fd)
        return body

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._sock, _wake, woken)
        try:
            await woken
        finally:
            loop.remove_reader(self._sock)

    def close(self) -> None:
        self._decoder.close()
        for _, fds in self._ready:
            for fd in fds:
                os.close(fd)
        self._ready.clear()
        self._sock.close()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def connect(path: str) -> tuple[Frames, asyncio.StreamWriter]:
    """Both halves; each is closed by itself. Raises OSError."""
    _, writer = await asyncio.open_unix_connection(path)
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # it would read without the descriptors
    fd = os.dup(writer.get_extra_info("socket").fileno())
    return Frames(socket.socket(fileno=fd)), writer
