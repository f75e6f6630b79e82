"""What holds a process in the foreground: told to whoever waits for it, since nothing else would move.

Asked for only when the wait has become long: a process that ends soon costs no second connection.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from aish.client.connection import Client, connect
from aish.errors import AishError
from aish.report import clean
from aish.wire.message import EventList, Events

if TYPE_CHECKING:
    from typing import Self

    from aish.wire.part import EventPart

AFTER_MS: Final = 1500


class Holds:
    """The events of one process, those before now included. A courtesy: where the daemon does not answer, silent."""

    def __init__(self, process: str) -> None:
        self._process = process
        self._since = 0
        self._client: Client | None = None
        self._tried = False

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
            self._client = connect(start=False, program="stage")
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
                if text:
                    print(clean(text), file=sys.stderr, flush=True)
        return True

    def close(self) -> None:
        """`begin` may follow: it goes on after what was told."""
        self._drop()
        self._tried = False

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def told(event: EventPart) -> str | None:
    """The line for a person; None for events that say nothing about waiting."""
    match event.kind:
        case "held":
            owner = event.detail.get("owner") or event.process
            return f"aish: {event.name} is held: {event.text}; `aish limit {owner} tokens=+50k` lets it go on"
        case "released" if event.detail.get("raised") != 0:
            return f"aish: {event.name} goes on: {event.text}"
        case _:
            return None
