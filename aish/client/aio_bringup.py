"""Bringing the supervisor up from asyncio: `aish.client.bringup`, which takes its time, as a program of its own."""

from __future__ import annotations

import os
import sys

import msgspec

from aish.client.aio_wait import readable
from aish.client.connection import failure
from aish.errors import UnavailableError
from aish.wire.reply import Failure


async def start() -> None:
    """Raises UnavailableError, StorageError, as `aish.client.bringup.start`."""
    ours, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        try:
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-P", "-m", "aish.client.bringup"],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, theirs, 1),
                ],
            )
        except OSError as error:
            raise UnavailableError(f"cannot start the supervisor: {error.strerror}") from error
        finally:
            os.close(theirs)
        said = await _all(ours)
        await _ended(pid)
    finally:
        os.close(ours)
    if said:
        raise failure(msgspec.json.decode(said, type=Failure, strict=False))


async def _all(fd: int) -> bytes:
    """What is written to a pipe until nobody has its other end."""
    said = b""
    while True:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            await readable([fd])
            continue
        if not data:
            return said
        said += data


async def _ended(pid: int) -> None:
    """Not through asyncio's subprocesses: before Python 3.12 they wait in a thread."""
    try:
        pidfd = os.pidfd_open(pid)
        try:
            await readable([pidfd])
        finally:
            os.close(pidfd)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # whoever has this program reaps all of its children
