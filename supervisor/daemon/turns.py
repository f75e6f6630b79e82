"""The loop's turns: what the kernel tells in this one happened no earlier than the one before."""

from __future__ import annotations

import selectors
import time
from typing import TYPE_CHECKING

from aish.wire.log_index import INTERVAL_NS

if TYPE_CHECKING:
    from selectors import SelectorKey


class Turns(selectors.EpollSelector):
    """The loop's selector, with the time of its answers.

    The daemon may be held up for a second by a slow disk; what it learns then is not a second exact, and must not be
    said to be. What woke it from sleep is as exact as the kernel is prompt: a tenth of a second is allowed for that.
    """

    def __init__(self) -> None:
        super().__init__()
        self._since_ns = self._answered_ns = time.time_ns()

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        asked_ns = time.time_ns()
        found = super().select(timeout)
        if not found and timeout:  # stopped and continued it did not look again; what is there comes before timers
            found = super().select(0)
        before_ns, self._answered_ns = self._answered_ns, time.time_ns()
        slept = self._answered_ns - asked_ns >= INTERVAL_NS
        self._since_ns = self._answered_ns - INTERVAL_NS if slept else before_ns
        return found

    def since_ns(self) -> int:
        """What is told in this turn happened after that."""
        return self._since_ns
