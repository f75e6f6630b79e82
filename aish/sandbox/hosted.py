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
    """What is started in place of a program. `fd` is passed on by that number; the caller closes it."""

    argv: list[str]
    environ: dict[str, str]
    fd: int


class _Told(msgspec.Struct, frozen=True):
    part: SandboxPart
    tier: str
    program: str
    abi: int


class Sandbox(NamedTuple):
    part: SandboxPart
    holding: Holding

    def plan(self, argv: Sequence[str], found: str, environ: Mapping[str, str], cwd: str) -> Plan:
        """What it comes to for such a program."""
        return Wrapping(look(), self.holding).plan(self.part, _wanted(argv, found, environ, cwd), ())

    def looking(self, argv: Sequence[str], found: str, environ: Mapping[str, str], cwd: str) -> Sandbox:
        """The same for a program that only looks: it writes nothing, and has no network."""
        wanted = _wanted(argv, found, environ, cwd)
        part = settle(self.part, wanted.cwd, wanted.env, wanted.candidates[0], look())
        narrower = {"profile": CLOSED, "models": False, "spawn": False}
        return Sandbox(structs.replace(part, read=[*part.read, *part.write], write=[], **narrower), self.holding)

    def around(
        self, argv: Sequence[str], found: str, environ: Mapping[str, str], cwd: str, *, gateway_url: str, folder: str
    ) -> Entered:
        """`found`: the program's path; `folder`: the host's own, that its program reads settings in.

        Raises UnavailableError."""
        wanted = _wanted(argv, found, environ, cwd)
        sockets = [folders.daemon_socket()] if self.part.spawn else []
        data = Wrapping(look(), self.holding).order(
            self.part, wanted, gateway_url=gateway_url, folder=folder, sockets=sockets
        )
        fd = os.memfd_create("order", os.MFD_CLOEXEC)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        outer = (os.fsdecode(entry).partition("=") for entry in order.environ(wanted.env))
        return Entered([os.fsdecode(word) for word in order.words(fd)], {name: value for name, _, value in outer}, fd)


def _wanted(argv: Sequence[str], found: str, environ: Mapping[str, str], cwd: str) -> Wanted:
    env = [os.fsencode(f"{name}={value}") for name, value in environ.items()]
    return Wanted([os.fsencode(word) for word in argv], env, [os.fsencode(found)], os.fsencode(cwd))


def told(part: SandboxPart, holding: Holding) -> bytes:
    """The variable, NAME=value."""
    data = msgspec.json.encode(_Told(part, holding.tier, holding.program, holding.abi))
    return os.fsencode(VARIABLE) + b"=" + data


def of_environment(environ: MutableMapping[str, str]) -> Sandbox | None:
    """That of this host; it is taken out. None: its program has none."""
    text = environ.pop(VARIABLE, None)
    if text is None:
        return None
    found = msgspec.json.decode(text, type=_Told)
    return Sandbox(found.part, Holding(found.tier, found.program, found.abi))  # type: ignore[arg-type]
