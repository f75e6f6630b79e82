"""The words of a sandbox; what they mean is told in docs/reference/sandbox.md."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    Tier = Literal["bwrap", "landlock", "none"]
    Network = Literal["open", "own"]
    Door = Literal["gateway", "proxy"]

CLOSED: Final = "closed"
DEV: Final = "dev"
OPEN: Final = "open"
PROFILES: Final = (CLOSED, DEV, OPEN)
"""From the narrowest to the widest."""

BWRAP: Final = "bwrap"
LANDLOCK: Final = "landlock"
NONE: Final = "none"
TIERS: Final = (BWRAP, LANDLOCK)
"""The better one first."""

GATEWAY: Final = "gateway"
PROXY: Final = "proxy"
"""Doors: what answers on the loopback of a network that a sandbox has to itself."""

VARIABLE: Final = "AISH_SANDBOXED"
"""The profile, and the tier where that keeps it so: for programs in one that does not reach the supervisor."""

PATHS_MOST: Final = 64
HOSTS_MOST: Final = 256
