"""Every error that aish raises on purpose: what happened, whose fault it is, what to do next.

    AishError
    ├── UsageError            2   the caller's words: unknown verb, option, name; bad value
    ├── SourceError           2   a script, agent file or configuration: has a place (file:line:column)
    ├── InputError           65   data that was read: GGUF, safetensors, npy, a request
    ├── NotFoundError        69   no such process, model, agent or file
    ├── ConflictError        69   the name, port or state is taken or does not allow it
    ├── RefusedError         77   authority: this caller may not do that to that process
    ├── LimitError           75   a quota, budget or size bound was reached
    │   └── BudgetError      75   a budget that refuses instead of waiting does not allow a request
    ├── TimedOutError       124   who waits said how long, and that is over; nothing was changed
    ├── StorageError         74   the disk is full, read-only, or a state file is damaged
    ├── UnavailableError     69   daemon, gateway or model server cannot be reached or did not get ready
    │   ├── NotRunningError  69   no daemon runs, and what was asked for starts none
    │   │   └── OutOfReachError 69 this sandbox does not let its programs reach it
    │   ├── VersionError     69   the other side speaks another protocol version
    │   └── DisconnectedError 69  the other side went away in mid-conversation
    ├── UpstreamError        69   a model server or provider answered with an error
    └── InternalError        70   a fault of aish itself: please report it

Exit statuses follow sysexits.h; 75 (budget), 77 (permission) and 69 (upstream) are also what the supervisor
reports for a process that it ended for such a reason.

Imports nothing else: every layer may load this file. The first two are in `aish.error`: the shell's language needs no
more of them at its start.
"""

from __future__ import annotations

from aish.error import AishError, SourceError

__all__ = [
    "AishError",
    "BudgetError",
    "ConflictError",
    "DisconnectedError",
    "InputError",
    "InternalError",
    "LimitError",
    "NotFoundError",
    "NotRunningError",
    "OutOfReachError",
    "RefusedError",
    "SourceError",
    "StorageError",
    "TimedOutError",
    "UnavailableError",
    "UpstreamError",
    "UsageError",
    "VersionError",
]


class UsageError(AishError):
    """The caller's fault: words that no verb, option or name matches. Next: the hint names the nearest one."""

    code = "usage"
    exit_status = 2


class InputError(AishError):
    """The data's fault: a file, stream or request that is not what it claims to be. `field` names the part."""

    code = "input"
    exit_status = 65

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field
        if field is not None:
            self.add_note(f"it is about: {field}")


class NotFoundError(AishError):
    """Nobody's fault: what was named is not there. Next: the hint lists what is."""

    code = "not-found"
    exit_status = 69


class ConflictError(AishError):
    """The caller's fault, mildly: the name or port is taken, or the state does not allow the step."""

    code = "conflict"
    exit_status = 69


class RefusedError(AishError):
    """The caller may not do that: authority goes by place in the process tree, not by user id."""

    code = "refused"
    exit_status = 77


class LimitError(AishError):
    """A bound was reached: budget, quota, size. Next: raise it with `aish limit`, or ask for less."""

    code = "limit"
    exit_status = 75


class BudgetError(LimitError):
    """A budget that refuses instead of waiting does not allow a request. Next: raise it with `aish limit`."""

    code = "budget"
    exit_status = 75


class TimedOutError(AishError, TimeoutError):
    """The caller waited for as long as it wanted to. What it waited for goes on. Also a TimeoutError, as people catch
    it."""

    code = "timed-out"
    exit_status = 124


class StorageError(AishError):
    """The disk's fault: full, read-only, not permitted, or a damaged state file."""

    code = "storage"
    exit_status = 74


class UnavailableError(AishError):
    """A program that aish needs does not answer, or did not get ready in time."""

    code = "unavailable"
    exit_status = 69


class NotRunningError(UnavailableError):
    """No daemon runs, so nothing is supervised: an answer for who only looks. Next: `aish spawn` starts one."""

    code = "not-running"


class OutOfReachError(NotRunningError):
    """The supervisor is not to be reached from inside this sandbox. Next: its `spawn`, or ask from outside."""

    code = "out-of-reach"


class VersionError(UnavailableError):
    """Two versions of aish meet. Next: `aish shutdown` (or wait for the upgrade) and try again."""

    code = "version"


class DisconnectedError(UnavailableError):
    """The other side closed the connection, or died. Next: connect again; a new daemon takes over."""

    code = "disconnected"


class UpstreamError(AishError):
    """A model server or provider answered with an error. `status` is its HTTP status, None if it never answered."""

    code = "upstream"
    exit_status = 69

    def __init__(self, message: str, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class InternalError(AishError):
    """Our own fault. The message says where the details were recorded."""

    code = "internal"
    exit_status = 70
