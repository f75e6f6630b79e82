"""One connection to the daemon for asyncio: as `aish.client.connection.Client`, without a thread and without a wait
that holds the loop."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections import deque
from typing import TYPE_CHECKING

from aish.client import aio_bringup, finding
from aish.client.aio_wait import readable, writable
from aish.client.connection import (
    LOOK_S,
    START_TIMEOUT_S,
    Trial,
    check_runs,
    failure,
    hello,
    listening,
    silent,
    welcomed,
)
from aish.errors import DisconnectedError, InternalError
from aish.wire import codec, frame
from aish.wire.reply import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from aish.wire.message import Message
    from aish.wire.reply import Reply, Welcome


class AioLine:
    """Questions one after the other; `starts`: bring a daemon up where none runs (any more)."""

    def __init__(self, *, starts: bool, program: str, patience_s: float = START_TIMEOUT_S) -> None:
        self._starts, self._program, self._patience_s = starts, program, patience_s
        self._sock: socket.socket | None = None
        self._decoder = frame.Decoder()
        self._frames: deque[tuple[bytes, list[int]]] = deque()
        self.welcome: Welcome | None = None

    async def open(self) -> Self:
        """Raises as `aish.client.connect`."""
        await self.reconnect()
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return -1 if self._sock is None else self._sock.fileno()

    @property
    def buffered(self) -> bool:
        """True if `receive` would return at once although fileno() is not readable."""
        return bool(self._frames)

    def close(self) -> None:
        self._decoder.close()
        while self._frames:
            for fd in self._frames.popleft()[1]:
                os.close(fd)
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    async def reconnect(self, *, start: bool = True) -> None:
        """Find the daemon again; with `start`, starting one if need be."""
        self.close()
        patience_s = self._patience_s if self.welcome is None else START_TIMEOUT_S
        for pause_s in finding.attempts(start=start and self._starts, patience_s=patience_s):
            if pause_s is None:
                await aio_bringup.start()
                continue
            await asyncio.sleep(pause_s)
            if await self._attempt(patience_s):
                return
        raise InternalError("the attempts to find the daemon ended without a word")

    async def _attempt(self, patience_s: float) -> bool:
        """False where nothing listens, or what listens is just going down."""
        again = self.welcome is not None
        self._sock = listening(even_stopped=again)
        if self._sock is None:
            return False
        self._sock.setblocking(False)
        try:
            async with asyncio.timeout(patience_s):
                await self._send(hello(self._program))
                body, _ = await (self._receive() if again else self._first_word())
            self.welcome = welcomed(body, self._program)
        except DisconnectedError:
            self.close()
            return False
        except TimeoutError as error:
            self.close()
            raise silent(patience_s) from error
        except BaseException:
            self.close()
            raise
        return True

    async def _first_word(self) -> tuple[bytes, list[int]]:
        """Raises UnavailableError where the daemon is stopped."""
        word = asyncio.ensure_future(self._receive())
        try:
            while not (await asyncio.wait({word}, timeout=LOOK_S))[0]:
                assert self._sock is not None
                check_runs(self._sock)
            return word.result()
        finally:
            word.cancel()

    # --- questions and answers --------------------------------------------------------------------------------------

    async def request(self, message: Message, fds: Sequence[int] = ()) -> Reply:
        """Send and wait for the reply, as `request_with_fds`. Descriptors in the reply are closed."""
        reply, received = await self.request_with_fds(message, fds)
        for fd in received:
            os.close(fd)
        return reply

    async def request_with_fds(self, message: Message, fds: Sequence[int] = ()) -> tuple[Reply, list[int]]:
        """Send and wait for the reply and its descriptors, which the caller then owns; over a daemon's death as
        `aish.client.Client` has it."""
        trial = Trial(message)
        while True:
            try:
                await self._send(trial.body(), fds)
            except DisconnectedError as error:
                trial.unsent(error)
            else:
                try:
                    async with asyncio.timeout(trial.patience_s()):
                        return await self._reply()
                except DisconnectedError as error:
                    trial.unanswered(error)
                except TimeoutError as error:
                    raise trial.silent() from error
            await self.reconnect()

    async def send(self, message: Message) -> None:
        """`receive` gets the reply, or tells that the daemon is gone, also where it was gone already."""
        try:
            await self._send(codec.encode(message))
        except DisconnectedError:
            pass

    async def receive(self) -> Reply:
        reply, fds = await self._reply()
        for fd in fds:
            os.close(fd)
        return reply

    async def _reply(self) -> tuple[Reply, list[int]]:
        body, fds = await self._receive()
        reply = codec.decode_reply(body)
        if isinstance(reply, Failure):
            raise failure(reply)
        return reply, fds

    # --- frames -----------------------------------------------------------------------------------------------------

    async def _send(self, body: bytes, fds: Sequence[int] = ()) -> None:
        sock = self._open_sock()
        view = memoryview(frame.pack(body, len(fds)))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        while view:
            try:
                sent = sock.sendmsg([view], rights, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                await writable(sock.fileno())
                continue
            except (BrokenPipeError, ConnectionResetError) as error:
                raise DisconnectedError("the other side closed the connection") from error
            view, rights = view[sent:], []

    async def _receive(self) -> tuple[bytes, list[int]]:
        sock = self._open_sock()
        while not self._frames:
            try:
                data, fds = frame.receive(sock)
            except BlockingIOError:
                await readable([sock.fileno()])
                continue
            except ConnectionResetError as error:
                raise DisconnectedError("the other side closed the connection") from error
            if not data:
                raise DisconnectedError("the other side closed the connection")
            self._frames.extend(self._decoder.feed(data, fds))
        return self._frames.popleft()

    def _open_sock(self) -> socket.socket:
        if self._sock is None:
            raise DisconnectedError("the connection is closed")
        return self._sock
