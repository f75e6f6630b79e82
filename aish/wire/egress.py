"""What daemon and egress proxy say to each other, on the connection that the proxy opens with EgressHello.

The daemon sends Guests, the whole truth, then one Guest or Left at a time, and the doors (aish.wire.door). The proxy
asks where a host is not in a list; that the question is the same as one before, the daemon knows. And it
tells what passes.
"""

from __future__ import annotations

from typing import Final

from aish.wire.door import Door, Doors, Shut
from aish.wire.message import Message

HOSTS_MOST: Final = 64
"""Whose traffic is counted by their names for each process; what it speaks with beyond them is one sum: a program can
name any number."""


class Guest(Message, frozen=True, kw_only=True):
    """A process that may use the proxy. `hosts`: as aish.sandbox.hosts reads them, beside those that are built in
    where `built_in`. `asks`: others are asked for. `word`: by which it is known where the socket does not tell."""

    id: str
    hosts: list[str]
    built_in: bool
    asks: bool
    word: str


class Guests(Message, frozen=True, kw_only=True):
    guests: list[Guest]


class Left(Message, frozen=True, kw_only=True):
    id: str


class MayReach(Message, frozen=True, kw_only=True):
    """May that process reach that host? Answered by Reach with the same `number`, when a person has answered."""

    number: int
    process: str
    host: str
    port: int


class Reach(Message, frozen=True, kw_only=True):
    """`why`: why not, as a sentence."""

    number: int
    allowed: bool
    why: str = ""


class Passed(Message, frozen=True, kw_only=True):
    """What passed between that process and that host since it was told last. The bytes are those of the tunnel, or of
    the requests: what is said to the proxy itself is not among them. `host` None: others together."""

    process: str
    host: str | None
    port: int | None
    connections: int = 0
    """New ones."""
    sent_bytes: int = 0
    received_bytes: int = 0


FromEgress = MayReach | Passed
ToEgress = Guests | Guest | Left | Reach | Doors | Door | Shut
