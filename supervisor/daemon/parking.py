"""Agents in the background that end for a while, since a usage window is reserved for others, and go on when it has
room. The state is journaled before anything is done; ADR 31 has the reasons.

    running -> (intent: `row.parking`) -> its stop signal -> parked -> the window has room, or the user -> queued

Who decides: the rules over windows, at the gateway, by Hold. Who ends it: `look`. Who wakes it: the gateway again, by
Room, for as long as it is parked; nothing here counts time.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.agents.host.invocation import is_host
from aish.errors import ConflictError, RefusedError, StorageError
from aish.model import exit as exits
from aish.model import state
from aish.model.spec import PARK
from aish.supervisor.daemon import clock, machine, runs
from aish.wire import window
from aish.wire.part import ExitPart, ParkedPart

if TYPE_CHECKING:
    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row
    from aish.wire.link import Hold

PARK_LEAST_S: Final = 120.0
"""A hold that is expected to be shorter stays one. To begin again costs an agent some seconds (its program, its MCP
servers) and the window what its conversation is long, since that is read anew: within five minutes it may be in the
vendor's cache, and is a tenth of the price then. Clients wait for an answer for ten minutes and try again."""
LOOK_S: Final = 2.0
"""How soon is seen that what stood in the way of parking is over: a request, a tool, a question."""
PARKINGS_MOST: Final = 6
PARKINGS_WITHIN_S: Final = 3600.0
"""So often within so long it is parked: a figure or a rule that wavers would have it read its conversation anew each
time. After that it is held, until the first of these is that long ago."""
IN_FRONT_S: Final = 7 * 86400.0
"""How long the user's word counts where nobody knows when the window begins anew: no window is longer."""
STRANDED: Final = "its environment went with the machine's last start: `aish start {name}` gives it that of here"


class Parking:
    """One per daemon, the conductor's."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    # --- in -----------------------------------------------------------------------------------------------------

    def held(self, process: Process, hold: Hold) -> None:
        """A window holds its requests."""
        row = process.row
        row.barred = ParkedPart(
            owner=hold.owner,
            login=hold.login,
            what=hold.what,
            used=hold.used,
            budget=hold.budget,
            until_s=hold.until_s,
            named=hold.named,
            since_s=time.time(),
        )
        self._conductor.recorder.change(row)
        self.look(process)

    def released(self, process: Process) -> None:
        """Nothing of it waits for a window any more."""
        row = process.row
        if row.barred is not None and not row.parking and not is_waking(row):
            row.barred = None
            self._conductor.recorder.change(row)

    def look(self, process: Process) -> None:
        """Park it if that is due now, or have it go on if somebody wanted that; look again later where something
        stands in the way that nobody tells of."""
        row, now_s = process.row, time.time()
        if row.lifecycle == state.PARKED and row.wake is not None:
            self.go_on(process, row.wake)
        if row.barred is None or row.parking or not may_park(row) or not _is_held(row, row.barred, now_s):
            return  # a hold that is lifted has it looked at again
        if not is_long(row.barred, now_s):
            return  # who holds it says so where it becomes longer
        often = len(recent(row.parkings_boot_s, clock.boot_s())) >= PARKINGS_MOST
        if often or _is_busy(process) or not self._park(process):
            self._look_later()

    def _park(self, process: Process) -> bool:
        """False where the disk does not take the intent: then it is held."""
        row, boot_s = process.row, clock.boot_s()
        barred = row.barred
        assert barred is not None
        row.worked_then_s, row.wake = runs.ran_s(row, boot_s), None
        row.parking, row.barred = True, structs.replace(barred, since_s=time.time())
        try:
            self._conductor.recorder.promise(row, "parking", sentence(barred), **_detail(barred))
        except StorageError:
            row.parking, row.barred = False, barred
            return False
        row.parkings_boot_s = [*recent(row.parkings_boot_s, boot_s), boot_s]
        self.end(process)
        return True

    def end(self, process: Process) -> None:
        """The intent is written: its processes end. Once more where a daemon died before it had done so."""
        self._conductor.stop(process, None, exits.PARKED, by=runs.WINDOW)

    def _look_later(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_S, self._again)

    def _again(self) -> None:
        self._timer = None
        for process in self._conductor.table.alive():
            self.look(process)

    # --- out ----------------------------------------------------------------------------------------------------

    def room(self, process: Process, since_s: float) -> None:
        """The window has room for it, as far as is known. Told again and again: what comes too late means nothing."""
        row = process.row
        if row.lifecycle == state.PARKED and row.barred is not None and row.barred.since_s == since_s:
            self.go_on(process, "the usage window has room for it")

    def go_on(self, process: Process, why: str) -> bool:
        """False where it has to stay: it is paused, or nobody has its environment any more."""
        row = process.row
        if row.lifecycle != state.PARKED or state.USER in row.holds or self.stranded(process):
            return False
        self._conductor.recorder.event("unparked", row, why, **_detail(row.barred))
        self._conductor.apply(process, machine.Unparked())
        return True

    def again(self, process: Process) -> None:
        """It was to go on, and those who were asked for its start died with all they knew: it does not run. It is
        parked as it was, and woken again; after a reboot its environment is gone, which is told then."""
        row = process.row
        row.parking, row.queued_boot_s, row.exit = True, None, ExitPart(reason=exits.PARKED)
        row.reason = sentence(row.barred) if row.barred is not None else None
        self._conductor.apply(process, machine.Parks())

    def stranded(self, process: Process) -> bool:
        """Whether its captured environment is gone: it is in memory only, and the machine was started anew."""
        row = process.row
        if process.launch is not None or self._conductor.launcher.files.load(row.id) is not None:
            return False
        if row.barred is not None and not row.barred.stranded:
            row.barred = structs.replace(row.barred, stranded=True)
            row.reason = STRANDED.format(name=row.name)
            self._conductor.changed(process)
        return True

    def let_go(self, process: Process, *, user: bool, by: str) -> None:
        """The user wants it to go on though the window is reserved: until that begins anew it is in the foreground.
        Who is being parked goes on as soon as it is.

        Raises ConflictError, RefusedError, StorageError."""
        row, barred = process.row, process.row.barred
        assert barred is not None
        if not user:
            raise RefusedError(f"{row.name} ({row.id}) waits for a usage window, which the user alone lets it use")
        if barred.what == window.SHARE:
            raise ConflictError(
                f"{row.name} ({row.id}) has used its share of {window.name(barred.owner)}",
                hint=f"aish window set {window.name(barred.owner)} share.@{row.name}=50%",
            )
        if barred.named:
            raise ConflictError(
                f"{row.name} ({row.id}) is in the background by the rule itself, whoever waits for it",
                hint=f"aish window show {window.name(barred.owner)}",
            )
        if row.lifecycle == state.PARKED and self.stranded(process):
            raise ConflictError(f"{row.name} ({row.id}) cannot go on yet", hint=row.reason)
        before = row.in_front_until_s, row.wake
        row.in_front_until_s = barred.until_s or time.time() + IN_FRONT_S
        text = f"{by}, though the window is reserved"
        row.wake = text if row.parking else None
        try:
            self._conductor.recorder.promise(row, "continued", by)
        except BaseException:
            row.in_front_until_s, row.wake = before
            raise
        self._front_until(process)
        self._conductor.changed(process)
        self.look(process)

    def switched(self, process: Process, text: str) -> None:
        """Another model answers it, which may have other windows: its request tells."""
        row = process.row
        if row.parking:
            row.wake = text
            self._conductor.changed(process)
            self.look(process)

    def _front_until(self, process: Process) -> None:
        """Have the gateway told when the user's word is over."""
        until_s = process.row.in_front_until_s
        if until_s is not None:
            self._loop.call_later(max(0.0, until_s - time.time()), self._conductor.changed, process)

    # --- a daemon before ----------------------------------------------------------------------------------------

    def taken_over(self) -> None:
        """What the daemon before was at. Who is stopping is seen to already."""
        for process in self._conductor.table.alive():
            row = process.row
            self._front_until(process)
            if row.lifecycle == state.PARKED:
                self.stranded(process)
                self.look(process)
            elif row.parking and row.lifecycle == state.RUNNING:
                self.end(process)
            else:
                self.look(process)


