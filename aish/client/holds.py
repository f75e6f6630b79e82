"""What holds a process in the foreground: told to whoever waits for it, since nothing else would move.

Asked for only when the wait has become long: a process that ends soon costs no second connection.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from aish.client.connection import Client, connect
from aish.errors import AishError
from aish.model import state
from aish.report import clean
from aish.wire import account, budget
from aish.wire.message import Events
from aish.wire.reply import Done, EventList

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from typing import Self

    from aish.wire.part import EventPart
    from aish.wire.reply import Inspected

AFTER_MS: Final = 1500
_PATIENCE_S: Final = 0.5
"""A daemon that hangs must not keep keys and signals from the process."""


class Holds:
    """The events of one process behind number `since`: 0 for who was there from its beginning. A courtesy: where the
    daemon does not answer, silent."""

    def __init__(self, process: str, say: Callable[[str], None] | None = None, *, since: int = 0) -> None:
        self._process = process
        self._say = say or _print
        self._since = since
        self._client: Client | None = None
        self._tried = False
        self._due_s = time.monotonic() + AFTER_MS / 1000
        self._own: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def due_ms(self) -> int | None:
        """How long to wait before `begin`; None: it has been."""
        return None if self._tried else AFTER_MS

    def begin(self) -> bool:
        """Start to listen; True where there is a descriptor to watch."""
        self._tried = True
        try:
            self._client = connect(start=False, program="stage", patience_s=_PATIENCE_S)
            self._client.send(Events(since=self._since, follow=True, target=self._process))
        except AishError:
            self._drop()  # the wait itself finds the next daemon, and tells the end
        return self._client is not None

    def fileno(self) -> int:
        return -1 if self._client is None else self._client.fileno()

    def arrived(self) -> bool:
        """Tell what came; False where nothing more will come: the descriptor is closed then."""
        assert self._client is not None
        try:
            reply = self._client.receive()
        except AishError:
            self._drop()
            return False
        if isinstance(reply, EventList):
            for event in reply.events:
                self._since = event.number
                text = told(event)
                if event.kind in self._own:
                    self._own.remove(event.kind)
                elif text:
                    self._say(text)
        return True

    # --- for who watches several things and does not wait for this ----------------------------------------------

    def watched(self) -> list[int]:
        """The descriptors to look at."""
        return [] if self._client is None else [self._client.fileno()]

    def sooner(self, due_ms: int | None) -> int | None:
        """`due_ms`, or when `look` is to be called first."""
        if self._tried:
            return due_ms
        left_ms = max(0, int((self._due_s - time.monotonic()) * 1000) + 1)
        return left_ms if due_ms is None else min(due_ms, left_ms)

    def look(self, ready: Container[int]) -> None:
        """Begin where it is time; tell what came."""
        if not self._tried and time.monotonic() >= self._due_s:
            self.begin()
        elif self._client is not None and self._client.fileno() in ready:
            self.arrived()

    def ours(self, kind: str, done: object) -> None:
        """We paused it, or let it go on: no news to who did it. `done` is the daemon's answer."""
        if isinstance(done, Done) and done.changed:
            self._own.append(kind)

    def close(self) -> None:
        """`begin` may follow: it goes on after what was told."""
        self._drop()
        self._tried = False

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def now(found: Inspected) -> list[str]:
    """What holds it at this moment, for who comes to a process that has been running."""
    process = found.process
    lines = []
    if state.USER in process.holds:
        lines.append(f"it is paused: `aish cont {process.name}` lets it go on")
    if state.BUDGET in process.holds:
        held = [text for event in found.events if event.kind == "held" and (text := told(event))]
        lines.append(held[-1] if held else f"it is held: {process.doing or 'over its budget'}")
    return lines


def _print(text: str) -> None:
    print(f"aish: {clean(text)}", file=sys.stderr, flush=True)


def told(event: EventPart) -> str | None:
    """The line for a person; None for events that say nothing about waiting."""
    match event.kind:
        case "held":
            owner = event.detail.get("owner") or event.process
            _, limit = budget.lacking(event.detail)
            whose = account.written(str(owner))
            return f"{event.name} is held: {event.text}; `aish limit {whose} {limit}` lets it go on"
        case "released" if event.detail.get("raised") != 0:
            return f"{event.name} goes on: {event.text}"
        case "paused":
            return f"{event.name} is paused {event.text}; `aish cont {event.process}` lets it go on"
        case "continued":
            return f"{event.name} goes on, {event.text}"
        case _:
            return None
