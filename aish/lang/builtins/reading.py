"""read: a line from stdin into variables, and not a byte more."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import select
import time

from aish.lang.builtins.letters import with_values
from aish.lang.builtins.line_reading import quick
from aish.lang.builtins.read_fields import split_all, split_read
from aish.lang.control import CommandError
from aish.lang.descriptors import MOST_FD
from aish.lang.digits import saturated
from aish.lang.signals import DEADLY, die
from aish.lang.subscripts import follow, split, store
from aish.lang.text import decode, encode, is_name, spread, together

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime

_BLOCK = 4096
_INFINITE = float("inf")
_POLL_MOST_S = 86_400.0
"""poll(2) refuses times that are very long: they are made of several waits."""


class _Wanted:
    """read's options."""

    def __init__(self) -> None:
        self.raw = False
        self.silent = False
        self.prompt = ""
        self.delimiter = b"\n"
        self.count = -1
        self.exact = False
        self.deadline: float | None = None
        self.edited = False
        self.begin = ""
        self.fd = 0
        self.only_looks = False
        self.bytewise = False
        self.names: list[str] = []
        self.array = ""


def read(rt: Runtime, argv: list[str]) -> int:
    """read [-ers] [-a array] [-d delimiter] [-i text] [-n|-N count] [-p prompt] [-t seconds] [-u fd] [name ...]:
    a line of stdin, its fields into variables."""
    status = quick(rt, argv)
    if status is not None:
        return status
    wanted = _options(rt, argv)
    if wanted.only_looks:
        return 0 if _has_input(wanted.fd) else 1
    edited = wanted.edited and not wanted.silent and wanted.count < 0 and os.isatty(wanted.fd) and os.isatty(2)
    if wanted.prompt and not edited and os.isatty(wanted.fd):
        rt.prompt(wanted.prompt)
    by_key = not edited and (wanted.count >= 0 or wanted.delimiter != b"\n")
    modes = _Modes(wanted.fd, wanted.silent, by_key) if (wanted.silent or by_key) and os.isatty(wanted.fd) else None
    try:
        with rt.reading():
            data, status = _edited_line(rt, wanted) if edited else _line(rt, wanted)
    except OSError as error:
        raise CommandError(f"descriptor {wanted.fd}: {error.strerror}") from None
    finally:
        if modes is not None:
            modes.restore()
    _assign(rt, wanted, decode(data.replace(b"\0", b"")))
    return status


def _has_input(fd: int) -> bool:
    """-t 0: whether a read would not wait."""
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return any(not event & select.POLLNVAL for _, event in poll.poll(0))
    except OSError:
        return False  # nothing can be read


def _options(rt: Runtime, argv: list[str]) -> _Wanted:
    wanted = _Wanted()
    wanted.bytewise = rt.locale.bytewise
    options, wanted.names = with_values(argv, "ersa:d:i:n:N:p:t:u:")
    timeout = rt.vars.get("TMOUT")
    if timeout and timeout.isdecimal() and timeout.strip("0"):
        _option(wanted, "t", timeout)
    for letter, value in options:
        if letter == "r":
            wanted.raw = True
        elif letter == "s":
            wanted.silent = True
        elif letter == "e":
            wanted.edited = True
        elif letter == "i":
            wanted.begin = value
        else:
            _option(wanted, letter, value)
    for name in wanted.names:
        if not is_name(name) and not ("[" in name and split(name)):
            raise CommandError(f"{name}: not a variable's name")
    return wanted


def _option(wanted: _Wanted, letter: str, value: str) -> None:
    match letter:
        case "a":
            if not is_name(value):
                raise CommandError(f"{value}: not a variable's name")
            wanted.array = value
        case "d":
            wanted.delimiter = os.fsencode(value)[:1] or b"\0"
        case "p":
            wanted.prompt = value
        case "t":
            try:
                seconds = float(value)
            except ValueError:
                seconds = _INFINITE
            if not 0 <= seconds < _INFINITE:  # nan, too
                raise CommandError(f"{value}: seconds expected")
            wanted.only_looks = seconds == 0
            wanted.deadline = time.monotonic() + seconds
        case _:
            if not (value.isdecimal() and value.isascii()):
                raise CommandError(f"{value}: a number expected")
            if letter == "u":
                wanted.fd = min(saturated(value), MOST_FD)
            else:
                wanted.count = saturated(value)
                wanted.exact = letter == "N"


def _edited_line(rt: Runtime, wanted: _Wanted) -> tuple[bytes, int]:
    """-e: what is typed and edited, to the end of the line."""
    within_s = None if wanted.deadline is None else max(wanted.deadline - time.monotonic(), 0.0)
    try:
        text = rt.host.edit_line(rt, wanted.prompt, wanted.begin, within_s)
    except TimeoutError:
        return b"", 142
    return (b"", 1) if text is None else (encode(text), 0)


def _line(rt: Runtime, wanted: _Wanted) -> tuple[bytes, int]:
    """The bytes up to the delimiter, continued lines put together; status 1 where the input ended first. Whoever
    types is told by PS2 that the line goes on."""
    found = bytearray()
    characters = 0
    reader = _Reader(wanted)
    delimiter = wanted.delimiter
    if wanted.count < 0:
        whole = reader.line(delimiter, wanted.raw)
        if whole is not None:
            return whole, 0
    while wanted.count < 0 or characters < wanted.count:
        byte = reader.byte()
        if byte is None:
            reader.finish()
            return bytes(found), 142
        if not byte:
            reader.finish()
            return bytes(found), 1
        if byte == delimiter and not wanted.exact:
            break
        if byte == b"\\" and not wanted.raw:
            escaped = reader.byte()
            if escaped == b"\n":
                if rt.interactive and os.isatty(wanted.fd):
                    from aish.lang.prompts import expand

                    rt.prompt(expand(rt, "PS2"))
                continue
            if not escaped:
                reader.finish()
                return bytes(found), 1
            found += b"\\" + escaped
            characters += 1
            continue
        found += byte
        characters += 1 if wanted.bytewise else byte[0] & 0xC0 != 0x80
        if wanted.count >= 0 and byte[0] >= 0xC0 and not wanted.bytewise:
            while len(tail := reader.byte() or b"") == 1 and _more_follow(found, tail):
                pass
    reader.finish()
    return bytes(found), 0