def may_park(row: Row) -> bool:
    """Whether it can go on later as what it is: a host that waits for messages, or has its task as words, and no
    descriptors of somebody who waits for it. Pure."""
    spec = row.spec
    host = is_host(spec.argv) and b"--attached" not in spec.argv
    return spec.when_reserved == PARK and host and not (spec.pty or row.targets or row.adopted)


def _is_held(row: Row, barred: ParkedPart, now_s: float) -> bool:
    """By the window alone, and not let go on by the user: the gateway hears of that a moment later."""
    if in_front(row, now_s) and lets_go(barred):
        return False
    return row.lifecycle == state.RUNNING and row.holds == [state.BUDGET] and row.wrapup is None and not row.checking


def _is_busy(process: Process) -> bool:
    """Whether it is at something beside the request that waits. What stands still was at something then, no more."""
    if process.row.stands_still:
        return process.wants is not None
    return process.activity in (state.GENERATING, state.TOOL, state.NEEDS_INPUT)


def is_long(barred: ParkedPart, now_s: float) -> bool:
    """Whether it is expected to last; what nobody knows may. Pure."""
    return barred.until_s is None or barred.until_s - now_s >= PARK_LEAST_S


def in_front(row: Row, now_s: float) -> bool:
    """Whether the user has let it go on. Pure."""
    return row.in_front_until_s is not None and now_s < row.in_front_until_s


def is_waking(row: Row) -> bool:
    """Whether it was parked and is to go on, and does not run yet. Pure."""
    return row.goes_on and row.barred is not None and row.lifecycle in (state.QUEUED, state.STARTING)


def lets_go(barred: ParkedPart) -> bool:
    """Whether the user's word is of use: not over a share, nor where the rule itself says who is in the background.
    Pure."""
    return barred.what == window.RESERVE and not barred.named


def recent(parkings_boot_s: list[float], now_boot_s: float) -> list[float]:
    """Those that count. Times of another boot do where they look alike: that is an hour at most. Pure."""
    return [each for each in parkings_boot_s if 0.0 <= now_boot_s - each < PARKINGS_WITHIN_S]


def sentence(barred: ParkedPart) -> str:
    """Why it is parked."""
    return window.spent(barred.owner, barred.what, barred.used, barred.budget, barred.until_s)


def _detail(barred: ParkedPart | None) -> dict[str, str | float]:
    if barred is None:
        return {}
    told: dict[str, str | float] = {"owner": barred.owner, "what": barred.what}
    told |= {"used": barred.used, "budget": barred.budget}
    return told if barred.until_s is None else {**told, "until_s": barred.until_s}
