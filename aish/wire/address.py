"""Unix socket addresses: a path may be longer than the 107 bytes that sun_path holds."""

from __future__ import annotations

import os
import socket
from typing import Final

_SUN_PATH_BYTES: Final = 107


def connect(path: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A connected, blocking, close-on-exec Unix socket. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        if len(os.fsencode(path)) <= _SUN_PATH_BYTES:
            sock.connect(path)
        else:
            folder = os.open(os.path.dirname(path), os.O_PATH | os.O_CLOEXEC)
            try:
                sock.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
            finally:
                os.close(folder)
    except OSError:
        sock.close()
        raise
    return sock


def bind(path: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A bound Unix socket with mode 0600 from its first moment on. Raises OSError (EADDRINUSE: the file is there)."""
    sock = socket.socket(socket.AF_UNIX, kind)
    before = os.umask(0o177)
    try:
        if len(os.fsencode(path)) <= _SUN_PATH_BYTES:
            sock.bind(path)
        else:
            folder = os.open(os.path.dirname(path), os.O_PATH | os.O_CLOEXEC)
            try:
                sock.bind(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
            finally:
                os.close(folder)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock
