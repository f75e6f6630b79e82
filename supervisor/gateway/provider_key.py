"""Real keys of model servers: read here and nowhere else, from 0600 files; taken out of what servers send back."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Final

import msgspec

from aish.errors import StorageError
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

    def key(self, server: Server) -> str | None:
        """The server's real key. Raises StorageError when its file cannot be read or others can read it."""
        if server.key_file is None:
            return None
        path = os.path.expanduser(server.key_file)
        try:
            stamp = _stamp(server, path, os.stat(path))
            known = self._kept.get(path)
            if known is None or known.stamp != stamp:
                known = self._kept[path] = _read(server, path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise StorageError(f"cannot read the key file of {server.name}: {reason}", hint=path) from error
        if not known.value or not known.value.isascii() or not known.value.isprintable():
            raise StorageError(f"the key file of {server.name} has no key in its first line", hint=path)
        return known.value

    def scrub(self, server: Server) -> Scrub:
        """Takes the key that the server has now out of what it sends. Raises StorageError."""
        return Scrub(self.key(server))


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
