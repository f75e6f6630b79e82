"""How a process ended. What nobody saw is `None`, never 0."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Reasons that the supervisor gives beside the process's own status.
DONE: Final = "done"
CANCELLED: Final = "cancelled"  # a person stopped or killed it
QUOTA: Final = "quota"  # the watchdog ended it: more VRAM than its quota
BUDGET: Final = "budget"
PERMISSION: Final = "permission"
UPSTREAM: Final = "upstream"
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
WRAPUP: Final = "wrapup"  # it was asked for a last message, and had its time to say it
HANDED_BACK: Final = "handed-back"  # `aish off`: it lives on, and nobody here will see how it ends
REASONS: Final = (
    DONE,
    CANCELLED,
    QUOTA,
    BUDGET,
    PERMISSION,
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
    WRAPUP,
    HANDED_BACK,
)

WANTED: Final = (CANCELLED, RESTARTED, GROUP, HANDED_BACK)
"""Why it ended where somebody, or its group, had it end: no failure of its own."""

# Statuses made by the supervisor (sysexits.h).
STATUS_UPSTREAM: Final = 69
STATUS_BUDGET: Final = 75
STATUS_PERMISSION: Final = 77


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
