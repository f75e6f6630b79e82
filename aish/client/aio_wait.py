"""Waiting for descriptors in asyncio: sockets with descriptors on them, inotify and pidfds have no streams there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


async def readable(fds: Collection[int], timeout_s: float | None = None) -> list[int]:
    """Sleep until one of the descriptors is readable; those that are. Empty: the time is over."""
    loop = asyncio.get_running_loop()
    found: list[int] = []
    woken: asyncio.Future[None] = loop.create_future()

    def told(fd: int) -> None:
        found.append(fd)
        loop.remove_reader(fd)
        if not woken.done():
            woken.set_result(None)

    for fd in fds:
        loop.add_reader(fd, told, fd)
    try:
        async with asyncio.timeout(timeout_s):
            await woken
    except TimeoutError:
        pass
    finally:
        for fd in fds:
            loop.remove_reader(fd)
    return found


async def writable(fd: int) -> None:
    """Sleep until the descriptor takes more."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()

    def told() -> None:
        if not woken.done():
            woken.set_result(None)

    loop.add_writer(fd, told)
    try:
        await woken
    finally:
        loop.remove_writer(fd)
