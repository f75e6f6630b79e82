"""`aish wrapup`: a last message within a grace, then the ordinary end. Journaled before anything is done.

    running -> asked -> (its last answer is there: SAY_S more) -> its stop signal, as by `aish stop`

Whatever ends it meanwhile, it is not started again for that: somebody wanted it to end. The gateway hears of it by
the process's Member, and tells by LastSaid when nothing more can come.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.errors import ConflictError, InputError, UsageError
from aish.model import exit as exits
from aish.model import kind, state
from aish.model.moment import written
from aish.supervisor.daemon import clock
from aish.supervisor.daemon.row import Wrapup
from aish.wire import budget
from aish.wire.spec import BudgetPart, LastWordPart

if TYPE_CHECKING:
    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.process import Process
    from aish.wire import message

SAY_S: Final = 5.0
"""From its last answer to its stop signal: to write it down."""
_GRACE: Final = {"input", "output", "usd", "requests"}
MOST_WITHIN_S: Final = 86400.0
MOST_MESSAGE_CHARS: Final = 4000
MESSAGE: Final = (
    "This is your last turn: you are being stopped. Call no tools. Say in a few sentences what you have done and "
    "found so far, and what is left to do."
)


class Wrapups:
    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def begin(self, process: Process, request: message.Wrapup, by: str) -> bool:
        """False where it is wrapped up already. Raises UsageError, InputError, ConflictError, StorageError."""
        row = process.row
        last = last_word(request)
        if row.wrapup is not None:
            return False
        _check(process)
        words = budget.whole(last.tokens, structs.replace(last.budget, hard=False))
        within = f"within {written(request.within_s)}: {words}"
        row.wrapup = Wrapup(
            last=last, until_boot_s=clock.boot_s() + request.within_s, within_s=request.within_s, by=by
        )
        try:
            self._conductor.recorder.promise(row, "wrapup", f"by {by}, {within}")
        except BaseException:
            row.wrapup = None
            raise
        row.reason = f"it is asked for its last message, {within}"
        self._arm(process)
        self._conductor.changed(process)
        return True

    def said(self, process: Process) -> None:
        """Nothing more comes from a model."""
        row = process.row
        if row.wrapup is None or row.wrapup.said:
            return
        until_s = min(row.wrapup.until_boot_s, clock.boot_s() + SAY_S)
        row.wrapup = structs.replace(row.wrapup, said=True, until_boot_s=until_s)
        row.reason = "it has had its last answer"
        self._arm(process)
        self._conductor.changed(process)

    def taken_over(self, process: Process) -> None:
        """It runs, and a daemon before had it wrapped up."""
        self._arm(process)

    def ended(self, process: Process) -> None:
        """It has ended, by its own or by us: no restart policy starts what was to end."""
        row = process.row
        if row.wrapup is None:
            return
        if row.stop_reason != exits.WRAPUP:
            row.reason = None
        if row.cause is None and row.stop_reason is None:
            row.stop_reason, row.ended_by, row.reason = exits.WRAPUP, row.wrapup.by, "it ended by itself"
        row.wrapup = None
        self._disarm(process)

    def _arm(self, process: Process) -> None:
        self._disarm(process)
        wrapup = process.row.wrapup
        if wrapup is not None and process.row.lifecycle == state.RUNNING:
            left_s = max(0.0, wrapup.until_boot_s - clock.boot_s())
            self._timers[process.id] = asyncio.get_running_loop().call_later(left_s, self._over, process)

    def _disarm(self, process: Process) -> None:
        timer = self._timers.pop(process.id, None)
        if timer is not None:
            timer.cancel()

    def _over(self, process: Process) -> None:
        wrapup = process.row.wrapup
        self._timers.pop(process.id, None)
        if wrapup is None:
            return
        how = f"it had {written(wrapup.within_s)} for its last message"
        process.row.reason = "it has said its last message" if wrapup.said else how
        self._conductor.stop(process, None, exits.WRAPUP, wrapup.by)


def last_word(request: message.Wrapup) -> LastWordPart:
    """Raises UsageError, InputError."""
    if not 0 < request.within_s <= MOST_WITHIN_S:
        raise InputError(f"expected seconds, above 0 and up to {MOST_WITHIN_S:.0f}", field="within_s")
    text = request.message or MESSAGE
    if len(text) > MOST_MESSAGE_CHARS:
        raise InputError(f"at most {MOST_MESSAGE_CHARS} characters", field="message")
    asked = budget.parse(request.grace, "grace") if request.grace else budget.Asked(None, None)
    if asked.wall_s is not None:
        raise UsageError("a grace has no wall time", hint="--within says how long it may take")
    part = asked.part or BudgetPart()
    beyond = budget.told(part).keys() - _GRACE
    if beyond:
        raise UsageError(f"a grace has no {min(beyond)}", hint="such as tokens=2k, usd=0.10, requests=1")
    if part.requests is None:
        part = structs.replace(part, requests=1)
    return LastWordPart(message=text, tokens=asked.tokens, budget=structs.replace(part, hard=True))


def _check(process: Process) -> None:
    """Raises ConflictError where it could not say anything."""
    row = process.row
    if row.ended:
        raise ConflictError(f"{row.name} ({row.id}) has ended")
    if row.spec.kind in (kind.MODEL, kind.SYSTEM):
        raise ConflictError(f"{row.name} ({row.id}) asks no models itself", hint=f"aish stop {row.name}")
    if row.lifecycle != state.RUNNING:
        raise ConflictError(f"{row.name} ({row.id}) is {process.word}", hint=f"aish stop {row.name}")
    if state.USER in row.holds or state.MEMORY in row.holds:
        raise ConflictError(
            f"{row.name} ({row.id}) is {process.word}: it stands still, and can say nothing",
            hint=f"aish cont {row.name}, then wrap it up; or aish stop {row.name}",
        )
