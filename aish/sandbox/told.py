"""What stays open in a sandbox, for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.model.sandbox import BWRAP, LANDLOCK, OPEN
from aish.sandbox.enter.landlock import NET_ABI, SCOPE_ABI
from aish.sandbox.profile import doors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.wire.sandbox import SandboxPart


def remains(part: SandboxPart, tier: str, abi: int) -> list[str]:
    """What it can still reach of what its profile would rather keep from it."""
    return [*_network(part, tier, abi), *_others(tier, abi)]


def _network(part: SandboxPart, tier: str, abi: int) -> Iterator[str]:
    if part.profile == OPEN:
        yield "the network"
        if tier == BWRAP and abi < SCOPE_ABI:
            yield "abstract sockets of this machine"
    elif tier == LANDLOCK and (found := doors(part)):
        ports = " and ".join(f"the {door}'s" for door in found)
        yield "TCP to every address" if abi < NET_ABI else f"TCP to {ports} port, on other machines too"


def _others(tier: str, abi: int) -> Iterator[str]:
    if tier == LANDLOCK:
        yield "names and arguments of other processes"
        yield "whether a file is there, and its mode, owner and times"
        yield "the hooks and the configuration of .git, where it writes"
        if abi < SCOPE_ABI:
            yield "signals to other processes of the user"


def lacks(tier: str) -> list[str]:
    """What does not work in it."""
    debuggers = "debuggers, containers, setuid programs"
    return (
        [debuggers]
        if tier == BWRAP
        else [debuggers, "sockets in files", "new terminals", "a folder for temporary files but TMPDIR"]
    )
