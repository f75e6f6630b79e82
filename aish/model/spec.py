"""The words that a spec is written in; what they mean is told in aish.wire.spec."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

RESTARTS: Final = ("never", "on-failure", "always")
RIGHTS: Final = ("own", "owner")
UNTIL: Final = ("started", "ready", "completed")
ON_OOM: Final = ("kill", "hold")
IO_CLASSES: Final = ("idle", "best-effort", "realtime")
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
