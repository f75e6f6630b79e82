"""The menu of `select`, and the answer to it."""

from __future__ import annotations

from aish.lang import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime

_WIDTH = 80
_TAB = 8


def choose(rt: Runtime, values: list[str], *, again: bool) -> int | None:
    """The number that was typed, 0 for what is no number; None at the end of the input. An empty line shows the
    menu once more. `again`: it is in view already."""
    read = builtins.find("read")
    assert read is not None
    while True:
        if not again:
            for line in menu(values, _columns(rt)):
                rt.error_line(line)
        rt.prompt(rt.values.get("PS3", "#? "))
        if read(rt, ["read"]):
            rt.write("\n")
            return None
        reply = rt.values.get("REPLY", "").strip(" \t")
        if reply:
            return int(reply) if reply.isdecimal() and reply.isascii() and len(reply) < 10 else 0
        again = False


def _columns(rt: Runtime) -> int:
    text = rt.vars.get("COLUMNS") or ""
    return int(text) if text.isdecimal() and len(text) < 6 else _WIDTH


def menu(values: list[str], width: int) -> list[str]:
    """The lines: numbered, in columns that are read from top to bottom."""
    count = len(values)
    digits = len(str(count))
    widest = max(map(len, values)) + digits + 4
    columns = max(width // widest, 1)
    rows = -(-count // columns)
    if rows == 1:
        rows = count
    lines = []
    for row in range(rows):
        line, place = "", 0
        for at in range(row, count, rows):
            if at >= rows:
                line += _gap(place, at // rows * widest)
            entry = f"{at + 1:{digits if at >= rows else len(str(rows))}}) {values[at]}"
            place = at // rows * widest + len(entry)
            line += entry
        lines.append(line)
    return lines


def _gap(start: int, end: int) -> str:
    """From one column to another: as far as that goes by tabs, as in bash."""
    tabs = end // _TAB - start // _TAB
    return "\t" * tabs + " " * (end % _TAB if tabs else end - start)
