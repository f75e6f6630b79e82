"""time: how long a pipeline took."""

from __future__ import annotations

import os
import time

from aish.lang.text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Run, Runtime
    from aish.lang.source import Source
    from aish.lang.tree_bash import Time

_FORMAT = "\nreal\t%3lR\nuser\t%3lU\nsys\t%3lS"
_POSIX_FORMAT = "real %2R\nuser %2U\nsys %2S"


def timed(src: Source, node: Time, tested: bool) -> Run:
    """The closure: the command's status, and three figures on stderr behind it, however it ended."""
    from aish.lang.compile import compile_command, nothing

    command = compile_command(src, node.command, tested=tested) if node.command else nothing
    posix = node.posix

    def run(rt: Runtime) -> int:
        began_s, before = time.monotonic(), os.times()
        try:
            return command(rt)
        finally:
            after = os.times()
            user_s = after.user - before.user + after.children_user - before.children_user
            system_s = after.system - before.system + after.children_system - before.children_system
            layout = _POSIX_FORMAT if posix else rt.values.get("TIMEFORMAT", _FORMAT)
            try:
                text = figures(layout, time.monotonic() - began_s, user_s, system_s)
            except ValueError as error:
                rt.complain(f"TIMEFORMAT: {error}")
            else:
                if text:
                    _tell(text)

    return run


def _tell(text: str) -> None:
    try:
        os.write(2, encode(text + "\n"))
    except OSError:
        pass  # nobody listens


def figures(layout: str, real_s: float, user_s: float, system_s: float) -> str:
    """TIMEFORMAT filled in: %[digits][l]R, U and S are seconds (with l minutes, too), %P the share of a processor.

    Raises ValueError for another letter."""
    found: list[str] = []
    seconds = {"R": real_s, "U": user_s, "S": system_s}
    pos, size = 0, len(layout)
    while pos < size:
        char = layout[pos]
        pos += 1
        if char != "%" or pos == size:
            found.append(char)
            continue
        begin, digits, long = pos, 3, False
        if "0" <= layout[pos] <= "9":
            digits = min(int(layout[pos]), 3)
            pos += 1
        if layout[pos : pos + 1] == "l":
            long = True
            pos += 1
        letter = layout[pos : pos + 1]
        pos += 1
        if letter == "%" and pos == begin + 1:
            found.append("%")
        elif letter == "P" and pos == begin + 1:
            found.append(f"{100 * (user_s + system_s) / real_s if real_s else 0:.2f}")
        elif letter in seconds and letter:
            found.append(_seconds(seconds[letter], digits, long=long))
        else:
            raise ValueError(f"%{layout[begin:pos]}: no figure has this name")
    return "".join(found)


def _seconds(value_s: float, digits: int, *, long: bool) -> str:
    """Cut off, not rounded: 0.999 s of 1 s is not the whole of it."""
    unit = 10**digits
    ticks = int(value_s * unit)
    whole, part = divmod(ticks, unit)
    tail = f".{part:0{digits}d}" if digits else ""
    return f"{whole // 60}m{whole % 60}{tail}s" if long else f"{whole}{tail}"
