"""The sandboxes of supervised processes at their start: which tier holds, and the order for aish.sandbox.enter."""

from __future__ import annotations

import asyncio
import functools
import os
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from aish.agents import keeping
from aish.config import folders
from aish.errors import UnavailableError
from aish.model.sandbox import BWRAP, NONE, TIERS
from aish.sandbox import around, hosted, order, tier, told, wrapping
from aish.sandbox.profile import doors
from aish.supervisor.daemon.given import FIRST_FD
from aish.supervisor.daemon.notify import VARIABLE as NOTIFY_SOCKET
from aish.supervisor.holder import wire
from aish.supervisor.holder.birth import candidates
from aish.wire.part import Finding

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from aish.sandbox.around import Around
    from aish.sandbox.outlets import Outlets
    from aish.sandbox.tier import Holding
    from aish.supervisor.daemon.row import Row
    from aish.wire.sandbox import SandboxPart

_NOTIFY: Final = os.fsencode(NOTIFY_SOCKET) + b"="


class Start(NamedTuple):
    """What the holder is asked for: the program itself, or what enters its sandbox first."""

    argv: Sequence[bytes]
    env: Sequence[bytes]
    program: bytes | None
    passed: Sequence[tuple[int, int]] = ()
    """Descriptors for the child, and their numbers there; the caller closes them."""
    enters: bool = False


class Sandboxes:
    """`outlets`: where the doors of that process are; asked when it is about to be started. `channel`: a descriptor
    for who tells of them."""

    def __init__(
        self, runtime_folder: str, outlets: Callable[[Row], Outlets], channel: Callable[[str], Awaitable[int]]
    ) -> None:
        self._runtime_folder, self._outlets, self._channel = runtime_folder, outlets, channel

    @functools.cached_property
    def around(self) -> Around:
        return around.look()

    async def start(
        self,
        row: Row,
        argv: Sequence[bytes],
        env: Sequence[bytes],
        taken: Collection[int],
        *,
        program: bytes | None = None,
    ) -> Start:
        """`taken`: numbers of descriptors in the child. Raises UnavailableError, DisconnectedError, Refusal (no such
        program)."""
        part = row.spec.sandbox
        if part is None:
            return Start(argv, env, program)
        if row.spec.with_parent:  # it has no key, and its door would be one
            part = msgspec.structs.replace(part, models=False)
        holding = await asyncio.to_thread(tier.here)
        if holding.tier == NONE:
            raise wrapping.unavailable(holding)
        row.sandbox_tier, row.sandbox_open = holding.tier, told.remains(part, holding.tier, holding.abi)
        tried = [] if part.hosted else (candidates(argv[0], env) if program is None else [program])
        if not part.hosted:
            _check(tried, row.spec.cwd)
        passed, to = await self._told(row, part, holding, max((FIRST_FD - 1, *taken)) + 1)
        try:
            if part.hosted:
                return Start(argv, [*env, hosted.told(part, holding, to)], program, passed)
            data = wrapping.Wrapping(self.around, holding).order(
                part,
                wrapping.Wanted(argv, env, tried, row.spec.cwd, bool(row.gpus)),
                to=to,
                folder=keeping.run_folder(self._runtime_folder, row.id),
                sockets=self._sockets(part.spawn, holding, env),
            )
            target = max((FIRST_FD - 1, *taken, *(number for _, number in passed))) + 1
            passed = [*passed, (_memory(data), target)]
            return Start(order.words(target), order.environ(env), None, passed, enters=True)
        except BaseException:
            for fd, _ in passed:
                os.close(fd)
            raise

    async def _told(
        self, row: Row, part: SandboxPart, holding: Holding, target: int
    ) -> tuple[list[tuple[int, int]], Outlets]:
        """Where its doors are; and by which descriptor it tells of them, if it has a network to itself."""
        to = self._outlets(row)
        if holding.tier != BWRAP:
            return [], to
        to = to if part.hosted else to._replace(word="")
        if not doors(part):
            return [], to
        return [(await self._channel(row.id), target)], to._replace(channel=target)

    def _sockets(self, spawn: bool, holding: Holding, env: Sequence[bytes]) -> list[str]:
        found = [folders.daemon_socket()] if spawn else []
        told_at = [os.fsdecode(entry.removeprefix(_NOTIFY)) for entry in env if entry.startswith(_NOTIFY)]
        if told_at and holding.tier != BWRAP:
            raise UnavailableError(
                f"it tells by {NOTIFY_SOCKET}, which the sandbox keeps from it here ({holding.tier})",
                hint="install bubblewrap, or find out by another probe whether it is ready",
            )
        return [*found, *told_at]


def findings() -> list[Finding]:
    """Which tiers hold here, tried anew. Starts programs: not for the loop."""
    tier.here.cache_clear()
    found = []
    for name in TIERS:
        tried = tier.held((name,))
        if tried.tier == name:
            open_to = f", Landlock version {tried.abi}"
            found.append(Finding(level="ok", topic="sandbox", text=f"{name} holds{open_to}"))
        else:
            why = tried.why_not[0][1] if tried.why_not else "it does not hold"
            found.append(Finding(level="warn", topic="sandbox", text=f"{name}: {why}", hint=tier.INSTALL))
    return found


def _check(tried: Sequence[bytes], cwd: bytes) -> None:
    """What exec would say, before there is something else that is run in its place. Raises Refusal."""
    paths = [os.path.join(cwd, path) for path in tried]
    if not any(os.access(path, os.X_OK) and not os.path.isdir(path) for path in paths):
        number = 13 if any(os.path.exists(path) for path in paths) else 2
        raise wire.Refusal("spawn", f"exec: {os.strerror(number)}", stage="exec", errno=number)


def _memory(data: bytes) -> int:
    fd = os.memfd_create("order", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    return fd
