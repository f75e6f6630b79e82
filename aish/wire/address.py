"""Unix socket addresses: a path may be longer than the 107 bytes that sun_path holds."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUN_PATH_BYTES: Final = 107


def connect(path: str, kind: int = socket.SOCK_STREAM, *, wait: bool = True) -> socket.socket:
    """A connected, blocking, close-on-exec Unix socket. Raises OSError; BlockingIOError without `wait` where so many
    want to connect already that no more fit: a program that is stopped accepts nobody."""
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        sock.setblocking(wait)
        with _short(path) as name:
            sock.connect(name)
        sock.setblocking(True)
    except OSError:
        sock.close()
        raise
    return sock


def bind(path: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A bound Unix socket with mode 0600 from its first moment on. Raises OSError (EADDRINUSE: the file is there)."""
    sock = socket.socket(socket.AF_UNIX, kind)
    before = os.umask(0o177)
    try:
        with _short(path) as name:
            sock.bind(name)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


@contextmanager
def _short(path: str) -> Iterator[str]:
    """A name of the same file that fits into sun_path: a long one goes through a descriptor of its folder."""
    if len(os.fsencode(path)) <= _SUN_PATH_BYTES:
        yield path
        return
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(path)}"
    finally:
        os.close(folder)
