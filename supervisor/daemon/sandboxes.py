"""The sandboxes of supervised processes at their start: which tier holds, and the order for aish.sandbox.enter."""

from __future__ import annotations

import asyncio
import functools
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.agents import keeping
from aish.config import folders
from aish.errors import UnavailableError
from aish.model.sandbox import BWRAP, NONE, TIERS
from aish.sandbox import around, hosted, order, tier, told, wrapping
from aish.supervisor.daemon.given import FIRST_FD
from aish.supervisor.daemon.notify import VARIABLE as NOTIFY_SOCKET
from aish.supervisor.holder import wire
from aish.supervisor.holder.birth import candidates
from aish.wire.part import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from aish.sandbox.around import Around
    from aish.sandbox.tier import Holding
    from aish.supervisor.daemon.row import Row

_NOTIFY: Final = os.fsencode(NOTIFY_SOCKET) + b"="


class Start(NamedTuple):
    """What the holder is asked for: the program itself, or what enters its sandbox first."""

    argv: Sequence[bytes]
    env: Sequence[bytes]
    program: bytes | None
    order: int | None = None
    """A descriptor for the child, by the number `target`; the caller closes it."""
    target: int = 0


class Sandboxes:
    def __init__(self, runtime_folder: str, gateway_url: Callable[[], str]) -> None:
        self._runtime_folder, self._gateway_url = runtime_folder, gateway_url

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
        """`taken`: numbers of descriptors in the child. Raises UnavailableError, Refusal (no such program)."""
        part = row.spec.sandbox
        if part is None:
            return Start(argv, env, program)
        holding = await asyncio.to_thread(tier.here)
        if holding.tier == NONE:
            raise wrapping.unavailable(holding)
        row.sandbox_tier, row.sandbox_open = holding.tier, told.remains(part, holding.tier, holding.abi)
        if part.hosted:
            return Start(argv, [*env, hosted.told(part, holding)], program)
        tried = candidates(argv[0], env) if program is None else [program]
        _check(tried, row.spec.cwd)
        data = wrapping.Wrapping(self.around, holding).order(
            part,
            wrapping.Wanted(argv, env, tried, row.spec.cwd, bool(row.gpus)),
            gateway_url=self._gateway_url(),
            folder=keeping.run_folder(self._runtime_folder, row.id),
            sockets=self._sockets(part.spawn, holding, env),
        )
        target = max((FIRST_FD - 1, *taken)) + 1
        return Start(order.words(target), order.environ(env), None, _memory(data), target)

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
