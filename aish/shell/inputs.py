"""Where a script's text comes from: read as far as the parser needs it, and no further."""

from __future__ import annotations

import errno
import os

from aish.lang import signals
from aish.lang.control import CommandError
from aish.lang.text import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime

_BLOCK = 1 << 16
_LONG_BYTES = 500
"""A script that is longer needs most of the language."""


class ScriptFile:
    """A script in a file, in blocks of whole lines: what follows an `exit` is never looked at, so a script may
    carry an archive of any size behind it."""

    def __init__(self, rt: Runtime, path: str) -> None:
        try:
            self.fd = rt.private(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            self.rest = os.read(self.fd, _BLOCK)
        except OSError as error:
            status = 127 if isinstance(error, FileNotFoundError) else 126
            raise CommandError(f"{path}: {error.strerror}", status=status) from None
        if b"\0" in self.rest.partition(b"\n")[0] or self.rest[:4] == b"\x7fELF":
            raise CommandError(f"{path}: a binary file, not a script", status=126)
        self.done = not self.rest
        if len(self.rest) > _LONG_BYTES:
            from aish.lang import common  # noqa: F401

    def more(self) -> str:
        """The next lines; '' at the end."""
        while not self.done:
            block = os.read(self.fd, _BLOCK)
            self.done = not block
            end = self.rest.rfind(b"\n") + 1
            if end or self.done:
                end = end or len(self.rest)
                piece, self.rest = self.rest[:end], self.rest[end:] + block
                if piece:
                    return decode(piece)
            else:
                self.rest += block
        piece, self.rest = self.rest, b""
        return decode(piece)


class StandardInput:
    """A script on stdin, line by line: what follows a line belongs to the commands on it as much as to us."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt

    def more(self, *, mode: str = signals.READING) -> str:
        """The next line; '' at the end. Raises Interrupted."""
        with signals.Section(self.rt.signals, mode):
            try:
                return decode(_line())
            except OSError as error:
                if error.errno == errno.EBADF:
                    return ""  # it is closed: nothing is to be done, as in other shells
                raise CommandError(f"stdin: {error.strerror}") from None


def _line() -> bytes:
    """A line from stdin. Where stdin can be sought, blocks are read and the rest is given back."""
    try:
        begin = os.lseek(0, 0, os.SEEK_CUR)
    except OSError:
        return _line_by_bytes()
    found = b""
    while True:
        block = os.read(0, 4096)
        found += block
        newline = found.find(b"\n")
        if newline >= 0 or not block:
            break
    if newline >= 0:
        found = found[: newline + 1]
    os.lseek(0, begin + len(found), os.SEEK_SET)
    return found


def _line_by_bytes() -> bytes:
    found = bytearray()
    while byte := os.read(0, 1):
        found += byte
        if byte == b"\n":
            break
    return bytes(found)
