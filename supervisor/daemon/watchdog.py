"""What to do about a process that uses more VRAM than its quota. Pure.

First a warning; if it is still above the quota PATIENCE_S after that, it is stopped (stop signal, SIGKILL after its
grace). Use that the driver does not tell is no evidence: nothing is decided on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from aish.model.size import format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_S: Final = 1.0


class Fine(msgspec.Struct, frozen=True):
    """Within the quota, or not known to be above it."""


class Warn(msgspec.Struct, frozen=True):
    """Above since now."""

    uuid: str
    used_bytes: int
    quota_bytes: int


class Patience(msgspec.Struct, frozen=True):
    """Above, warned, and given time."""


class StopIt(msgspec.Struct, frozen=True):
    uuid: str
    used_bytes: int
    quota_bytes: int

    def __str__(self) -> str:
        return f"used {format_bytes(self.used_bytes)} of VRAM, its quota is {format_bytes(self.quota_bytes)}"


Decision = Fine | Warn | Patience | StopIt


def decide(quota_bytes: int | None, used: Mapping[str, int | None], warned_s: float | None, now_s: float) -> Decision:
    """`used` is by device; `warned_s` when it was warned (None: it was not), on the clock of `now_s`."""
    if quota_bytes is None:
        return Fine()
    known = {uuid: count for uuid, count in used.items() if count is not None}
    if not known:
        return Fine() if warned_s is None or not used else Patience()
    uuid = max(known, key=lambda device: known[device])
    if known[uuid] <= quota_bytes:
        return Fine()
    if warned_s is None:
        return Warn(uuid, known[uuid], quota_bytes)
    if now_s - warned_s < PATIENCE_S:
        return Patience()
    return StopIt(uuid, known[uuid], quota_bytes)