def _more_follow(found: bytearray, tail: bytes) -> bool:
    """Take a byte of a UTF-8 sequence; False when the sequence is complete."""
    found += tail
    start = len(found) - 1
    while start > 0 and found[start] & 0xC0 == 0x80:
        start -= 1
    lead = found[start]
    length = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    return len(found) - start < length


class _Reader:
    """Bytes from a descriptor. What can be sought is read in blocks, and the rest given back; from a pipe or a
    terminal no more than one byte at a time is taken, for the next command may want the next one."""

    def __init__(self, wanted: _Wanted) -> None:
        self.fd = wanted.fd
        self.deadline = wanted.deadline
        self.block = b""
        self.at = 0
        try:
            os.lseek(self.fd, 0, os.SEEK_CUR)
            self.size = _BLOCK
        except OSError:
            self.size = 1

    def line(self, delimiter: bytes, raw: bool) -> bytes | None:
        """The bytes up to the delimiter, where one block of what can be sought holds them and no backslash
        has a meaning: the common case. None leaves the block to `byte`."""
        if self.size == 1 or self.deadline is not None:
            return None
        self.block = os.read(self.fd, self.size)
        end = self.block.find(delimiter)
        if end < 0 or not (raw or self.block.find(b"\\", 0, end) < 0):
            return None
        self.at = end + 1
        self.finish()
        return self.block[:end]

    def byte(self) -> bytes | None:
        """The next byte; b'' at the end, None when the time is up."""
        if self.at >= len(self.block):
            if self.deadline is not None and not self._readable(self.deadline):
                return None
            self.block = os.read(self.fd, self.size)
            self.at = 0
            if not self.block:
                return b""
        self.at += 1
        return self.block[self.at - 1 : self.at]

    def _readable(self, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        while True:
            left = max(deadline - time.monotonic(), 0.0)
            if poll.poll(min(left, _POLL_MOST_S) * 1000):
                return True
            if left <= _POLL_MOST_S:
                return False

    def finish(self) -> None:
        """Give back what was read too far."""
        extra = len(self.block) - self.at
        if extra:
            os.lseek(self.fd, -extra, os.SEEK_CUR)


class _Modes:
    """A terminal that does not echo (`silent`: passwords), or gives each key as it comes and not a whole line
    (`by_key`: -n 1 is to answer at once)."""

    def __init__(self, fd: int, silent: bool, by_key: bool) -> None:
        import termios

        self.fd = fd
        self.before = termios.tcgetattr(fd)
        modes = termios.tcgetattr(fd)
        if silent:
            modes[3] &= ~termios.ECHO
        if by_key:
            modes[3] &= ~termios.ICANON
            modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        termios.tcsetattr(fd, termios.TCSADRAIN, modes)
        self.deadly = [signo for signo in DEADLY if _signal.getsignal(signo) is _signal.SIG_DFL]
        for signo in self.deadly:
            _signal.signal(signo, self._die)

    def _die(self, signo: int, frame: object) -> None:
        self.restore()
        die(signo)

    def restore(self) -> None:
        import termios

        termios.tcsetattr(self.fd, termios.TCSADRAIN, self.before)
        for signo in self.deadly:
            if _signal.getsignal(signo) == self._die:  # else an action has set a trap
                _signal.signal(signo, _signal.SIG_DFL)


def _assign(rt: Runtime, wanted: _Wanted, line: str) -> None:
    if wanted.array:
        _assign_array(rt, wanted, line)
        return
    if wanted.exact or not wanted.names:
        for i, name in enumerate(wanted.names or ["REPLY"]):
            _put(rt, name, "" if i else _whole(wanted, line))
        return
    values = split_read(_divisible(rt, line), rt.separators, rt.blanks, len(wanted.names), raw=wanted.raw)
    for name, value in zip(wanted.names, values, strict=True):
        _put(rt, name, together(value))


def _divisible(rt: Runtime, line: str) -> str:
    """The line, of which IFS separates bytes where the locale has no other characters."""
    return spread(line) if rt.locale.bytewise and not line.isascii() else line


def _put(rt: Runtime, name: str, value: str) -> None:
    if "[" in name:
        store(rt, name, value)
    else:
        rt.vars.set(name, value)


def _whole(wanted: _Wanted, line: str) -> str:
    """The line as it is, less its backslashes where they had a meaning."""
    from aish.lang.pattern import unescape

    return line if wanted.raw else unescape(line)


def _assign_array(rt: Runtime, wanted: _Wanted, line: str) -> None:
    """read -a: every field is an element; with -N all is one."""
    from aish.lang.arrays import Indexed

    name = wanted.array
    if name in rt.vars.references:
        name = follow(rt, name)[0]
    array = rt.vars.arrays.get(name)
    if array is not None and array.associative:
        raise CommandError(f"{name}: not an indexed array")
    whole = [_whole(wanted, line)] if wanted.exact else None
    values = whole or split_all(_divisible(rt, line), rt.separators, rt.blanks, raw=wanted.raw)
    rt.vars.put(name, Indexed([]))
    for at, value in enumerate(values):
        rt.vars.set_element(name, at, together(value))


TABLE: dict[str, Builtin] = {"read": read}
