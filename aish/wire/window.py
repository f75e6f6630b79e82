"""What is told of who waits for a usage window. Pure."""

from __future__ import annotations

import time
from typing import Final

OWNER: Final = "window:"
"""Before the name of a window, where a hold says who owns the budget."""
RESERVE: Final = "window_reserve"
SHARE: Final = "window_share"
WHATS: Final = (RESERVE, SHARE)
"""Of what there is too little."""
_DAY_S: Final = 86_400.0


def name(owner: str) -> str:
    """claude/5h"""
    return owner.removeprefix(OWNER)


def over(owner: str, what: str, until_s: float | None) -> str:
    """What it waits for, in a few words."""
    why = "what is left is reserved" if what == RESERVE else "its share is used up"
    return f"{name(owner)}: {why}{_until(until_s)}"


def spent(owner: str, what: str, used: float, most: float, until_s: float | None) -> str:
    """The same as a sentence without its end."""
    used_, most_ = f"{used:.0%}", f"{most:.0%}"
    if what == RESERVE:
        return f"{used_} of the window {name(owner)} is used, and what is above {most_} is reserved{_until(until_s)}"
    return f"about {used_} of the window {name(owner)} is used by it, and its share is {most_}{_until(until_s)}"


def _until(until_s: float | None) -> str:
    if until_s is None:
        return ""
    form = "%H:%M" if until_s - time.time() < _DAY_S else "%a %H:%M"
    return f" until {time.strftime(form, time.localtime(until_s))}"
