"""What an end means: the status with its reason, and whether it is started again. Pure."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import msgspec

from aish.model import exit as exits
from aish.model import kind
from aish.model.state import STOPPING
from aish.supervisor.daemon import machine, parking, restart
from aish.wire.part import ExitPart

if TYPE_CHECKING:
    from aish.model.exit import Exit
    from aish.supervisor.daemon.machine import LifecycleEvent
    from aish.supervisor.daemon.row import Row


class Verdict(msgspec.Struct, frozen=True):
    exit: ExitPart
    event: LifecycleEvent
    reason: str | None
    """What the row says; None: as before."""


def judge(
    row: Row, end: Exit, *, cause: str | None, ran_s: float | None, now_s: float, chance: float, restartable: bool
) -> Verdict:
    """`cause` is a word of aish.model.exit where the supervisor knows better than the status why it ended ("oom",
    "unhealthy", "check"): then it failed, whatever the status. Times are seconds since boot."""
    if row.parking and parks(row, end):
        told = ExitPart(code=end.code, signal=end.signal, reason=exits.PARKED)
        return Verdict(told, machine.Parks(), parking.sentence(row.barred) if row.barred is not None else None)
    cancelled = _cancelled(row, end)
    own, said = row.concluded if row.concluded is not None and end.code != 0 else (None, "")
    done = exits.DONE if end.code == 0 else own
    reason = row.stop_reason or cause or (exits.CANCELLED if cancelled else done)
    told = ExitPart(code=end.code, signal=end.signal, reason=reason)
    event: LifecycleEvent = machine.Vanished() if end.lost else machine.Exited()
    text = said or None if reason == own and row.reason is None else None
    if end.lost and row.reason is None:
        text = "nobody saw it end: its exit status is not known"
    if row.spec.kind == kind.MODEL and not row.was_ready and end.code:
        # A server that gave up while it loaded: a wrong option or file is not mended by another try, and who waits is
        # to be told now. What somebody else killed is no such fault.
        return Verdict(told, event, "it ended before it was ever ready: it is not started again")
    if restartable and recurs(row):
        event = machine.Recurs()
    if not restartable or row.lifecycle == STOPPING or row.stop_reason is not None or cancelled:
        return Verdict(told, event, text)
    failed = end if cause is None or end.code != 0 else type(end)(1, None)
    match again(row, failed, ran_s, now_s, chance):
        case restart.Again(delay_s):
            return Verdict(told, machine.Ended(delay_s), text)
        case restart.Loop(count, within_s):
            told = ExitPart(code=end.code, signal=end.signal, reason=exits.CRASH_LOOP)
            text = f"restarted {count} times within {within_s:.0f} s: it is not started again"
            if isinstance(event, machine.Recurs):
                return Verdict(told, event, None)
            return Verdict(told, machine.Looped(), text)
        case restart.Stay():
            return Verdict(told, event, text)


def _cancelled(row: Row, end: Exit) -> bool:
    """An agent whose turn somebody cancelled through us, and who had no other: it is not begun again."""
    interrupted = row.signalled is not None and row.signalled[0] == signal.SIGINT
    return row.spec.kind == kind.AGENT and interrupted and end.shell_status == 128 + signal.SIGINT


def parks(row: Row, end: Exit) -> bool:
    """Whether one that is to be parked is, by this end. Who ends with 0 was done already, unless another
    decides that, or it is to run again anyway: a host dies by its stop signal."""
    again_anyway = row.spec.restart == "always" or bool(row.spec.check)
    return row.parking and row.stop_reason in (None, exits.PARKED) and (end.code != 0 or again_anyway)


def recurs(row: Row) -> bool:
    """Whether its schedule has it run again, however this run ended: unless it is the schedule that was stopped.
    Who was asked for a last word has ended a run."""
    stopped = row.stop_reason in exits.WANTED and row.stop_reason != exits.WRAPUP
    return row.spec.schedule is not None and not stopped


def again(row: Row, end: Exit, ran_s: float | None, now_s: float, chance: float) -> restart.Verdict:
    """What its restart policy says to this end."""
    how = row.spec.restarts or restart.DEFAULT
    return restart.decide(row.spec.restart, end, ran_s, row.restarts_boot_s, now_s, how, chance)
