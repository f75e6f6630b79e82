"""How deep Python may recurse: deep for the language, whose own limits bound it, ordinary for everybody else's code.

Parser and closures recurse with the nesting of the program (scanner.MAX_DEPTH, runtime.MAX_CALLS). Python counts
frames, of which one level takes up to 15. The limit is not raised for good: C code of libraries (json on Python 3.11,
say) trusts it to protect the C stack, and would crash on a deeply nested input.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

DEEP: Final = 60_000


class deep:  # noqa: N801  used as a context manager only
    """Room for the language's own recursion."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = sys.getrecursionlimit()
        if self._before < DEEP:
            sys.setrecursionlimit(DEEP)

    def __exit__(self, *_: object) -> None:
        if self._before < DEEP:
            sys.setrecursionlimit(self._before)
