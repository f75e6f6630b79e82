"""What verbs print: tables for people, JSON for programs. Names of others cannot steer the terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aish.report import clean
from aish.top import amount
from aish.wire.plain import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.wire.part import ExitPart, TokensPart


def print_json(value: object) -> None:
    """One JSON document; bytes as text (what is not UTF-8 as backslash escapes), unknown as null."""
    import json  # not for who wants a table

    print(json.dumps(plain(value), ensure_ascii=False, indent=2))


def json_line(value: object) -> str:
    import json

    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Columns as wide as their widest cell; those named in `right` are aligned to the right."""
    rows = [list(row) if "".join(row).isprintable() else [clean(cell) for cell in row] for row in (header, *rows)]
    widths = [list(map(len if "".join(row).isascii() else _width, row)) for row in rows]
    widest = [max(column) for column in zip(*widths, strict=True)]
    is_right = [name in right for name in header]
    form = "  ".join(f"%{'' if on_right else '-'}{width}s" for width, on_right in zip(widest, is_right, strict=True))
    lines = []
    for row, own in zip(rows, widths, strict=True):
        if not "".join(row).isascii():  # as many blanks as columns of the terminal are missing, not characters
            short = [" " * (width - wide) for width, wide in zip(widest, own, strict=True)]
            sides = zip(row, short, is_right, strict=True)
            lines.append("  ".join(gap + cell if on_right else cell + gap for cell, gap, on_right in sides).rstrip())
        else:
            lines.append((form % tuple(row)).rstrip())
    print("\n".join(lines))


def _width(text: str) -> int:
    """In columns of the terminal."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # a tenth of the start-up time of `aish ps`

    return max(wcswidth(text), 0)


def age(since_s: float | None, until_s: float | None = None) -> str:
    """Time from one moment to another (now), in at most five characters: 42s, 3:07, 2h05, 4d."""
    if since_s is None:
        return amount.UNKNOWN
    return amount.age((time.time() if until_s is None else until_s) - since_s)


def usd(tokens: TokensPart) -> str:
    """What they cost; a `+` where some have a price that nobody knows, `?` where all have."""
    if tokens.unpriced and not tokens.cost_usd:
        return "?"
    return usd_of(tokens.cost_usd) + ("+" if tokens.unpriced else "")


def usd_of(cost_usd: float | None) -> str:
    """One sum; `?` where nobody knows it."""
    if cost_usd is None:
        return "?"
    return f"{cost_usd:.{2 if cost_usd >= 1 or not cost_usd else 4}f}"


def when(time_s: float | None, now_s: float) -> str:
    """A moment: the time of day, with its date where that is not today."""
    if time_s is None:
        return amount.UNKNOWN
    moment, today = time.localtime(time_s), time.localtime(now_s)
    is_today = (moment.tm_year, moment.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S", moment)


def exit_word(end: ExitPart | None) -> str:
    """How it ended, in a word or two: 0, 3, SIGTERM, unknown."""
    if end is None:
        return "-"
    if end.signal is not None:
        import signal

        try:
            return signal.Signals(end.signal).name
        except ValueError:
            return f"signal {end.signal}"
    return "unknown" if end.code is None else str(end.code)


def command_line(argv: Sequence[bytes]) -> str:
    """The words of a command, quoted as a shell would take them."""
    import shlex

    return " ".join(shlex.quote(clean(word.decode(errors="backslashreplace"))) for word in argv)
