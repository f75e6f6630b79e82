"""What is to be entered and started: made by aish.sandbox.order outside, read here. JSON in a memfd.

The program's environment travels in it, too, and is not that of the programs which set the sandbox up: LD_PRELOAD
and the like, chosen by whoever asked for the process, would run before anything is confined.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Order:
    """`candidates`: paths to try for the program. `bwrap`: its words, or none for the Landlock tier. `folders`, and
    `files` with what is in them: made first where they are missing. `plain`: paths of which no part may be a link by
    now. `doors`: names and ports, told by `channel`, a descriptor; see enter.doors. `fds`, `opened`: see
    enter.__main__."""

    __slots__ = (
        "argv",
        "bwrap",
        "candidates",
        "channel",
        "cwd",
        "devices",
        "doors",
        "env",
        "fds",
        "files",
        "folders",
        "inet",
        "opened",
        "plain",
        "ports",
        "read",
        "unix",
        "write",
    )

    argv: list[bytes]
    env: list[bytes]
    candidates: list[bytes]
    cwd: bytes
    doors: list[tuple[str, int]]
    channel: int | None
    bwrap: list[str]
    fds: list[int]
    opened: dict[str, int]
    files: dict[str, str]
    folders: list[str]
    plain: list[str]
    read: list[str]
    write: list[str]
    devices: list[str]
    ports: list[int] | None
    inet: str
    unix: bool

    def __init__(self, fields: Mapping[str, Any]) -> None:
        for name in self.__slots__:
            setattr(self, name, fields[name])

    def fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


_BYTES = ("argv", "env", "candidates")


def encode(fields: Mapping[str, Any]) -> bytes:
    words = {name: [word.decode("latin-1") for word in fields[name]] for name in _BYTES}
    return json.dumps({**fields, **words, "cwd": fields["cwd"].decode("latin-1")}).encode()


def decode(data: bytes) -> Order:
    fields = json.loads(data)
    words = {name: [word.encode("latin-1") for word in fields[name]] for name in _BYTES}
    return Order({**fields, **words, "cwd": fields["cwd"].encode("latin-1")})


def read(fd: int) -> Order:
    """Read it, and close it."""
    size = os.fstat(fd).st_size
    data = os.pread(fd, size, 0)
    os.close(fd)
    return decode(data)
