"""The number of the last event that was told while the table could not keep it.

It lies in the runtime folder, which is another disk's, so that the next daemon goes on after it: who follows has seen
those numbers, and another event of the same number would be lost on him.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = "told"
_DIGITS: Final = 20


class Told:
    """`folder` tells where the runtime folder is now."""

    def __init__(self, folder: Callable[[], str]) -> None:
        self._folder = folder

    def number(self) -> int:
        """0 where nothing was noted."""
        try:
            with open(self._path(), "rb") as file:
                return int(file.read(_DIGITS))
        except (OSError, ValueError):
            return 0

    def note(self, number: int) -> None:
        try:
            fd = os.open(self._path(), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return  # the folder is gone or full, too: then numbers may come twice
        try:
            os.pwrite(fd, b"%0*d" % (_DIGITS, number), 0)
        except OSError:
            return
        finally:
            os.close(fd)

    def _path(self) -> str:
        return os.path.join(self._folder(), NAME)
