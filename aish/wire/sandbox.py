"""What a process and all that it starts may reach. docs/reference/sandbox.md has the profiles."""

from __future__ import annotations

from aish.wire.part import Part


class SandboxPart(Part, frozen=True, kw_only=True):
    """A profile, and what its definition adds. Paths are absolute."""

    profile: str = "closed"
    """One of aish.model.sandbox.PROFILES."""
    write: list[bytes] = []
    """What it may write beside the folder that it is started in."""
    read: list[bytes] = []
    """What it may read beside the system, that folder and its programs."""
    hide: list[bytes] = []
    """What it does not see, whatever else is said."""
    hosts: list[str] = []
    """What it may reach by the proxy, as aish.sandbox.hosts reads it: closed, these alone; dev, beside those that are
    built in, and others ask."""
    models: bool = True
    """It may ask the gateway."""
    spawn: bool = False
    """It may ask the supervisor to start processes, in no wider sandbox than its own."""
    hosted: bool = False
    """Its leader is the host of an agent program, which stays outside and puts the sandbox around that program."""
    settled: bool = False
    """`write` and `read` are complete and without links: the folder that it is started in, its programs."""
