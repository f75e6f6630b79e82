"""mapfile, readarray: the lines of a descriptor as the elements of an array."""

from __future__ import annotations

import os

from aish.lang.arrays import Indexed
from aish.lang.control import CommandError, Interrupted
from aish.lang.descriptors import MOST_FD
from aish.lang.digits import saturated
from aish.lang.text import decode, is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime

_BLOCK = 1 << 16
_QUANTUM = 5000


class _Wanted:
    """mapfile's options."""

    def __init__(self) -> None:
        self.delimiter = b"\n"
        self.most = 0
        self.origin: int | None = None
        self.skip = 0
        self.strip = False
        self.fd = 0
        self.callback = ""
        self.quantum = _QUANTUM
        self.name = "MAPFILE"


def mapfile(rt: Runtime, argv: list[str]) -> int:
    """mapfile [-t] [-d delimiter] [-n|-O|-s|-u|-c number] [-C callback] [array]: read lines into an array."""
    wanted = _options(argv)
    name = wanted.name
    if name in rt.vars.references:
        from aish.lang.subscripts import resolve

        name = resolve(rt, name)[0]
    rt.vars.check(name)
    array = rt.vars.arrays.get(name)
    if array is not None and array.associative:
        raise CommandError(f"{name}: not an indexed array")
    if wanted.origin is None or array is None:
        array = Indexed()
        rt.vars.put(name, array)
    array.unset = False
    at = wanted.origin or 0
    count = 0
    letters = rt.vars.attributes.get(name)
    try:
        with rt.reading():
            for line in _lines(wanted):
                value = decode(line)
                if wanted.callback and (count + 1) % wanted.quantum == 0:
                    _call(rt, wanted.callback, at, value)
                if letters:
                    value = rt.vars.converted(letters, value)
                array.set(at, value)
                at += 1
                count += 1
    except Interrupted as error:
        if rt.lasting:
            raise
        return 128 + error.signo
    except OSError as error:
        raise CommandError(f"descriptor {wanted.fd}: {error.strerror}") from None
    return 0


def _call(rt: Runtime, callback: str, at: int, line: str) -> None:
    from aish.lang.evaluate import run_text
    from aish.lang.transforms import quoted

    run_text(rt, f"{callback} {at} {quoted(line)}", "mapfile")


def _options(argv: list[str]) -> _Wanted:
    wanted = _Wanted()
    at = 1
    while at < len(argv) and len(argv[at]) > 1 and argv[at][0] == "-":
        word = argv[at]
        at += 1
        if word == "--":
            break
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter == "t":
                wanted.strip = True
                continue
            if letter not in "dnOsuCc":
                raise CommandError(f"-{letter}: unknown option", status=2, hint="options are: d n O s t u C c")
            value, letters = letters, ""
            if not value:
                if at >= len(argv):
                    raise CommandError(f"-{letter}: its argument is missing", status=2)
                value = argv[at]
                at += 1
            _option(wanted, letter, value)
    if at < len(argv):
        wanted.name = argv[at]
        if not is_name(wanted.name):
            raise CommandError(f"{wanted.name}: not a variable's name")
    return wanted


def _option(wanted: _Wanted, letter: str, value: str) -> None:
    if letter == "d":
        wanted.delimiter = os.fsencode(value)[:1] or b"\0"
        return
    if letter == "C":
        wanted.callback = value
        return
    if not (value.isdecimal() and value.isascii()):
        raise CommandError(f"{value}: a number expected")
    number = saturated(value)
    match letter:
        case "n":
            wanted.most = number
        case "O":
            wanted.origin = number
        case "s":
            wanted.skip = number
        case "u":
            wanted.fd = min(number, MOST_FD)
        case _:
            if not number:
                raise CommandError(f"{value}: at least 1 expected")
            wanted.quantum = number


def _lines(wanted: _Wanted) -> Iterator[bytes]:
    """The lines that are wanted, with their delimiter unless it is stripped."""
    number = 0
    lines = _read(wanted)
    try:
        for line in lines:
            number += 1
            if number <= wanted.skip:
                continue
            kept = line.removesuffix(wanted.delimiter) if wanted.strip else line
            yield kept.partition(b"\0")[0]  # a NUL ends a value
            if wanted.most and number - wanted.skip >= wanted.most:
                return
    finally:
        lines.close()


def _read(wanted: _Wanted) -> Generator[bytes, None, None]:
    """Lines with their delimiters. Where there is a limit, nothing behind the last one may be gone: what was read
    too far is given back, and from what cannot be sought a byte comes at a time."""
    fd, delimiter = wanted.fd, wanted.delimiter
    start = os.lseek(fd, 0, os.SEEK_CUR) if wanted.most and _seekable(fd) else None
    size = 1 if wanted.most and start is None else _BLOCK
    buffer = bytearray()
    used = 0
    try:
        while block := os.read(fd, size):
            begin = len(buffer)
            buffer += block
            while (end := buffer.find(delimiter, begin)) >= 0:
                line = bytes(buffer[: end + 1])
                del buffer[: end + 1]
                begin = 0
                used += len(line)
                yield line
        if buffer:
            used += len(buffer)
            yield bytes(buffer)
    finally:
        if start is not None:
            os.lseek(fd, start + used, os.SEEK_SET)


def _seekable(fd: int) -> bool:
    try:
        os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        return False
    return True


TABLE: dict[str, Builtin] = {"mapfile": mapfile, "readarray": mapfile}
