"""The node of a text that is no command and yet part of a program: apart, since hardly a script has one."""

from __future__ import annotations

from aish.lang.tree import Node


class Broken(Node):
    """What is no command, between backquotes: an error for whoever comes to run it."""

    __slots__ = ("hint", "message")

    def __init__(self, start: int, end: int, message: str, hint: str | None) -> None:
        self.start = start
        self.end = end
        self.message = message
        self.hint = hint
