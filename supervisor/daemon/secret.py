"""Secrets by reference: fetched at each start for the environment of the child alone; no value is kept or told.

What is run for a process (hooks, probes, its check) does not get them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import threading
from typing import TYPE_CHECKING, Any, Final

from aish.config import keyring
from aish.errors import AishError, UnavailableError
from aish.sealed import sealed
from aish.supervisor.daemon.errands import ErrandError

if TYPE_CHECKING:
    from aish.supervisor.daemon.errands import Errands
    from aish.supervisor.daemon.process import Process
    from aish.wire.spec import SecretPart

ERRAND: Final = "secret"
NOT_WANTED: Final = "it was stopped meanwhile"
MOST_BYTES: Final = 64 << 10
TOO_LONG: Final = f"it is longer than {MOST_BYTES >> 10} KiB"
_ROOM: Final = MOST_BYTES + (16 << 10)
"""What is too long must be seen to be so: the kernel refuses the first page beyond, and takes what comes before."""


class SecretError(AishError):
    """It cannot be had. `str()` names the variable and where it was to come from, never what was found there."""


class Secrets:
    def __init__(self, errands: Errands) -> None:
        self.errands = errands
        self._given_up: dict[str, asyncio.Future[None]] = {}
        """Of the processes whose secrets are being fetched: done when nobody wants them any more."""

    async def fetch(self, process: Process) -> dict[str, str]:
        """Variable -> value. Raises SecretError."""
        given_up = self._given_up[process.id] = asyncio.get_running_loop().create_future()
        try:
            return await self._fetch(process, given_up)
        finally:
            del self._given_up[process.id]

    def give_up(self, process: Process) -> None:
        """Let `fetch` raise at once, whatever it waits for."""
        given_up = self._given_up.get(process.id)
        if given_up is not None and not given_up.done():
            given_up.set_result(None)
            self.errands.give_up(process, ERRAND)

    async def _fetch(self, process: Process, given_up: asyncio.Future[None]) -> dict[str, str]:
        found = {}
        for name, source in process.row.spec.secret_sources.items():
            try:
                if given_up.done():
                    raise SecretError(NOT_WANTED)
                found[name] = os.fsdecode(value_of(await self._text(process, source, given_up)))
            except SecretError as error:
                raise SecretError(f"its secret {name} cannot be had from {source.told()}: {error}") from None
        return found

    async def _text(self, process: Process, source: SecretPart, given_up: asyncio.Future[None]) -> bytes:
        timeout_s = process.row.spec.hook_timeout_s
        if source.file is None:
            return await self._printed(process, _command(source), timeout_s)
        reading = read_apart(source.file)
        both: set[asyncio.Future[Any]] = {reading, given_up}
        await asyncio.wait(both, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            return reading.result()
        raise SecretError(NOT_WANTED if given_up.done() else f"it could not be read within {timeout_s:g} s")

    async def _printed(self, process: Process, argv: list[bytes], timeout_s: float) -> bytes:
        """What a command writes to stdout: into memory of fixed size, so that no log and no disk ever has it."""
        with sealed("aish-secret", _ROOM) as fd:
            try:
                end = await self.errands.run(process, ERRAND, argv, timeout_s, out=fd)
            except ErrandError as error:
                raise SecretError(error.why) from None
            text = os.pread(fd, _ROOM, 0).rstrip(b"\0")
        if len(text) > MOST_BYTES + 2:  # it may have been refused the rest, and have failed for that
            raise SecretError(TOO_LONG)
        if end.code != 0:
            raise SecretError(f"it ended with {end.shell_status}; its stderr is in the log")
        return text


def _command(source: SecretPart) -> list[bytes]:
    """Raises SecretError."""
    if source.keyring is None:
        return source.command
    try:
        return keyring.lookup(source.keyring)
    except UnavailableError as error:
        raise SecretError(str(error)) from None


def read_apart(path: bytes) -> asyncio.Future[bytes]:
    """`read_file` in a thread of its own: a network's file system may hang, and then neither the loop, nor the pool
    that others use, nor the end of the daemon may wait for it."""
    loop = asyncio.get_running_loop()
    reading: asyncio.Future[bytes] = loop.create_future()

    def tell(found: bytes | SecretError) -> None:
        match found:
            case _ if reading.done():
                pass
            case SecretError():
                reading.set_exception(found)
                reading.exception()  # nobody may ask for it
            case _:
                reading.set_result(found)

    def read() -> None:
        found: bytes | SecretError
        try:
            found = read_file(path)
        except SecretError as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=read, name="secret", daemon=True).start()
    return reading


def read_file(path: bytes) -> bytes:
    """What a file holds that nobody but its owner can read. Not for the loop. Raises SecretError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with open(fd, "rb") as file:
            why = unfit(os.fstat(fd), os.geteuid())
            if why is not None:
                raise SecretError(why)
            return file.read(_ROOM)
    except OSError as error:
        raise SecretError(error.strerror or str(error)) from None


def unfit(status: os.stat_result, uid: int) -> str | None:
    """Why a secret is not read from such a file; None: it is. Pure."""
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_uid not in (0, uid):
        return "it belongs to another user"
    if status.st_mode & 0o077:
        return f"others may read or write it (mode {stat.S_IMODE(status.st_mode):04o}): chmod 600 it"
    return None


def value_of(text: bytes) -> bytes:
    """The text without its last line end. Pure. Raises SecretError."""
    value = text.removesuffix(b"\n").removesuffix(b"\r")
    if len(value) > MOST_BYTES:
        raise SecretError(TOO_LONG)
    if not value:
        raise SecretError("it is empty")
    if b"\0" in value:
        raise SecretError("it holds a NUL byte")
    return value
