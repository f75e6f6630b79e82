"""A word of aish's own on a terminal that shows a program's output. Pure."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from aish.report import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST_COLUMNS = 20


def notice(texts: Sequence[str], *, full: bool, rows: int, columns: int) -> bytes:
    """Lines behind what was shown last. Where a program has the whole screen (`full`) nothing may scroll: they stand
    on the last rows, and the cursor where it was, until the program draws there."""
    lines = [f"aish: {clean(text)}" for text in texts]
    if not full:
        return "".join(f"\r\n{line}" for line in lines).encode(errors="replace") + (b"\r\n" if lines else b"")
    columns = max(columns, _LEAST_COLUMNS)
    shown = [part for line in lines for part in wrap(line, columns - 1)][:rows]
    first = rows - len(shown) + 1
    placed = "".join(f"\x1b[{row};1H{part:<{columns - 1}}" for row, part in enumerate(shown, first))
    return f"\x1b7\x1b[0;7m{placed}\x1b[0m\x1b8".encode(errors="replace") if shown else b""
