"""Real keys of model servers: from 0600 files or commands, nowhere else; taken out of what servers send back."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Final

import msgspec

from aish.errors import StorageError
from aish.supervisor.gateway.key_command import KeyCommands
from aish.supervisor.gateway.routes import Server

MAX_KEY_BYTES: Final = 8192
SECRET_CHARS: Final = 12
"""A shorter key is a placeholder ("EMPTY", "ollama"), and a word that answers may contain."""
_MASK: Final = b"***"


@dataclass(slots=True)
class _Kept:
    stamp: tuple[int, int, int]
    value: str


class ProviderKeys:
    """The keys of all servers; a file that changed is read anew."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._commands = KeyCommands()

    async def fetch(self, server: Server) -> None:
        """To be called before `key`. Raises StorageError where a command does not print it."""
        if server.key is not None and server.key.file is None:
            await self._commands.fetch(server.key, server.name)

    def refused(self, server: Server) -> None:
        """The server does not take it."""
        if server.key is not None and server.key.file is None:
            self._commands.refused(server.key)

    def key(self, server: Server) -> str | None:
        """The server's real key, as it was fetched or is in its file now. Raises StorageError when that cannot be
        read, others can read it, or it holds none."""
        source = server.key
        if source is not None and source.file is None:
            return _checked(self._commands.text(source), f"{source.told()} printed no key for {server.name}")
        path = server.key_file if source is None or source.file is None else os.fsdecode(source.file)
        if path is None:
            return None
        return self._in_file(server, os.path.expanduser(path))

    def _in_file(self, server: Server, path: str) -> str:
        try:
            stamp = _stamp(server, path, os.stat(path))
            known = self._kept.get(path)
            if known is None or known.stamp != stamp:
                known = self._kept[path] = _read(server, path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise StorageError(f"cannot read the key file of {server.name}: {reason}", hint=path) from error
        return _checked(known.value, f"the key file of {server.name} has no key in its first line", path)

    def scrub(self, server: Server) -> Scrub:
        """Takes the key that the server has now out of what it sends. Raises StorageError."""
        key = self.key(server)
        return _NOTHING if key is None else Scrub(key)


class Scrub:
    """One key, and what it is replaced in."""

    __slots__ = ("_forms", "_secret")

    def __init__(self, key: str | None) -> None:
        written = "" if key is None else msgspec.json.encode(key)[1:-1].decode()
        # As it is, as JSON writes it, and as those write it who also escape the slash.
        forms = {key or "", written, written.replace("/", "\\/")} - {""}
        self._forms = sorted((form.encode() for form in forms), key=len, reverse=True)
        self._secret = key is not None and len(key) >= SECRET_CHARS

    def error(self, data: bytes) -> bytes:
        """What a server says of itself."""
        for form in self._forms:
            data = data.replace(form, _MASK)
        return data

    def answer(self, data: bytes) -> bytes:
        """Whole events, or a whole reply: a key has no line end in it, so it is never cut between two events."""
        return self.error(data) if self._secret else data

    def header(self, value: str) -> str:
        return self.error(value.encode(errors="surrogateescape")).decode(errors="surrogateescape")


_NOTHING: Final = Scrub(None)


def _checked(value: str, otherwise: str, hint: str | None = None) -> str:
    if not value or not value.isascii() or not value.isprintable():
        raise StorageError(otherwise, hint=hint)
    return value


def _read(server: Server, path: str) -> _Kept:
    # Between stat and open it may have become a pipe: opening must not wait for somebody who writes.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        stamp = _stamp(server, path, os.fstat(fd))
        data = os.read(fd, MAX_KEY_BYTES)
    finally:
        os.close(fd)
    return _Kept(stamp, data.partition(b"\n")[0].decode().strip())


def _stamp(server: Server, path: str, status: os.stat_result) -> tuple[int, int, int]:
    """What changes with the file. Raises StorageError where it is none that may hold a key."""
    if not stat.S_ISREG(status.st_mode):
        raise StorageError(f"the key file of {server.name} is not a regular file", hint=path)
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise StorageError(f"others can read the key file of {server.name}", hint=f"chmod 600 {path}")
    return status.st_mtime_ns, status.st_size, status.st_ino
