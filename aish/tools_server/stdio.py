"""The server on the standard streams: the protocol has them for itself, and a signal ends it at once.

The library reads stdin in a thread, which nothing can call back before a line comes; here the loop waits for it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, cast

from mcp.server.stdio import stdio_server

from aish.client import AsyncAish
from aish.client.aio_wait import writable
from aish.client.finding import outside
from aish.errors import AishError
from aish.tools.desk import Desk
from aish.tools_server.server import ToolsServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from mcp.server.lowlevel import Server

    from aish.tools.scope import Scope

LINE_BYTES: Final = 16 << 20
"""Of one message of the client: more than the longest text that a tool takes."""
_PIECE_BYTES: Final = 4096
"""What a pipe takes at once where it takes anything (PIPE_BUF)."""
_LEAVE_S: Final = 2.0


class Input:
    """The lines of a descriptor, as the library reads its stdin. One that is too long is as no message."""

    def __init__(self, fd: int) -> None:
        self._file = os.fdopen(fd, "rb", buffering=0)
        self._reader = asyncio.StreamReader(limit=LINE_BYTES)

    def end(self) -> None:
        """As if the client had closed it."""
        self._reader.feed_eof()

    async def __aiter__(self) -> AsyncIterator[str]:
        if not _waitable(self._file.fileno()):
            for line in self._file:
                yield line.decode(errors="replace")
            return
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), self._file
        )
        try:
            while line := await self._line():
                yield line.decode(errors="replace")
        finally:
            transport.close()

    async def _line(self) -> bytes:
        try:
            return await self._reader.readline()
        except ValueError:  # the reader has dropped what it had of it
            print("aish mcp: a message of the client is too long, and was not read", file=sys.stderr, flush=True)
            return b"\n"


class Output:
    """A descriptor as the library writes to its stdout. `gone`: what to do when nobody reads it any more."""

    def __init__(self, fd: int, gone: Callable[[], None]) -> None:
        self._fd, self._gone = fd, gone
        self._waits = _waitable(fd)

    async def write(self, text: str) -> None:
        view = memoryview(text.encode(errors="backslashreplace"))
        try:
            while view:
                if self._waits:
                    await writable(self._fd)
                view = view[os.write(self._fd, view[:_PIECE_BYTES]) :]
        except (BrokenPipeError, ConnectionResetError):
            self._gone()

    async def flush(self) -> None:
        """Nothing is kept back."""


async def serve(*, version: str, read_only: bool, wanted: Scope | None, ends: bool) -> None:
    """Until stdin ends or a signal comes. `ends`: what it has started ends with it."""
    stdin, stdout = _claimed()
    given = Input(stdin)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    aish = AsyncAish(start=outside(), program="mcp")  # looks for the supervisor, or starts it, when a tool needs it
    desk = Desk(aish, wanted=wanted)
    server = ToolsServer(desk, version=version, read_only=read_only).served()
    try:
        await _until(stopped, _spoken(server, given, Output(stdout, given.end)), given.end)
    finally:
        if ends:
            await _end(aish, desk.started)
        await aish.close()


async def _spoken(server: Server[Any], given: Input, out: Output) -> None:
    # The library takes its standard streams as files that are read in a thread: nothing ends such a read.
    async with stdio_server(cast("Any", given), cast("Any", out)) as (read, write):
        await server.run(read, write, server.create_initialization_options())


async def _until(stopped: asyncio.Event, work: Coroutine[Any, Any, None], end: Callable[[], None]) -> None:
    """Until the work is done; when it is to stop, it is asked to end, and then made to."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stopped.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        end()
        await asyncio.wait({working}, timeout=_LEAVE_S)
        working.cancel()
    try:
        await working
    except asyncio.CancelledError:
        pass


async def _end(aish: AsyncAish, started: list[str]) -> None:
    """In the opposite order; what has ended, or was forgotten, is no news."""
    for id in reversed(started):
        try:
            await aish.stop(id)
        except AishError:
            pass


def _claimed() -> tuple[int, int]:
    """Descriptors of stdin and stdout that nobody else has: what is printed from here on goes to stderr, and what is
    started reads nothing of the client."""
    stdin, stdout = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (0, 1))
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return stdin, stdout


def _waitable(fd: int) -> bool:
    """Whether a loop can wait for it. A file and /dev/null are read and written as they are: epoll_ctl(2), EPERM."""
    with select.epoll() as epoll:
        try:
            epoll.register(fd, 0)
        except PermissionError:
            return False
    return True
