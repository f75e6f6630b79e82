"""How long tests wait, and how they do where no event tells."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 60.0
T = TypeVar("T")


def until(what: str, holds: Callable[[], T], deadline_s: float = DEADLINE_S) -> T:
    """Look again and again, less often after a while; with a deadline. What was found in the end."""
    begin_s = time.monotonic()
    while not (found := holds()):
        waited_s = time.monotonic() - begin_s
        assert waited_s < deadline_s, f"not within {deadline_s:g} s: {what}"
        time.sleep(min(0.005 + waited_s / 20, 0.03))
    return found
