"""One at a time brings a project up: a second one finds what the first has started. Who blocks waits for its turn in
the kernel; in asyncio it is asked for again, since nothing there may hold the loop."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

_AGAIN_S: Final = 0.05


class Turn:
    """A context, of either kind. `path`: the project's file. `waiting` is called where another one has the turn."""

    def __init__(self, path: str, waiting: Callable[[], object] | None = None) -> None:
        self._path = path
        self._waiting = waiting
        self._fd = -1

    def __enter__(self) -> Self:
        self._open()
        try:
            if not self._taken():
                self._wait()
                fcntl.flock(self._fd, fcntl.LOCK_EX)
        except BaseException:
            os.close(self._fd)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    async def __aenter__(self) -> Self:
        import asyncio

        self._open()
        try:
            if not self._taken():
                self._wait()
                while not self._taken():
                    await asyncio.sleep(_AGAIN_S)
        except BaseException:
            os.close(self._fd)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        os.close(self._fd)

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a file system without locks: names are unique all the same
        return True

    def _wait(self) -> None:
        if self._waiting is not None:
            self._waiting()
