"""Bytes both ways between two connections, until both have said all, one is broken, or nothing comes for too long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aish.supervisor.egress.address import Streams

IDLE_S: Final = 15 * 60.0
_PIECE_BYTES: Final = 64 << 10


async def relay(one: Streams, other: Streams, idle_s: float = IDLE_S, *, answer_only: bool = False) -> None:
    """Both are closed then. An end of one direction is passed on, and the other one goes on. `answer_only`: what
    `one` says goes nowhere."""
    loop = asyncio.get_running_loop()
    moved_s = loop.time()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal moved_s
        while data := await reader.read(_PIECE_BYTES):
            if answer_only and writer is other[1]:
                continue
            moved_s = loop.time()
            writer.write(data)
            await writer.drain()  # a reader that is slow slows down who writes
            moved_s = loop.time()
        if writer.can_write_eof() and not (answer_only and writer is other[1]):
            writer.write_eof()

    pumps = [loop.create_task(pump(a[0], b[1]), name="pump") for a, b in ((one, other), (other, one))]
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
        for _, writer in (one, other):
            if broken:
                writer.transport.abort()
            else:
                writer.close()
