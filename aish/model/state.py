"""The state of a process: four values, and the one word that people see.

- lifecycle  where it is between the wish to run it and its end
- ready      whether it does its job (a model answered a one-token probe)
- holds      why it is kept from going on; held while non-empty; each lifted only by what put it there
- activity   what it is doing, told by its adapter or the gateway; None where nobody can tell

The transition tables are in aish.supervisor.daemon.machine; docs/reference/states.md lists every word.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from typing import Final, Literal

    Lifecycle = Literal[
        "scheduled", "queued", "starting", "running", "stopping", "backoff", "parked", "exited", "failed", "lost"
    ]
    Ready = Literal["yes", "no", "unknown"]
    Hold = Literal["user", "budget", "memory", "operator"]
    Activity = Literal["generating", "tool", "queued", "needs-input", "idle", "loaded", "asleep"]

SCHEDULED: Final = "scheduled"  # waits for the time that its schedule names
QUEUED: Final = "queued"  # admitted by nobody yet: the reason says what it waits for
STARTING: Final = "starting"  # intent is journaled, the holder may or may not have forked
RUNNING: Final = "running"
STOPPING: Final = "stopping"  # stop signal sent, grace running
BACKOFF: Final = "backoff"  # waits to be restarted
PARKED: Final = "parked"  # ended for a while: a usage window is reserved for others
EXITED: Final = "exited"  # ended, exit status known; or somebody stopped it before it was started
FAILED: Final = "failed"  # could not be started, or was restarted too often
LOST: Final = "lost"  # ended or alive, nobody can tell which status it left

LIFECYCLES: Final = (SCHEDULED, QUEUED, STARTING, RUNNING, STOPPING, BACKOFF, PARKED, EXITED, FAILED, LOST)
ENDED: Final = frozenset({EXITED, FAILED, LOST})

YES: Final = "yes"
NO: Final = "no"
UNKNOWN: Final = "unknown"
READY: Final = (YES, NO, UNKNOWN)

USER: Final = "user"
BUDGET: Final = "budget"
MEMORY: Final = "memory"
OPERATOR: Final = "operator"
HOLDS: Final = (USER, BUDGET, MEMORY, OPERATOR)

GENERATING: Final = "generating"
TOOL: Final = "tool"
WAITING: Final = "queued"
NEEDS_INPUT: Final = "needs-input"
IDLE: Final = "idle"
LOADED: Final = "loaded"
ASLEEP: Final = "asleep"
ACTIVITIES: Final = (GENERATING, TOOL, WAITING, NEEDS_INPUT, IDLE, LOADED, ASLEEP)
TOLD: Final = (GENERATING, TOOL, WAITING, IDLE)
"""What a process may say of itself; needs-input follows from its questions."""

WORDS: Final = (
    "scheduled",
    "queued",  # waits for admission
    "starting",
    "loading",  # runs, but is not ready yet
    "running",
    "generating",
    "tool",
    "waiting",  # its request waits for a slot at the model
    "needs-input",
    "idle",
    "ready",  # a model that is loaded and idle
    "asleep",
    "paused",  # hold: user
    "over-budget",  # hold: budget
    "out-of-memory",  # hold: memory
    "held",  # hold: operator
    "stopping",
    "backoff",
    "parked",
    "exited",
    "failed",
    "lost",
)


def activity(metered: Activity | None, told: Activity | None, *, asks: bool) -> Activity | None:
    """What a process is doing, of what the gateway knows of its requests, what it tells itself, and whether it waits
    for a person's answer. A request under way goes before what was told; that goes before the gateway's "idle", which
    is whatever is no request."""
    if asks:
        return NEEDS_INPUT
    if metered in (GENERATING, WAITING):
        return metered
    return told or metered


def word(lifecycle: Lifecycle, ready: Ready, holds: AbstractSet[Hold], activity: Activity | None) -> str:
    """The one word for a state, in ps, top and --json alike; always one of `WORDS`."""
    match lifecycle:
        case "scheduled" | "queued" | "starting" | "stopping" | "backoff" | "parked" | "exited" | "failed" | "lost":
            return lifecycle
        case "running":
            if holds:
                return _hold_word(holds)
            if ready == NO:
                return "loading"
            return _activity_word(activity)


def _hold_word(holds: AbstractSet[Hold]) -> str:
    """The strongest reason wins: a person's own pause is what they look for first."""
    if USER in holds:
        return "paused"
    if BUDGET in holds:
        return "over-budget"
    if MEMORY in holds:
        return "out-of-memory"
    return "held"


def _activity_word(activity: Activity | None) -> str:
    match activity:
        case None:
            return "running"
        case "queued":
            return "waiting"
        case "loaded":
            return "ready"
        case "generating" | "tool" | "needs-input" | "idle" | "asleep":
            return activity
