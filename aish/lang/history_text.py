"""A history as a text file, a line each: what bash's HISTFILE is. What is made here is 0600."""

from __future__ import annotations

import errno
import os
import stat

from aish.lang.text import decode, encode

_DATABASE = b"SQLite format 3\0"
"""How a file begins that a line of text would damage: our own history is one."""


def read(path: str) -> list[str]:
    """The lines, without the times that bash notes between them (#1700000000). Raises OSError."""
    with open(path, "rb") as file:
        data = file.read()
    if data.startswith(_DATABASE):
        raise _no_text(path)
    return [line for line in decode(data).split("\n") if line and not (line[0] == "#" and line[1:].isdecimal())]


def write(path: str, lines: list[str], *, append: bool) -> None:
    """Put lines into the file: behind what it has, or in the place of it. Raises OSError."""
    if is_database(path):
        raise _no_text(path)
    mode = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC)
    with open(os.open(path, mode, 0o600), "wb") as file:
        file.write(encode("".join([line + "\n" for line in lines])))


def is_database(path: str) -> bool:
    """Whether a database stands there, whatever led to it: a link, or another shell's HISTFILE."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False  # reading would take from a pipe what is another's
        with open(path, "rb") as file:
            return file.read(len(_DATABASE)) == _DATABASE
    except OSError:
        return False  # none is there, or none that we can read; writing tells


def _no_text(path: str) -> OSError:
    return OSError(errno.EINVAL, "a database, not a text file", path)
