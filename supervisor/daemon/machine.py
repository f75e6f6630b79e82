"""The transition tables of a supervised process: lifecycle, readiness, holds. Pure.

Each table is a nested `match state: match event:` over every pair, so that mypy finds a missing one. A step gives the
new state and the effects that the caller carries out, in order. A pair that cannot matter (a late timer, a repeated
report of the holder) is `IGNORED`; one that would mean a fault of aish itself is a `FAULT`: the state stays, the
caller records it. docs/reference/states.md prints the tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from aish.model.state import BACKOFF, EXITED, FAILED, LOST, PARKED, QUEUED, RUNNING, SCHEDULED, STARTING, STOPPING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from aish.model.state import Hold, Lifecycle, Ready

# --- lifecycle events -------------------------------------------------------------------------------------------


class Admitted(msgspec.Struct, frozen=True):
    """Its devices are promised to it, or it needs none."""


class Refused(msgspec.Struct, frozen=True):
    """What it asks for can never be had."""


class Spawned(msgspec.Struct, frozen=True):
    """The holder has forked it, now or before."""


class Adopted(msgspec.Struct, frozen=True):
    """It runs already: somebody else started it."""


class SpawnFailed(msgspec.Struct, frozen=True):
    """The holder could not: program, folder, limits."""


class Exited(msgspec.Struct, frozen=True):
    """Ended for good, status known."""


class Vanished(msgspec.Struct, frozen=True):
    """Ended for good, nobody can tell its status."""


class Finished(msgspec.Struct, frozen=True):
    """Ended with status 0; whether that is success another command decides."""


class Ended(msgspec.Struct, frozen=True):
    """Ended, and its restart policy wants it again after `delay_s`."""

    delay_s: float = 0.0


class Recurs(msgspec.Struct, frozen=True):
    """This run is over, or did not come about; its schedule wants it again at its next time."""


class Due(msgspec.Struct, frozen=True):
    """A time of its schedule has come."""


class Parks(msgspec.Struct, frozen=True):
    """It has ended for a while, and is to go on when a usage window has room for it."""


class Unparked(msgspec.Struct, frozen=True):
    """The window has room again, or the user wants it to go on all the same."""


class Looped(msgspec.Struct, frozen=True):
    """Ended, and was restarted too often to be started again."""


class StopRequested(msgspec.Struct, frozen=True):
    """Somebody wants it to end; `at_once`: without grace."""

    at_once: bool = False


class LeaderEnded(msgspec.Struct, frozen=True):
    """It was to end and has, status known; others of its tree live on."""


class GraceElapsed(msgspec.Struct, frozen=True):
    """The time between stop signal and SIGKILL is over."""


class BackoffElapsed(msgspec.Struct, frozen=True):
    """The wait before a restart is over."""


class StartRequested(msgspec.Struct, frozen=True):
    """Somebody wants what has ended to run again, and what is scheduled to run now. `later`: it has a schedule."""

    later: bool = False


class Missing(msgspec.Struct, frozen=True):
    """A new daemon, or a new holder: the holder does not know it."""


LifecycleEvent = (
    Admitted
    | Refused
    | Spawned
    | Adopted
    | SpawnFailed
    | Exited
    | Finished
    | Vanished
    | Ended
    | Recurs
    | Due
    | Parks
    | Unparked
    | Looped
    | StopRequested
    | LeaderEnded
    | GraceElapsed
    | BackoffElapsed
    | StartRequested
    | Missing
)

# --- effects ----------------------------------------------------------------------------------------------------

Effect = Literal[
    "launch",  # journal the intent, then ask the holder to spawn (idempotent per id)
    "began",  # it runs: note pid and times, tell the gateway
    "stop-signal",  # the spec's stop signal to its group, then SIGCONT
    "kill",  # SIGKILL to its group
    "stop-rest",  # the stop signal to what of its tree has not had it; tell when all of it has ended
    "grace",  # arm the grace timer
    "backoff",  # arm the restart timer with the event's delay
    "again",  # its restart policy starts it again: counted
    "revive",  # a person starts it again: its name is taken again
    "unpark",  # what was parked goes on: another run of the same work
    "renew",  # a new run whose counts begin afresh
    "schedule",  # find the next time of its schedule, and wait for it
    "enqueue",  # ask for admission
    "check",  # have the command run that decides success
    "watch",  # it lives outside the holder: watch it through a pidfd
    "recess",  # between two runs: give back devices and port
    "settle",  # ended for good: give back everything, tell who waits
]
Outcome = Literal["moved", "ignored", "fault"]


class Step(msgspec.Struct, frozen=True):
    """Where an event leads: the state after it and what is to be done."""

    state: Lifecycle
    effects: tuple[Effect, ...] = ()
    outcome: Outcome = "moved"


_LATE: Final = "ignored"
_WRONG: Final = "fault"


def step(state: Lifecycle, event: LifecycleEvent) -> Step:
    """The lifecycle after `event`. Total: every pair has a row."""
    match state:
        case "scheduled":
            return _scheduled(event)
        case "queued":
            return _queued(event)
        case "starting":
            return _starting(event)
        case "running":
            return _running(event)
        case "stopping":
            return _stopping(event)
        case "backoff":
            return _backoff(event)
        case "parked":
            return _parked(event)
        case "exited":
            return _ended(EXITED, event)
        case "failed":
            return _ended(FAILED, event)
        case "lost":
            return _lost(event)


def _scheduled(event: LifecycleEvent) -> Step:
    match event:
        case Due() | StartRequested():
            return Step(QUEUED, ("renew", "enqueue"))
        case StopRequested():
            return Step(EXITED, ("settle",))
        case Vanished():
            return Step(LOST, ("settle",))
        case (
            Exited() | Finished() | Ended() | Recurs() | Parks() | Looped() | LeaderEnded()
        ):  # the last run's end, again
            return Step(SCHEDULED, outcome=_LATE)
        case Spawned() | GraceElapsed() | BackoffElapsed() | Missing() | Unparked():
            return Step(SCHEDULED, outcome=_LATE)
        case Admitted() | Refused() | SpawnFailed() | Adopted():
            return Step(SCHEDULED, outcome=_WRONG)


def _queued(event: LifecycleEvent) -> Step:
    match event:
        case Admitted():
            return Step(STARTING, ("launch",))
        case Refused():
            return Step(FAILED, ("settle",))
        case StopRequested():  # wanted, so no failure: as in any other wait
            return Step(EXITED, ("settle",))
        case GraceElapsed() | BackoffElapsed() | Missing() | Unparked():
            return Step(QUEUED, outcome=_LATE)
        case Vanished():  # it may have been started by a holder that died with all it knew
            return Step(LOST, ("settle",))
        case Recurs():
            return Step(SCHEDULED, ("recess", "schedule"))
        case Parks():  # it was to go on, and its start was lost with all who knew of it
            return Step(PARKED, ("recess",))
        case Exited() | Finished() | Ended() | Looped() | StartRequested():  # the exit before a restart, again
            return Step(QUEUED, outcome=_LATE)
        case Spawned():  # the daemon before had it started, and died before it could write so
            return Step(RUNNING, ("began",))
        case Adopted():
            return Step(RUNNING, ("began", "watch"))
        case SpawnFailed() | LeaderEnded() | Due():
            return Step(QUEUED, outcome=_WRONG)


def _starting(event: LifecycleEvent) -> Step:
    match event:
        case Spawned():
            return Step(RUNNING, ("began",))
        case SpawnFailed() | Looped():
            return Step(FAILED, ("settle",))
        case Exited():  # ended before the holder's answer came
            return Step(EXITED, ("settle",))
        case Vanished():
            return Step(LOST, ("settle",))
        case Ended():
            return Step(BACKOFF, ("recess", "backoff"))
        case Recurs():
            return Step(SCHEDULED, ("recess", "schedule"))
        case Parks():
            return Step(PARKED, ("recess",))
        case StopRequested():  # the signal follows when it is there to get it
            return Step(STOPPING, ("grace",))
        case Missing():
            return Step(STARTING, ("launch",))
        case Admitted() | GraceElapsed() | BackoffElapsed() | StartRequested() | Unparked():
            return Step(STARTING, outcome=_LATE)
        case Refused() | LeaderEnded() | Finished() | Due() | Adopted():
            return Step(STARTING, outcome=_WRONG)


def _running(event: LifecycleEvent) -> Step:
    match event:
        case Exited():
            return Step(EXITED, ("settle",))
        case Finished():
            return Step(RUNNING, ("check",))
        case Vanished():
            return Step(LOST, ("settle",))
        case Ended():
            return Step(BACKOFF, ("recess", "backoff"))
        case Recurs():
            return Step(SCHEDULED, ("recess", "schedule"))
        case Parks():
            return Step(PARKED, ("recess",))
        case Looped():
            return Step(FAILED, ("settle",))
        case StopRequested(at_once=True):
            return Step(STOPPING, ("kill",))
        case StopRequested():
            return Step(STOPPING, ("stop-signal", "grace"))
        case Missing():
            return Step(RUNNING, ("watch",))
        case Spawned() | GraceElapsed() | BackoffElapsed() | StartRequested() | Unparked():
            return Step(RUNNING, outcome=_LATE)
        case Admitted() | Refused() | SpawnFailed() | LeaderEnded() | Due() | Adopted():
            return Step(RUNNING, outcome=_WRONG)


def _stopping(event: LifecycleEvent) -> Step:
    match event:
        case Exited() | Finished() | Ended() | Looped():  # whatever its policy: a stop is final
            return Step(EXITED, ("settle",))
        case Recurs():  # it ran too long; it is only this run that was stopped
            return Step(SCHEDULED, ("recess", "schedule"))
        case Parks():  # a usage window stopped it, and nobody else did
            return Step(PARKED, ("recess",))
        case LeaderEnded():  # the grace is for the whole tree
            return Step(STOPPING, ("stop-rest",))
        case Vanished():
            return Step(LOST, ("settle",))
        case SpawnFailed():  # wanted, so no failure: nothing of it ran
            return Step(EXITED, ("settle",))
        case Spawned():  # the stop came during the start
            return Step(STOPPING, ("began", "stop-signal", "grace"))
        case StopRequested(at_once=True) | GraceElapsed():
            return Step(STOPPING, ("kill",))
        case StopRequested():
            return Step(STOPPING, ("stop-signal", "grace"))
        case Missing():
            return Step(STOPPING, ("watch",))
        case BackoffElapsed() | StartRequested() | Unparked():
            return Step(STOPPING, outcome=_LATE)
        case Admitted() | Refused() | Due() | Adopted():
            return Step(STOPPING, outcome=_WRONG)


def _backoff(event: LifecycleEvent) -> Step:
    match event:
        case BackoffElapsed():
            return Step(QUEUED, ("again", "enqueue"))
        case StopRequested():  # no resurrection
            return Step(EXITED, ("settle",))
        case (
            Exited() | Finished() | Vanished() | Ended() | Recurs() | Parks() | Looped()
        ):  # the same exit, told again
            return Step(BACKOFF, outcome=_LATE)
        case Spawned() | GraceElapsed() | Missing() | StartRequested() | Unparked():
            return Step(BACKOFF, outcome=_LATE)
        case Admitted() | Refused() | SpawnFailed() | LeaderEnded() | Due() | Adopted():
            return Step(BACKOFF, outcome=_WRONG)


def _parked(event: LifecycleEvent) -> Step:
    match event:
        case Unparked():
            return Step(QUEUED, ("unpark", "enqueue"))
        case StopRequested():  # no resurrection
            return Step(EXITED, ("settle",))
        case (
            Exited() | Finished() | Vanished() | Ended() | Recurs() | Parks() | Looped()
        ):  # the same exit, told again
            return Step(PARKED, outcome=_LATE)
        case Spawned() | LeaderEnded() | GraceElapsed() | BackoffElapsed() | Missing() | StartRequested():
            return Step(PARKED, outcome=_LATE)
        case Admitted() | Refused() | SpawnFailed() | Due() | Adopted():
            return Step(PARKED, outcome=_WRONG)


def _ended(state: Lifecycle, event: LifecycleEvent) -> Step:
    match event:
        case StartRequested(later=True):
            return Step(SCHEDULED, ("revive", "renew", "schedule"))
        case StartRequested():
            return Step(QUEUED, ("revive", "renew", "enqueue"))
        case (
            Exited() | Finished() | Vanished() | Ended() | Recurs() | Parks() | Looped() | LeaderEnded()
        ):  # again, late
            return Step(state, outcome=_LATE)
        case Spawned() | SpawnFailed():
            return Step(state, outcome=_LATE)
        case StopRequested() | GraceElapsed() | BackoffElapsed() | Missing() | Due() | Unparked():
            return Step(state, outcome=_LATE)
        case Admitted() | Refused() | Adopted():
            return Step(state, outcome=_WRONG)


def _lost(event: LifecycleEvent) -> Step:
    match event:
        case Exited() | Finished() | Ended() | Recurs() | Parks() | Looped():  # its status came to light after all
            return Step(EXITED, ("settle",))
        case StartRequested(later=True):
            return Step(SCHEDULED, ("revive", "renew", "schedule"))
        case StartRequested():
            return Step(QUEUED, ("revive", "renew", "enqueue"))
        case Vanished() | Spawned() | SpawnFailed() | LeaderEnded():
            return Step(LOST, outcome=_LATE)
        case StopRequested() | GraceElapsed() | BackoffElapsed() | Missing() | Due() | Unparked():
            return Step(LOST, outcome=_LATE)
        case Admitted() | Refused() | Adopted():
            return Step(LOST, outcome=_WRONG)


# --- readiness --------------------------------------------------------------------------------------------------

ReadyEvent = Literal["began", "began-model", "probe-yes", "probe-no", "probe-unknown", "ended"]
READY_EVENTS: Final[tuple[ReadyEvent, ...]] = (
    "began",  # runs; nothing is known of its readiness
    "began-model",  # runs, and is not ready before a probe has succeeded
    "probe-yes",
    "probe-no",
    "probe-unknown",  # stopped answering
    "ended",
)


def ready_step(state: Ready, event: ReadyEvent) -> Ready:
    """Readiness after `event`. A server that was ready and does not answer is 'unknown', not 'no'."""
    match state:
        case "yes":
            match event:
                case "probe-yes":
                    return "yes"
                case "probe-no" | "began-model":
                    return "no"
                case "probe-unknown" | "began" | "ended":
                    return "unknown"
        case "no":
            match event:
                case "probe-yes":
                    return "yes"
                case "probe-no" | "probe-unknown" | "began-model":  # silence while it loads is no news
                    return "no"
                case "began" | "ended":
                    return "unknown"
        case "unknown":
            match event:
                case "probe-yes":
                    return "yes"
                case "probe-no" | "began-model":
                    return "no"
                case "probe-unknown" | "began" | "ended":
                    return "unknown"


# --- holds ------------------------------------------------------------------------------------------------------

HoldEvent = Literal["put", "lift", "ended"]
HOLD_EVENTS: Final[tuple[HoldEvent, ...]] = ("put", "lift", "ended")
HoldEffect = Literal["freeze", "thaw"]


class HoldStep(msgspec.Struct, frozen=True):
    holds: frozenset[Hold]
    effect: HoldEffect | None = None
    changed: bool = True


def hold_step(holds: AbstractSet[Hold], reason: Hold, event: HoldEvent, *, observed: bool = False) -> HoldStep:
    """The set of holds after `reason` was put or lifted, or the process ended (which clears all).

    A hold of user, memory or operator stops the process itself (SIGSTOP to its group). A spent budget lets it run,
    and its requests wait at the gateway; only one that is observed is stopped, too, since its requests do not come
    there. A process held for two reasons goes on when both are lifted.
    """
    before = frozenset(holds)
    match reason in before:
        case True:
            match event:
                case "put":
                    return HoldStep(before, changed=False)
                case "lift":
                    return _held(before, before - {reason}, observed=observed)
                case "ended":
                    return HoldStep(frozenset())
        case False:
            match event:
                case "put":
                    return _held(before, before | {reason}, observed=observed)
                case "lift":
                    return HoldStep(before, changed=False)
                case "ended":
                    return HoldStep(frozenset(), changed=bool(before))


def _held(before: frozenset[Hold], after: frozenset[Hold], *, observed: bool) -> HoldStep:
    match freezes(before, observed=observed), freezes(after, observed=observed):
        case False, True:
            return HoldStep(after, "freeze")
        case True, False:
            return HoldStep(after, "thaw")
        case _:
            return HoldStep(after)


def freezes(holds: AbstractSet[Hold], *, observed: bool = False) -> bool:
    """Whether a process with these holds stands still."""
    return any(observed or reason != "budget" for reason in holds)
