"""Who is to be started when: the effects of schedules. What is due is decided in aish.supervisor.daemon.schedule."""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import TYPE_CHECKING, Final

from aish.errors import InputError
from aish.supervisor.daemon import machine, schedule

if TYPE_CHECKING:
    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.process import Process

LOOK_S: Final = 30.0
"""A clock that is set, or a machine that slept, is noticed after this long: timers run on the time since boot."""


class Timetable:
    """`later` waits for the next time of a process; `look` starts what is due."""

    def __init__(self, conductor: Conductor) -> None:
        self.conductor = conductor
        self._waiting: dict[str, Process] = {}
        self._timer: asyncio.TimerHandle | None = None

    def later(self, process: Process) -> None:
        """Its lifecycle is 'scheduled' now; `row.due_s` becomes its next time."""
        row = process.row
        row.due_s = self._following(process, time.time())
        self.go_on(process)

    def go_on(self, process: Process) -> None:
        """Wait for `row.due_s`: a daemon before found it."""
        self._waiting[process.id] = process
        self.look()

    def look(self) -> None:
        """Start what is due, and set the timer for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_s, next_s = time.time(), None
        for process in list(self._waiting.values()):
            if process.row.lifecycle != "scheduled":
                del self._waiting[process.id]
            elif not self._begun(process, now_s) and process.row.due_s is not None:
                next_s = min(process.row.due_s, next_s or process.row.due_s)
        if next_s is not None:
            delay_s = min(LOOK_S, max(0.0, next_s - now_s))
            self._timer = asyncio.get_running_loop().call_later(delay_s, self.look)

    def _begun(self, process: Process, now_s: float) -> bool:
        """Whether it is started now; if not, `row.due_s` is its next time, also by a clock that was set."""
        row, part = process.row, process.row.spec.schedule
        if (
            part is not None
            and row.due_s is not None
            and row.due_s <= now_s
            and not schedule.late(part, row.due_s, now_s)
        ):
            row.last_due_s = now_s if now_s - row.due_s > schedule.LATE_S else row.due_s
            row.due_s = None
            del self._waiting[process.id]
            self.conductor.apply(process, machine.Due())
            return True
        due_s, before = self._following(process, now_s), row.due_s
        if due_s != before:
            row.due_s = due_s
            self.conductor.changed(process)
        return False

    def _following(self, process: Process, now_s: float) -> float | None:
        """Its next time, which `row.reason` tells people. None: there is none, or its time zone has gone since."""
        row, part = process.row, process.row.spec.schedule
        try:
            due_s = schedule.following(part, now_s, row.last_due_s) if part is not None else None
            if part is None or due_s is None:
                row.reason = "its schedule names no time any more"
                return None
            moment = datetime.datetime.fromtimestamp(due_s, datetime.UTC).astimezone(schedule.zone(part))
        except InputError as error:
            row.reason = f"its schedule cannot be read any more: {error}"
            return None
        clock = "%H:%M:%S" if moment.second else "%H:%M"
        row.reason = f"its next run is at {moment.strftime(f'%Y-%m-%d {clock} %Z')}"
        return due_s
