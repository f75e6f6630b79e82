"""A wait that has an end: for how long who of daemon, keeper and holder stood still meanwhile. That time counts, too,
but who waits in vain is told of it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from aish.client import standstill

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOK_S: Final = 1.0
"""How often to look: what they stood still for is known to about that."""
_LEAST_S: Final = 2 * LOOK_S
"""Who goes on and stood still for less is not worth a word."""


class Patience:
    """`look` is to be called every LOOK_S or so, `daemon` is the pid of who was asked."""

    def __init__(self, daemon: int | None) -> None:
        self._daemon = daemon
        self._pids: dict[str, int] = {}
        self._stood_s: dict[str, float] = {}
        self._looked_s = time.monotonic()

    def look(self) -> None:
        now_s = time.monotonic()
        gone_s, self._looked_s = min(now_s - self._looked_s, 2 * LOOK_S), now_s
        if not self._pids or not all(os.path.exists(f"/proc/{pid}") for pid in self._pids.values()):
            self._pids = standstill.programs(self._daemon)
            self._daemon = None  # once it has died, the next one is found by its parent
        for role, pid in self._pids.items():
            if standstill.stopped(pid):
                self._stood_s[role] = self._stood_s.get(role, 0.0) + gone_s

    def told(self) -> str | None:
        """Who stood still, for how long, and what lets him go on where he still does; None: nobody."""
        self.look()
        still = {role: pid for role, pid in self._pids.items() if standstill.stopped(pid)}
        return told({role: s for role, s in self._stood_s.items() if role in still or s >= _LEAST_S}, still)


def told(stood_s: Mapping[str, float], still: Mapping[str, int]) -> str | None:
    """As `Patience.told`; `still`: who stands still now, by pid. Pure."""
    parts = []
    for role, seconds in stood_s.items():
        pid = still.get(role)
        now = f"(pid {pid}) has stood still for {seconds:.0f} s: `kill -CONT {pid}` lets it go on"
        parts.append(f"the {role} {now if pid is not None else f'stood still for {seconds:.0f} s'}")
    return "; ".join(parts) or None
