"""The kinds of events; what each one tells is in docs/reference/events.md."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

KINDS: Final = (
    # a life
    "created",
    "started",
    "ready",
    "not-ready",
    "unusable",
    "resting",
    "awake",
    "fell-back",
    "came-back",
    "unhealthy",
    "unheard",
    "stopping",
    "killed",
    "ended",
    "exited",
    "failed",
    "lost",
    "struck",
    "hook-failed",
    "start-failed",
    "fds-refused",
    "limit-unheld",
    "left-behind",
    "found",
    "unreachable",
    # what somebody asked for
    "wanted",
    "wrapup",
    "needed",
    "signalled",
    "paused",
    "continued",
    "limited",
    "labelled",
    "amended",
    "adopted",
    "observed",
    "unobserved",
    "group",
    # limits
    "oom",
    "pids",
    "forks-refused",
    "quota",
    "quota-warned",
    "held",
    "released",
    "warned",
    "exceeded",
    # aish itself
    "holder",
    "runtime-folder",
    "gateway-port",
    "log-retention",
    "storage-failed",
    "storage-back",
    "upgraded",
    "upgrade-refused",
    "off",
    "configured",
    "left",
    "fault",
)
