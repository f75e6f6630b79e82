"""What to do about a process at its limit of memory. Pure.

Control groups enforce the limit; here only what they leave open is decided: a process that is to be held at its limit
instead of ended, and, where no control group counts memory, the limit itself, by what was sampled.
"""

from __future__ import annotations

import msgspec


class Fine(msgspec.Struct, frozen=True):
    """Below its limit, or the kernel sees to it."""


class HoldIt(msgspec.Struct, frozen=True):
    """It stands at its limit and is to wait for the operator."""

    used_bytes: int | None


class EndIt(msgspec.Struct, frozen=True):
    """It is above its limit, and nobody else ends it."""

    used_bytes: int


Decision = Fine | HoldIt | EndIt


def decide(
    limit_bytes: int, on_oom: str, *, enforced: bool, stalled: bool, used_bytes: int | None, held: bool
) -> Decision:
    """`enforced`: a control group has the limit, and `stalled` tells that the process stands at it. `used_bytes` is
    what was sampled (None: unknown). `held`: it waits for the operator already."""
    if held:
        return Fine()
    match on_oom, enforced:
        case "hold", True:
            return HoldIt(used_bytes) if stalled else Fine()
        case _, True:
            return Fine()
        case "hold", False:
            return HoldIt(used_bytes) if used_bytes is not None and used_bytes > limit_bytes else Fine()
        case _:
            return EndIt(used_bytes) if used_bytes is not None and used_bytes > limit_bytes else Fine()
