"""inotify(7): to be told when a file is written to, once. The standard library has no function for it."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODIFY: Final = 0x2
_ONESHOT: Final = 0x8000_0000
_OVERFLOW: Final = 0x4000
_EVENT: Final = struct.Struct("iIII")
_READ_BYTES: Final = 64 << 10


class Inotify:
    """Tells once for each watch, which is gone then: a file that is written to all the time costs nothing more.

    `fd` is -1 where the system has no instance left.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
        self.fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)

    def watch(self, path: str) -> int | None:
        """The number of a watch that tells the next write to `path` (the same one while it has one); None where there
        is no such file, or no watch left. Raises nothing."""
        number: int = self._libc.inotify_add_watch(self.fd, os.fsencode(path), _MODIFY | _ONESHOT)
        return number if number >= 0 else None

    def forget(self, number: int) -> None:
        self._libc.inotify_rm_watch(self.fd, number)

    def told(self) -> Iterator[int | None]:
        """The watches whose files were written to since the last call; None: so many that some were lost."""
        while True:
            try:
                data = os.read(self.fd, _READ_BYTES)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                number, mask, _, name_bytes = _EVENT.unpack_from(data, at)
                at += _EVENT.size + name_bytes
                if mask & _OVERFLOW:
                    yield None
                elif mask & _MODIFY:
                    yield number

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
