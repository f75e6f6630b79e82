"""Keys, read no further than the end of a line: what was typed behind it belongs to the command on it."""

from __future__ import annotations

import os
import select
import sys
import termios
from typing import TYPE_CHECKING, TextIO

from prompt_toolkit.input.posix_utils import PosixStdinReader
from prompt_toolkit.input.vt100 import Vt100Input, raw_mode

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from prompt_toolkit.input import Input

_PASTE_BEGINS = b"\x1b[200~"
_PASTE_ENDS = b"\x1b[201~"
_STOPS = b"\r\n\t"
"""A line's end; and Tab, so that what it completes is there before the next key."""


def keyboard() -> Input | None:
    """The terminal on stdin; None where there is none."""
    return LineInput(sys.stdin) if sys.stdin.isatty() else None


class _Keys(raw_mode):
    """Keys as they come, but for those that mean signals: a Ctrl-C that is typed while the terminal passes from the
    editor to a command reaches whoever has it then. Enter is a new line, as for commands: what is typed ahead while
    a line is edited ends as one for them, too."""

    @classmethod
    def _patch_iflag(cls, attrs: int) -> int:
        return int(super()._patch_iflag(attrs)) | (attrs & termios.ICRNL)

    @classmethod
    def _patch_lflag(cls, attrs: int) -> int:
        return int(super()._patch_lflag(attrs)) | (attrs & termios.ISIG)


class LineInput(Vt100Input):
    """prompt_toolkit's input with a reader of our own."""

    def raw_mode(self) -> AbstractContextManager[None]:
        """While a line is edited."""
        return _Keys(self._fileno)

    def __init__(self, stdin: TextIO) -> None:
        super().__init__(stdin)
        self.stdin_reader = _LineReader(self._fileno, encoding=stdin.encoding)


class _LineReader(PosixStdinReader):
    """Byte by byte: a terminal cannot be given back what was taken too much."""

    def __init__(self, stdin_fd: int, encoding: str) -> None:
        super().__init__(stdin_fd, encoding=encoding)
        self._tail = b""
        self._pasting = False
        self._poll = select.poll()
        self._poll.register(stdin_fd, select.POLLIN)

    def read(self, count: int = 1024) -> str:
        """What is there, up to a stop; of a paste all."""
        data = bytearray()
        while not self.closed and self._poll.poll(0):
            try:
                byte = os.read(self.stdin_fd, 1)
            except InterruptedError:
                continue
            except OSError:
                byte = b""
            if not byte:
                self.closed = True
                break
            data += b"\r" if byte == b"\n" and not self._pasting else byte  # for the editor it is Enter
            self._tail = (self._tail + byte)[-len(_PASTE_BEGINS) :]
            if self._tail in (_PASTE_BEGINS, _PASTE_ENDS):
                self._pasting = self._tail == _PASTE_BEGINS
            elif byte in _STOPS and not self._pasting:
                break
        return self._stdin_decoder.decode(bytes(data))
