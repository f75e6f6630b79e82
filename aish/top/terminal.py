"""The terminal of the live view: entered raw, left as it was found on every way out."""

from __future__ import annotations

import os
import termios
from typing import TYPE_CHECKING, Any, Final

from aish.errors import UsageError
from aish.top import grid
from aish.top.style import PLAIN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from aish.top.style import Line

ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
"""Alternate screen, no cursor, no wrapping at the right edge, blank."""
LEAVE: Final = "\x1b[?2026l\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
BEGIN: Final = "\x1b[?2026h"
"""Synchronized update: a terminal that knows it shows all of a frame at once, others ignore it."""
END: Final = "\x1b[?2026l"


class Terminal:
    """A cell grid on a terminal: `draw` writes only what differs from what is there.

    `suspend` gives the terminal back for a while (Ctrl-Z), `resume` takes it again. Keys arrive on `input_fd`.
    """

    def __init__(self, output_fd: int = 1, *, colour: bool, ascii_only: bool) -> None:
        """`output_fd` is a terminal; keys are read from stdin, or where that is none, from /dev/tty."""
        self._output_fd = output_fd
        self._colour = colour
        self._encoding = "ascii" if ascii_only else "utf-8"
        self._opened: int | None = None
        self._saved: list[Any] | None = None
        self._shown: grid.Grid | None = None
        self.input_fd = 0

    def __enter__(self) -> Self:
        if not os.isatty(0):
            try:
                self._opened = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise UsageError("top needs a terminal for its keys", hint="do not redirect its input") from error
            self.input_fd = self._opened
        self.resume()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.suspend()
        finally:
            if self._opened is not None:
                os.close(self._opened)
                self._opened = None

    def resume(self) -> None:
        """Enter raw mode and the alternate screen. Signals still come from Ctrl-C and Ctrl-Z."""
        attributes = termios.tcgetattr(self.input_fd)
        if self._saved is None:
            self._saved = attributes
        else:
            self._write(LEAVE)  # stopped without a chance to leave: entering twice would lose the screen below
        raw = [*attributes[:6], list(attributes[6])]
        raw[3] &= ~(termios.ICANON | termios.ECHO)
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self.input_fd, termios.TCSADRAIN, raw)
        self._shown = None
        self._write(ENTER)

    def suspend(self) -> None:
        """Give the terminal back as it was. A terminal that is gone already is no fault."""
        saved, self._saved = self._saved, None
        if saved is None:
            return
        try:
            self._write(LEAVE)
        except OSError:
            pass  # hung up: there is no screen left to restore
        try:
            termios.tcsetattr(self.input_fd, termios.TCSADRAIN, saved)
        except termios.error:
            pass

    def size(self) -> tuple[int, int]:
        """Columns and lines; 80 by 24 where the terminal does not tell."""
        size = os.get_terminal_size(self._output_fd)
        return size.columns or 80, size.lines or 24

    def forget(self) -> None:
        """Something else may have written here: draw everything the next time."""
        self._shown = None

    def draw(self, lines: Sequence[Line], width: int, height: int) -> int:
        """Show the lines; the number of bytes written, 0 where nothing changed. Raises OSError (hung up)."""
        wanted = grid.grid(lines, width, height)
        shown, clear = self._shown, ""
        if shown is None or len(shown) != height or len(shown[0]) != width:
            shown, clear = ((((" ", PLAIN),) * width),) * height, "\x1b[0m\x1b[2J"
        runs = grid.diff(shown, wanted)
        self._shown = wanted
        if not runs and not clear:
            return 0
        return self._write(BEGIN + clear + grid.encode(runs, colour=self._colour) + END)

    def _write(self, text: str) -> int:
        """All of it, in one write where the terminal takes it."""
        data = memoryview(text.encode(self._encoding, "replace"))
        size = len(data)
        while data:
            try:
                data = data[os.write(self._output_fd, data) :]
            except BlockingIOError:
                _wait_writable(self._output_fd)
        return size


def _wait_writable(fd: int) -> None:
    """Another program left the terminal non-blocking."""
    import select

    select.select([], [fd], [])
