"""The boundary between turns: while an agent's host is at a turn nobody else touches what it works with, and while
somebody does, it begins none.

Two locks of files, which go with who holds them, however that dies. Who is to stand at the boundary takes `gate`
first, so that the next turn does not begin before; and `turn` as soon as the one under way is over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from aish.errors import ConflictError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Boundary:
    def __init__(self, folder: str) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def turn(self) -> Iterator[int]:
        """For the host: a turn, or what it does before its first one. The lock's descriptor. Raises StorageError."""
        with self._opened("gate") as gate, self._opened("turn") as turn:
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(turn, fcntl.LOCK_EX)
            fcntl.flock(gate, fcntl.LOCK_UN)
            yield turn

    @contextlib.contextmanager
    def still(self, waits: Callable[[], None] | None) -> Iterator[int]:
        """For all others: the agent stands still. `waits` is called where the end of a turn is waited for; None: it
        is not. The lock's descriptor, which git may have until it has ended. Raises ConflictError, StorageError."""
        with self._opened("gate") as gate, self._opened("turn") as turn:
            for fd in (gate, turn):
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if waits is None:
                        raise ConflictError(
                            "it is in the middle of a turn", hint="without --no-wait its end is waited for"
                        ) from None
                    waits()
                    fcntl.flock(fd, fcntl.LOCK_EX)
            yield turn

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        path = os.path.join(self._folder, name)
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        try:
            yield fd
        finally:
            os.close(fd)
