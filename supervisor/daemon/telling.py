"""Events: what happened, page by page, to who may know it and wants to."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

from aish.errors import InputError
from aish.model import label
from aish.supervisor.daemon import authority
from aish.supervisor.daemon.sieve import Sieve
from aish.wire.message import Events
from aish.wire.reply import EventList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.connection import Connection
    from aish.supervisor.daemon.control import Control
    from aish.supervisor.daemon.daemon import Daemon
    from aish.wire.part import EventPart

PAGE: Final = 500
WORDS_MOST: Final = 100
"""Kinds, and names, of one request."""
LAST_MOST: Final = 10_000


class Telling:
    def __init__(self, daemon: Daemon, control: Control) -> None:
        self.daemon = daemon
        self.target = control.target

    async def events(self, caller: Caller, request: Events, connection: Connection) -> None:
        """A page of events; with `follow` for ever. The journal is the buffer: a slow reader holds up nobody.

        Raises InputError, NotFoundError, RefusedError."""
        authority.check(self.daemon.table, caller, "Events")
        _check(request)
        process = self.target(caller, "Events", request.target).id if request.target is not None else None
        sieve = Sieve(process, request.since_s, frozenset(request.kinds), frozenset(request.names))
        recorder = self.daemon.recorder
        news = asyncio.Event()

        def listen(_: EventPart) -> None:
            news.set()

        recorder.listeners.add(listen)
        try:
            number, first = max(0, request.since), True
            if request.last is not None:
                number = max(number, await self._before_last(caller, request, sieve))
            while True:
                news.clear()
                page = recorder.after(number, PAGE, sieve)
                more = len(page) == PAGE
                number = page[-1].number if more else recorder.last_number
                shown = self._shown(caller, request, page)
                if shown or first or not request.follow:
                    connection.send(EventList(events=shown, until=number, more=more))
                    await connection.flushed()
                first = False
                if not request.follow:
                    return
                if more:
                    await asyncio.sleep(
                        0
                    )  # a page of which nothing is shown waits for nobody: others have their turn
                else:
                    await news.wait()
        finally:
            recorder.listeners.discard(listen)

    async def _before_last(self, caller: Caller, request: Events, sieve: Sieve) -> int:
        """The number after which the newest `last` events that are shown begin."""
        recorder, left = self.daemon.recorder, request.last or 0
        before = recorder.last_number + 1
        while left:
            page = recorder.before(before, PAGE, sieve)
            shown = self._shown(caller, request, page)
            if len(shown) >= left:
                return shown[-left].number - 1
            if len(page) < PAGE or page[0].number <= request.since:
                return 0
            left, before = left - len(shown), page[0].number
            await asyncio.sleep(0)
        return before - 1

    def _shown(self, caller: Caller, request: Events, page: Sequence[EventPart]) -> list[EventPart]:
        """Those that the caller may see, and whose process has the labels."""
        if not page:
            return []
        table = self.daemon.table
        ids = authority.visible(table, caller)
        if request.labels:
            labelled = {process.id for process in table if label.matches(process.row.spec.labels, request.labels)}
            ids = labelled if ids is None else ids & labelled
        return [event for event in page if ids is None or event.process in ids]


def _check(request: Events) -> None:
    """Raises InputError."""
    if request.since_s is not None and not math.isfinite(request.since_s):
        raise InputError("expected seconds since the epoch", field="since_s")
    for field in ("kinds", "names", "labels"):
        if len(getattr(request, field)) > WORDS_MOST:
            raise InputError(f"at most {WORDS_MOST}", field=field)
    if request.last is not None and not 0 <= request.last <= LAST_MOST:
        raise InputError(f"expected 0 to {LAST_MOST}", field="last")
