"""Doors of sandboxes, as the daemon tells them to who answers there: a listening socket that says who comes.

A new connection hears Doors, then a Door for each of them; later what comes and goes.
"""

from __future__ import annotations

from aish.wire.message import Message


class Doors(Message, frozen=True, kw_only=True):
    """All there are: those that are not among these are closed."""

    keys: list[str]


class Door(Message, frozen=True, kw_only=True):
    """With one descriptor, a listening socket: whoever connects there is that process. One that is known by its key
    may come again."""

    key: str
    process: str


class Shut(Message, frozen=True, kw_only=True):
    """Nobody can come there any more."""

    key: str
