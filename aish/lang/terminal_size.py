"""COLUMNS and LINES are the terminal's, as long as `shopt checkwinsize` says so."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime


def look(rt: Runtime) -> None:
    """See how large it is now."""
    if "checkwinsize" not in rt.shopt:
        return
    try:
        size = os.get_terminal_size(2)
    except OSError:
        return  # no terminal
    if size.columns and size.lines:
        for name, value in (("COLUMNS", size.columns), ("LINES", size.lines)):
            if rt.values.get(name) != str(value) and name not in rt.vars.readonly:
                rt.vars.set(name, str(value))
