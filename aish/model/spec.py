"""The words that a spec is written in, and how far its numbers go; what they mean is told in aish.wire.spec."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

RESTARTS: Final = ("never", "on-failure", "always")
RIGHTS: Final = ("own", "owner")
UNTIL: Final = ("started", "ready", "completed")
ON_OOM: Final = ("kill", "hold")
STRATEGIES: Final = ("one_for_one", "rest_for_one", "one_for_all")
MISSED: Final = ("skip", "once")
SOCKET_KINDS: Final = ("stream", "datagram")
SPLIT: Final = "split"
ORDERED: Final = "ordered"
LOGS: Final = (SPLIT, ORDERED)
MOST_CONCURRENT: Final = 10_000
"""Requests that a model's server is sent at a time, where its user says so."""
MOST_RETRIES: Final = 10
"""Of a request to a model."""

MOST_GRACE_S: Final = 3600.0
MOST_TIME_S: Final = 10 * 366 * 86400.0
"""Of every other time: time-outs, delays, windows."""
LEAST_PROBE_S: Final = 0.01
LEAST_AGE_S: Final = 1.0
LEAST_BYTES: Final = 64 << 10
"""Of limits, and of what stays of a log."""
MOST_PIDS: Final = 1 << 22
MOST_CHILDREN: Final = 1_000_000
MOST_DEPTH: Final = 1000
LEAST_CPUS: Final = 0.01
MOST_CPUS: Final = 4096.0
MOST_GPUS: Final = 64
MOST_NEEDS: Final = 64
MOST_PLACE: Final = 10_000
MOST_TIMES: Final = 1000
"""Of what is counted: restarts within a window, failures in a row."""
MOST_SECRETS: Final = 64
MOST_SOCKETS: Final = 16
MOST_KEPT: Final = 32
"""All of these, the standard three, the payload and the control groups are within the 64 that the holder takes."""
MOST_BACKLOG: Final = 65535
OBSERVED: Final = ("codex",)
HOLD: Final = "hold"
PARK: Final = "park"
RESERVED_HINT: Final = "expected hold, park or model:NAME"
