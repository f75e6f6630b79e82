"""The way back from `depth`, for everybody else's code that runs inside the language."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ORDINARY: Final = 1_000


class ordinary:  # noqa: N801  used as a context manager only
    """Within `deep`: the room that other code counts on, from where we are now."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = sys.getrecursionlimit()
        depth, frame = 0, sys._getframe()  # noqa: SLF001  there is no other way to learn the depth
        while frame.f_back is not None:
            depth, frame = depth + 1, frame.f_back
        sys.setrecursionlimit(min(self._before, depth + ORDINARY))

    def __exit__(self, *_: object) -> None:
        sys.setrecursionlimit(self._before)
