"""The text of a script in a file, read as far as the parser needs it."""

from __future__ import annotations

import os

from aish.lang.control import CommandError
from aish.lang.text import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.kept_trees import KeptParser
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source

_BLOCK = 1 << 16
_LONG_BYTES = 500
"""A script that is longer needs most of the language."""


class ScriptFile:
    """A script in a file, in blocks of whole lines: what follows an `exit` is never looked at, so a script may
    carry an archive of any size behind it."""

    def __init__(self, rt: Runtime, path: str) -> None:
        try:
            self.fd = rt.private(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            self.status = os.fstat(self.fd)  # before it is read: of another text nothing is kept
            self.rest = os.read(self.fd, _BLOCK)
        except OSError as error:
            status = 127 if isinstance(error, FileNotFoundError) else 126
            raise CommandError(f"{path}: {error.strerror}", status=status) from None
        self.began_s = rt.began_s
        if b"\0" in self.rest.partition(b"\n")[0] or self.rest[:4] == b"\x7fELF":
            raise CommandError(f"{path}: a binary file, not a script", status=126)
        self.got_bytes = len(self.rest)
        self.kept: KeptParser | None = None
        self.is_long = self.got_bytes > _LONG_BYTES
        if self.is_long:
            from aish.lang import common  # noqa: F401

    def more(self) -> str:
        """The next lines; '' at the end, which is where the file ends now: a script may add to itself."""
        while not (end := self.rest.rfind(b"\n") + 1):
            block = os.read(self.fd, _BLOCK)
            if not block:
                end = len(self.rest)
                break
            self.got_bytes += len(block)
            self.rest += block
            if self.kept is not None and self._has_changed():
                self.kept.distrust()  # by the script itself perhaps, behind what it has run
        piece, self.rest = self.rest[:end], self.rest[end:]
        return decode(piece)

    def ended(self) -> bool:
        """Whether there is no more."""
        return not self.rest and self.got_bytes >= os.fstat(self.fd).st_size

    def parser(self, source: Source, folder: str) -> KeptParser | None:
        """What reads it, where its tree can be kept in `folder`, and that is worth it."""
        if not self.is_long:
            return None
        from aish.lang.kept_trees import parser_of

        self.kept = parser_of(source, self.status, folder, self.began_s, self.more, self.ended)
        return self.kept

    def _has_changed(self) -> bool:
        now = os.fstat(self.fd)
        return now.st_ctime_ns != self.status.st_ctime_ns or now.st_mtime_ns != self.status.st_mtime_ns
