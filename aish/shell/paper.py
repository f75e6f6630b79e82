"""What a line is drawn on: a terminal that can move its cursor, or one that only prints (TERM=dumb)."""

from __future__ import annotations

import errno
import os
import re
import sys
import termios
from typing import TYPE_CHECKING

from prompt_toolkit.data_structures import Size
from prompt_toolkit.output import create_output
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.output.vt100 import Vt100_Output

if TYPE_CHECKING:
    from typing import TextIO

    from prompt_toolkit.output import Output


_NOTHING = re.compile(r"(?:\x1b\[(?:\?25[hl]|\?12l|\?7[hl]|0m))*")
"""How something would be drawn, and nothing that is."""


class Screen(Vt100_Output):
    """One that can move its cursor. Where nothing has changed, it is left alone."""

    brackets = True
    """Whether it is asked to say what is pasted."""

    def enable_bracketed_paste(self) -> None:
        """Have it say so, unless nobody wants that."""
        if self.brackets:
            super().enable_bracketed_paste()

    def disable_bracketed_paste(self) -> None:
        """No longer."""
        if self.brackets:
            super().disable_bracketed_paste()

    def flush(self) -> None:
        drawn = "".join(self._buffer)
        self._buffer.clear()
        if self._cursor_visible is False or not _NOTHING.fullmatch(drawn):
            _put(self.stdout, drawn)


class Paper(PlainTextOutput):
    """One that only prints."""

    def flush(self) -> None:
        printed = "".join(self._buffer)
        self._buffer.clear()
        _put(self.stdout, printed)

    def get_size(self) -> Size:
        """The terminal's, or what is usual."""
        try:
            found = os.get_terminal_size(self.fileno())
        except OSError:
            found = os.terminal_size((0, 0))
        return Size(rows=found.lines or 24, columns=found.columns or 80)


def _put(file: TextIO, text: str) -> None:
    """Past the file's buffer, which would keep what cannot be written: behind `exec 2>&-` nothing is seen, and the
    shell goes on. Raises OSError where the terminal itself is gone."""
    if not hasattr(file, "buffer"):  # a text in memory
        file.write(text)
        return
    data = memoryview(text.encode(file.encoding or "utf-8", "replace"))
    try:
        while data:
            try:
                data = data[os.write(file.fileno(), data) :]
            except BlockingIOError:  # a program has left it so
                os.set_blocking(file.fileno(), True)
    except OSError as error:
        if error.errno == errno.EIO:
            raise


def line_end(output: Output) -> str:
    """What ends a line there: where the terminal makes CR LF of LF, CR LF would become CR CR LF."""
    try:
        modes = termios.tcgetattr(output.fileno())
    except (termios.error, ValueError, NotImplementedError):  # no terminal
        return "\r\n"
    return "\n" if modes[1] & termios.OPOST and modes[1] & termios.ONLCR else "\r\n"


def echoes(fd: int) -> bool:
    """Whether a terminal shows what is typed. Where it does not (`stty -echo`), no editor is to."""
    try:
        return bool(termios.tcgetattr(fd)[3] & termios.ECHO)
    except termios.error:
        return True


def is_paper(term: str) -> bool:
    """Whether a terminal of this kind only prints."""
    return term in ("", "dumb")


def paper() -> Output:
    """The terminal, as one that only prints."""
    return Paper(sys.stderr)


def screen() -> Output:
    """The terminal, as one that can move its cursor. It is stderr, as in bash: `exec >file` is for commands."""
    output = create_output(sys.stderr)
    if isinstance(output, Vt100_Output):
        output.__class__ = Screen
        output.enable_cpr = False  # a terminal that does not answer would be waited for
    return output
