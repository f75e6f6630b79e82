"""Descriptors and due times: what the front waits for, and work of its that takes its time."""

from __future__ import annotations

import select
import time
from collections.abc import Generator
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Final

    from aish.session.outbox import Outbox

Course = Generator[float, None, None]
"""Work that takes its time: it yields when to go on."""

_BROKEN: Final = select.POLLERR | select.POLLNVAL
_BEAT_S: Final = 0.25
"""So often the loop turns where a time may be over."""
_LATE_S: Final = 0.5
"""A turn that comes so much later than that: everything here was stopped (`aish pause`, SIGSTOP, a laptop that
slept), and the time is nobody's."""


class Loop:
    def __init__(self) -> None:
        self._courses: list[Course] = []
        self._due: dict[int, float] = {}
        self._turned_s = time.monotonic()
        self._is_timed = False

    def wait(self, handlers: Mapping[int, Callable[[], None]], outbox: Outbox, due_s: Iterable[float]) -> bool:
        """Until something can be read, written, or is due; whether the client is still there."""
        poll = select.poll()
        for fd in handlers:
            poll.register(fd, select.POLLIN)
        if not outbox.gone:
            poll.register(outbox.fd, select.POLLOUT if outbox.unread_bytes else 0)
        until_s = [*due_s, *self._due.values()]
        now_s = time.monotonic()
        if self._is_timed:
            until_s.append(now_s + _BEAT_S)
        wanted_s = min(until_s, default=inf)
        for fd, event in poll.poll(max(0.0, wanted_s - now_s) * 1000 if wanted_s < inf else None):
            if fd in handlers:
                handlers[fd]()
            elif event & _BROKEN or event & (select.POLLHUP | select.POLLOUT) == select.POLLHUP:
                return False
            else:
                outbox.write()
        return True

    def turned(self, *, is_timed: bool) -> tuple[float, float]:
        """The time, and for how much of it everything was stopped. `is_timed`: some time may be over."""
        now_s = time.monotonic()
        late_s = now_s - self._turned_s - _BEAT_S if self._is_timed else 0.0
        self._turned_s, self._is_timed = now_s, is_timed
        return now_s, late_s if late_s > _LATE_S else 0.0

    def take(self, course: Course) -> None:
        """Begin it; it goes on with each turn."""
        self._courses.append(course)
        self._resume(course)

    def resume(self) -> None:
        for course in list(self._courses):
            self._resume(course)

    def _resume(self, course: Course) -> None:
        try:
            self._due[id(course)] = next(course)
        except StopIteration:
            self._courses.remove(course)
            self._due.pop(id(course), None)
