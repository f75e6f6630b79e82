"""Secrets by reference: fetched at each start for the environment of the child alone; no value is kept or told.

What is run for a process (hooks, probes, its check) does not get them.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import os
import stat
import sys
from typing import TYPE_CHECKING, Final

from aish.errors import AishError, DisconnectedError
from aish.supervisor.daemon.errands import ErrandError

if TYPE_CHECKING:
    from aish.supervisor.daemon.errands import Errands
    from aish.supervisor.daemon.process import Process
    from aish.wire.spec import SecretPart

ERRAND: Final = "secret"
MOST_BYTES: Final = 64 << 10
_ROOM: Final = MOST_BYTES + (16 << 10)
"""What is too long must be seen to be so: the kernel refuses the first page beyond, and takes what comes before."""


class SecretError(AishError):
    """It cannot be had. `str()` names the variable and where it was to come from, never what was found there."""


class Secrets:
    def __init__(self, errands: Errands) -> None:
        self.errands = errands

    async def fetch(self, process: Process) -> dict[str, str]:
        """Variable -> value. Raises SecretError, DisconnectedError (the next holder is asked again)."""
        found = {}
        for name, source in process.row.spec.secret_sources.items():
            try:
                found[name] = os.fsdecode(value_of(await self._text(process, source)))
            except SecretError as error:
                raise SecretError(f"its secret {name} cannot be had from {source.told()}: {error}") from None
        return found

    async def _text(self, process: Process, source: SecretPart) -> bytes:
        timeout_s = process.row.spec.hook_timeout_s
        if source.file is None:
            return await self._printed(process, _command(source), timeout_s)
        try:
            async with asyncio.timeout(timeout_s):  # a network's file system may hang
                return await asyncio.to_thread(read_file, source.file)
        except TimeoutError:
            raise SecretError(f"it could not be read within {timeout_s:g} s") from None

    async def _printed(self, process: Process, argv: list[bytes], timeout_s: float) -> bytes:
        """What a command writes to stdout: into memory of fixed size, so that no log and no disk ever has it."""
        fd = os.memfd_create("aish-secret", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, _ROOM)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
            end = await self.errands.run(process, ERRAND, argv, timeout_s, out=fd)
            if end.code != 0:
                raise SecretError(f"it ended with {end.shell_status}; its stderr is in the log")
            return os.pread(fd, _ROOM, 0).rstrip(b"\0")
        except ErrandError as error:
            if isinstance(error.__cause__, DisconnectedError):
                raise error.__cause__ from None
            raise SecretError(error.why) from None
        finally:
            os.close(fd)


def _command(source: SecretPart) -> list[bytes]:
    """Raises SecretError."""
    if source.keyring is None:
        return source.command
    if importlib.util.find_spec("keyring") is None:
        raise SecretError("keyring is not installed: pip install 'aish-shell[keyring]'")
    service, _, user = source.keyring.rpartition("/")
    words = [sys.executable, "-P", "-m", "keyring", "get", service, user]  # -P: nothing of the folder it runs in
    return [os.fsencode(word) for word in words]


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
        raise SecretError(f"it is longer than {MOST_BYTES >> 10} KiB")
    if not value:
        raise SecretError("it is empty")
    if b"\0" in value:
        raise SecretError("it holds a NUL byte")
    return value
