"""Bytes both ways between a client and a host, until both have said all, one breaks, or nothing comes too long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.egress.address import Streams

IDLE_S: Final = 15 * 60.0
LAST_S: Final = 30.0
"""The same where one has said all and the other cannot be told so, as in TLS: nearly always it has gone."""
_PIECE_BYTES: Final = 64 << 10


async def relay(
    client: Streams,
    host: Streams,
    passed: Callable[[int, int], None],
    idle_s: float = IDLE_S,
    *,
    answer_only: bool = False,
) -> None:
    """Both are closed then. An end of one direction is passed on, and the other one goes on. `passed` is told what
    was sent to the host and received, in bytes. `answer_only`: what the client says goes nowhere."""
    loop = asyncio.get_running_loop()
    moved_s = loop.time()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal moved_s, idle_s
        sends = writer is host[1]
        while data := await reader.read(_PIECE_BYTES):
            if answer_only and sends:
                continue
            moved_s = loop.time()
            writer.write(data)
            passed(len(data) if sends else 0, 0 if sends else len(data))
            await writer.drain()  # a reader that is slow slows down who writes
            moved_s = loop.time()
        if answer_only and sends:
            return
        if writer.can_write_eof():
            writer.write_eof()
        else:
            idle_s = min(idle_s, LAST_S)

    pumps = [loop.create_task(pump(a[0], b[1]), name="pump") for a, b in ((client, host), (host, client))]
    try:
        while pending := [task for task in pumps if not task.done()]:
            if any(task.done() and task.exception() is not None for task in pumps):
                break
            left_s = moved_s + idle_s - loop.time()
            if left_s <= 0:
                break
            await asyncio.wait(pending, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        broken = any(not task.done() or task.exception() is not None for task in pumps)
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for _, writer in (client, host):
            if broken:
                writer.transport.abort()
            else:
                writer.close()
