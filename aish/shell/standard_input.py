"""The text of a script on stdin, read as far as the parser needs it, and no further."""

from __future__ import annotations

import errno
import os

from aish.lang import signals
from aish.lang.control import CommandError
from aish.lang.text import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime


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
