"""The text of a script in a file, read as far as the parser needs it."""

from __future__ import annotations

import os

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
