"""A sandbox that the host of an agent puts around its program: how the host learns of it, and how it does that."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import structs

from aish.config import folders
from aish.model.sandbox import CLOSED
from aish.sandbox import order
from aish.sandbox.around import look
from aish.sandbox.outlets import Outlets
from aish.sandbox.settle import settle
from aish.sandbox.tier import Holding
from aish.sandbox.wrapping import Wanted, Wrapping
from aish.wire.sandbox import SandboxPart

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from aish.sandbox.profile import Plan

VARIABLE: Final = "AISH_SANDBOX"
"""Taken out of the environment by the host: its program does not get it."""


class Entered(NamedTuple):
    """What is started in place of a program. `fds` are passed on by their numbers; the caller closes them."""

    argv: list[str]
    environ: dict[str, str]
    fds: list[int]


class _Told(msgspec.Struct, frozen=True):
    part: SandboxPart
    tier: str
    program: str
    abi: int
    proxy_port: int
    word: str
    channel: int | None


class Sandbox(NamedTuple):
    """`channel`: as in aish.sandbox.outlets; each program gets a copy. `word`: the host has it in every tier, as it
    is outside of its network."""

    part: SandboxPart
    holding: Holding
    proxy_port: int = 0
    word: str = ""
    channel: int | None = None

    def plan(self, argv: Sequence[str], found: str, environ: Mapping[str, str], cwd: str) -> Plan:
        """What it comes to for such a program."""
        return Wrapping(look(), self.holding).plan(self.part, _wanted(argv, found, environ, cwd), ())

    def looking(self, argv: Sequence[str], found: str, environ: Mapping[str, str], cwd: str) -> Sandbox:
        """The same for a program that only looks: it writes nothing, and has no network."""
        wanted = _wanted(argv, found, environ, cwd)
        part = settle(self.part, wanted.cwd, wanted.env, wanted.candidates[0], look())
        narrower = {"profile": CLOSED, "models": False, "spawn": False, "hosts": list[str]()}
        return Sandbox(structs.replace(part, read=[*part.read, *part.write], write=[], **narrower), self.holding)

    def outlets(self, gateway_url: str) -> Outlets:
        """The host's own."""
        return Outlets(gateway_url, self.proxy_port, self.word)

    def around(
        self,
        argv: Sequence[str],
        found: str,
        environ: Mapping[str, str],
        cwd: str,
        *,
        gateway_url: str,
        folder: str,
        stays: str | None = None,
    ) -> Entered:
        """`found`: the program's path; `folder`: the host's own, that its program reads settings in; `stays`: one for
        what its program keeps from turn to turn.

        Raises UnavailableError."""
        wanted = _wanted(argv, found, environ, cwd)
        sockets = [folders.daemon_socket()] if self.part.spawn else []
        channel = None if self.channel is None else os.dup(self.channel)
        to = self.outlets(gateway_url)._replace(channel=channel)
        to = to if channel is None else to._replace(word="")  # its door says who it is
        kept = [] if stays is None else [stays]
        wrapping = Wrapping(look(), self.holding)
        data = wrapping.order(self.part, wanted, to=to, folder=folder, sockets=sockets, stays=kept)
        fd = os.memfd_create("order", os.MFD_CLOEXEC)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        outer = (os.fsdecode(entry).partition("=") for entry in order.environ(wanted.env))
        fds = [fd] if channel is None else [fd, channel]
        words = [os.fsdecode(word) for word in order.words(fd)]
        return Entered(words, {name: value for name, _, value in outer}, fds)


def _wanted(argv: Sequence[str], found: str, environ: Mapping[str, str], cwd: str) -> Wanted:
    env = [os.fsencode(f"{name}={value}") for name, value in environ.items()]
    return Wanted([os.fsencode(word) for word in argv], env, [os.fsencode(found)], os.fsencode(cwd))


def told(part: SandboxPart, holding: Holding, to: Outlets) -> bytes:
    """The variable, NAME=value."""
    said = _Told(part, holding.tier, holding.program, holding.abi, to.proxy_port, to.word, to.channel)
    data = msgspec.json.encode(said)
    return os.fsencode(VARIABLE) + b"=" + data


def of_environment(environ: MutableMapping[str, str]) -> Sandbox | None:
    """That of this host; it is taken out. None: its program has none."""
    text = environ.pop(VARIABLE, None)
    if text is None:
        return None
    found = msgspec.json.decode(text, type=_Told)
    if found.channel is not None:
        os.set_inheritable(found.channel, False)
    holding = Holding(found.tier, found.program, found.abi)  # type: ignore[arg-type]
    return Sandbox(found.part, holding, found.proxy_port, found.word, found.channel)
