"""How a process ended. What nobody saw is `None`, never 0."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Reasons that the supervisor gives beside the process's own status.
DONE: Final = "done"
CANCELLED: Final = "cancelled"  # a person stopped or killed it, or cancelled its turn
QUOTA: Final = "quota"  # the watchdog ended it: more VRAM than its quota
BUDGET: Final = "budget"
LIMIT: Final = "limit"  # a bound that is no budget: of a context, an answer, its time
REFUSED: Final = "refused"  # what it wanted to do was not permitted
LOOP: Final = "loop"  # an agent that goes round in a circle
AUTH: Final = "auth"  # its model takes neither its key nor its login
UPSTREAM: Final = "upstream"  # its model, or the way there, failed
START: Final = "start"  # never ran: the program, its folder or its limits could not be had
CRASH_LOOP: Final = "crash-loop"
OOM: Final = "oom"  # it reached its limit of memory
PIDS: Final = "pids"  # more processes and threads than its limit
CHECK: Final = "check"  # it ended with 0, but the command that decides said no
HOOK: Final = "hook"  # the command before its start failed
SECRET: Final = "secret"  # noqa: S105 - what its spec names as a secret could not be had
UNHEALTHY: Final = "unhealthy"  # it did not get ready in time, or did not do its job any more
RESTARTED: Final = "restarted"  # stopped to be started again
TIMEOUT: Final = "timeout"  # it ran longer than it may
NEEDS: Final = "needs"  # what it waits for has failed, or did not come in time
GROUP: Final = "group"  # stopped since another of its group failed
PARENT: Final = "parent"  # it belongs to a process that has ended
PARKED: Final = "parked"  # a usage window is reserved for others: it goes on when that has room
WRAPUP: Final = "wrapup"  # it was asked for a last message, and had its time to say it
HANDED_BACK: Final = "handed-back"  # `aish off`: it lives on, and nobody here will see how it ends
REASONS: Final = (
    DONE,
    CANCELLED,
    QUOTA,
    BUDGET,
    LIMIT,
    REFUSED,
    LOOP,
    AUTH,
    UPSTREAM,
    START,
    CRASH_LOOP,
    OOM,
    PIDS,
    CHECK,
    HOOK,
    SECRET,
    UNHEALTHY,
    TIMEOUT,
    NEEDS,
    RESTARTED,
    GROUP,
    PARENT,
    PARKED,
    WRAPUP,
    HANDED_BACK,
)

TOLD: Final = (CANCELLED, BUDGET, LIMIT, REFUSED, LOOP, AUTH, UPSTREAM)
"""Those that a process may tell of its own end: the supervisor's own word, where it has one, goes before."""

WANTED: Final = (CANCELLED, RESTARTED, GROUP, PARENT, PARKED, WRAPUP, HANDED_BACK)
"""Why it ended where somebody, its group, its parent or a usage window had it end: no failure of its own."""


class Exit:
    """`code` (0..255) or `signal` (1..64) as wait(2) told it; both None: `lost`. `reason` is why, where known."""

    __slots__ = ("code", "reason", "signal")

    def __init__(self, code: int | None, signal: int | None, reason: str | None = None) -> None:
        self.code = code
        self.signal = signal
        self.reason = reason

    @classmethod
    def from_wait_status(cls, status: int | None, reason: str | None = None) -> Exit:
        """From the raw 16-bit status of wait(2); None becomes `lost`."""
        if status is None:
            return cls(None, None, reason)
        if status & 0x7F:
            return cls(None, status & 0x7F, reason)
        return cls((status >> 8) & 0xFF, None, reason)

    @property
    def lost(self) -> bool:
        return self.code is None and self.signal is None

    @property
    def ok(self) -> bool:
        """Whether it ended with 0, and by itself: not stopped, nor refused by its check."""
        return self.code == 0 and self.reason in (None, DONE)

    @property
    def shell_status(self) -> int | None:
        """The status a shell reports: the code, or 128 + signal; None when lost."""
        if self.code is not None:
            return self.code
        if self.signal is not None:
            return 128 + self.signal
        return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Exit):
            return NotImplemented
        return (self.code, self.signal, self.reason) == (other.code, other.signal, other.reason)

    def __hash__(self) -> int:
        return hash((self.code, self.signal, self.reason))

    def __repr__(self) -> str:
        return f"Exit(code={self.code}, signal={self.signal}, reason={self.reason!r})"
