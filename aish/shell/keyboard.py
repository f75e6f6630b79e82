"""Keys, read no further than the end of a line: what was typed behind it belongs to the command on it."""

from __future__ import annotations

import os
import select
import sys
import termios
from typing import TYPE_CHECKING, Any, TextIO

from prompt_toolkit.input.posix_utils import PosixStdinReader
from prompt_toolkit.input.vt100 import Vt100Input, raw_mode

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from prompt_toolkit.input import Input

_PASTE_BEGINS = b"\x1b[200~"
_PASTE_ENDS = b"\x1b[201~"
_STOPS = b"\r\n\t"
"""A line's end; and Tab, so that what it completes is there before the next key."""


def keyboard() -> Input | None:
    """The terminal on stdin; None where there is none."""
    return LineInput(sys.stdin) if sys.stdin.isatty() else None


_EDITING = ((termios.VERASE, b"\x7f"), (termios.VKILL, b"\x15"), (termios.VWERASE, b"\x17"))
"""What `stty erase X` and its like choose, and the keys that do that in the editor."""
_OWN = b"\x7f\x08\x15\x17\x1b\r\n\0"
"""Keys that do it anyway, or can do nothing else."""
_CC = 6
"""Where the special characters are among a terminal's modes."""
_SILENCE_MS = 500
"""So long may a terminal far away take to send more of what is pasted."""


class _Keys(raw_mode):
    """Keys as they come, but for those that mean signals: a Ctrl-C that is typed while the terminal passes from the
    editor to a command reaches whoever has it then. Enter is a new line, as for commands: what is typed ahead while
    a line is edited ends as one for them, too. Whoever has the terminal next, without a word from us, can read from
    it: a read waits for a byte, as programs expect."""

    @classmethod
    def _patch_iflag(cls, attrs: int) -> int:
        return int(super()._patch_iflag(attrs)) | (attrs & termios.ICRNL)

    @classmethod
    def _patch_lflag(cls, attrs: int) -> int:
        return int(super()._patch_lflag(attrs)) | (attrs & termios.ISIG)


def _chosen(fd: int) -> dict[bytes, bytes]:
    """What somebody has the terminal take for keys that edit: the editor's keys for it."""
    try:
        special = termios.tcgetattr(fd)[_CC]
    except termios.error:
        return {}  # hung up: reading will say so
    return {char: key for place, key in _EDITING if (char := special[place]) not in _OWN}


class LineInput(Vt100Input):
    """prompt_toolkit's input with a reader of our own."""

    def raw_mode(self) -> AbstractContextManager[None]:
        """While a line is edited."""
        self._reader.chosen = _chosen(self._fileno)
        return _Keys(self._fileno)

    def __init__(self, stdin: TextIO) -> None:
        super().__init__(stdin)
        self.stdin_reader = self._reader = _LineReader(self._fileno, encoding=stdin.encoding)

    def hold(self, held: Callable[[], bool]) -> None:
        """Leave keys where they are while something that came before them waits to be acted upon."""
        self._reader.held = held

    def drop_paste(self) -> None:
        """Nothing is left of one that Ctrl-C came into: its end may be among what the terminal dropped at that key,
        and the rest must not be taken for what was typed."""
        self._reader.drop_paste()
        self.vt100_parser.reset()


class _AtOnce:
    """Reads that find what is there, or nothing: a Ctrl-C that comes between looking and reading has the terminal
    drop what was typed, and nobody would hear of it before the next key. Never longer than it takes to read: to a
    shell that has the terminal when we are gone, nothing would be the end of its input."""

    __slots__ = ("before", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.before: list[Any] | None = None

    def __enter__(self) -> None:
        try:
            modes = termios.tcgetattr(self.fd)
            self.before = termios.tcgetattr(self.fd)
            modes[_CC][termios.VMIN] = 0
            termios.tcsetattr(self.fd, termios.TCSANOW, modes)
        except termios.error:
            pass  # hung up: reading will say so

    def __exit__(self, *exception: object) -> None:
        if self.before is not None:
            try:
                termios.tcsetattr(self.fd, termios.TCSANOW, self.before)
            except termios.error:
                pass


class _LineReader(PosixStdinReader):
    """Byte by byte: a terminal cannot be given back what was taken too much."""

    def __init__(self, stdin_fd: int, encoding: str) -> None:
        super().__init__(stdin_fd, encoding=encoding)
        self._tail = b""
        self._pasting = False
        self.chosen: dict[bytes, bytes] = {}
        self.held: Callable[[], bool] = bool
        self._poll = select.poll()
        self._poll.register(stdin_fd, select.POLLIN)

    def drop_paste(self) -> None:
        """Until its end, or until nothing comes any more."""
        while self._pasting and not self.closed and self._poll.poll(_SILENCE_MS):
            with _AtOnce(self.stdin_fd):
                self._byte()
        self._pasting = False
        self._tail = b""

    def _byte(self) -> bytes:
        """The next one; none at the end of the input, or where Ctrl-C has taken it away."""
        try:
            byte = os.read(self.stdin_fd, 1)
            if not byte:
                termios.tcgetattr(self.stdin_fd)
        except (OSError, termios.error):
            byte, self.closed = b"", True
        self._tail = (self._tail + byte)[-len(_PASTE_BEGINS) :]
        if self._tail in (_PASTE_BEGINS, _PASTE_ENDS):
            self._pasting = self._tail == _PASTE_BEGINS
        return byte

    def read(self, count: int = 1024) -> str:
        """What is there, up to a stop; of a paste all."""
        data = b""
        if self._is_more():
            with _AtOnce(self.stdin_fd):
                data = self._burst()
        return self._stdin_decoder.decode(data)

    def _is_more(self) -> bool:
        return not self.closed and not self.held() and bool(self._poll.poll(0))

    def _burst(self) -> bytes:
        """One byte at least, unless it has just gone."""
        data = bytearray()
        while not data or self._is_more():
            byte = self._byte()
            if not byte:
                break
            if self._pasting:
                data += byte
            else:
                data += b"\r" if byte == b"\n" else self.chosen.get(byte, byte)  # for the editor it is Enter
            if byte in _STOPS and not self._pasting:
                break
        return bytes(data)
