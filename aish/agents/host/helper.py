"""A process that belongs to an agent's, and speaks with it in lines: supervised below it, and gone with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Final

from aish.agents.host.splitting import Splitting
from aish.errors import AishError, UpstreamError
from aish.model.provider_keys import PROVIDER_KEYS
from aish.spi.agent_adapter import Lines
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aish.client.aio import AsyncAish
    from aish.client.aio_process import AsyncProcess
    from aish.spi.agent_adapter import Command

ENDS_S: Final = 2.0
"""For its end when its stdin has ended; then, for each of TERM and KILL."""
_PIECE_BYTES: Final = 1 << 16


class Helper(Lines):
    def __init__(
        self, process: AsyncProcess, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ours: _Ours
    ) -> None:
        self._process, self._reader, self._writer, self._ours = process, reader, writer, ours
        self._splitting = Splitting()

    async def send(self, line: str) -> None:
        if self._writer.is_closing():
            raise UpstreamError(f"{self._process.name} does not read any more")
        try:
            self._writer.write(line.encode("utf-8", "replace") + b"\n")
            await self._writer.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise UpstreamError(f"{self._process.name} does not read any more") from error

    async def lines(self) -> AsyncIterator[str]:
        while data := await self._reader.read(_PIECE_BYTES):
            for line in self._splitting.feed(data):
                yield line
        for line in self._splitting.rest():
            yield line

    async def close(self) -> None:
        self._writer.close()

    async def stop(self) -> None:
        """It is not needed any more. A supervisor that is away ends it when it is back: it belongs to us."""
        self._ours.close()
        try:
            async with asyncio.timeout(3 * ENDS_S):
                try:
                    await self._process.wait(timeout_s=ENDS_S)
                except TimeoutError:
                    await self._process.stop(grace_s=ENDS_S)
        except (AishError, TimeoutError):
            return


class _Ours:
    """Our ends of its stdin and stdout."""

    def __init__(self) -> None:
        self.transports: list[asyncio.BaseTransport] = []

    def close(self) -> None:
        for transport in self.transports:
            transport.close()


async def start(aish: AsyncAish, name: str, command: Command, cwd: str) -> Helper:
    """Raises AishError."""
    environ = {key: value for key, value in command.environ.items() if value is not None}
    spec = SpecPart(
        argv=[os.fsencode(word) for word in command.argv],
        cwd=os.fsencode(cwd),
        name=name,
        with_parent=True,
        grace_s=ENDS_S,
        secrets=[key for key in environ if key in PROVIDER_KEYS],
    )
    with contextlib.ExitStack() as theirs:
        their_in, our_in = os.pipe2(os.O_CLOEXEC)
        theirs.callback(os.close, their_in)
        our_out, their_out = os.pipe2(os.O_CLOEXEC)
        theirs.callback(os.close, their_out)
        ours = _Ours()
        reader, writer = await _connected(our_out, our_in, ours)
        try:
            process = await aish.spawn(spec, fds={0: their_in, 1: their_out}, env=environ, rename=True)
        except BaseException:
            ours.close()
            raise
    return Helper(process, reader, writer, ours)


async def _connected(our_out: int, our_in: int, ours: _Ours) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Streams of the two descriptors, which are theirs from now on."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_PIECE_BYTES)
    out, into = os.fdopen(our_out, "rb", 0), os.fdopen(our_in, "wb", 0)
    try:
        read, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), out)
        ours.transports.append(read)
        write, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, into)
        ours.transports.append(write)
    except BaseException:
        ours.close()
        out.close()
        into.close()
        raise
    return reader, asyncio.StreamWriter(write, protocol, None, loop)
