"""Descriptors that a process has kept between its runs: FDSTORE=1 of sd_notify(3). They lie in the holder.

First of them is a memfd with what is known of each, so that descriptors and names are replaced in one step. Work for
one process is done one after the other; nothing is kept by the daemon itself. Files are not kept: to close one of a
file system that hangs would hang the holder.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import select
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.errors import DisconnectedError
from aish.model.spec import MOST_KEPT
from aish.supervisor.daemon import given
from aish.supervisor.daemon.holding import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from aish.supervisor.daemon.holding import Holding
    from aish.supervisor.daemon.process import Process

PENDING_MOST: Final = 4 * MOST_KEPT
UNNAMED: Final = "stored"
"""As sd_pid_notify_with_fds(3) has it, also for what is no name."""


class Kept(NamedTuple):
    fd: int
    name: str
    polled: bool
    """It is let go when the other side has hung up (FDPOLL=0: it is not)."""


class FdStore:
    """Whoever gives descriptors here gives them away."""

    def __init__(self, holding: Holding) -> None:
        self.holding = holding
        self.refused: Callable[[Process, str], None]
        """Told once a run that not everything could be kept."""
        self._work: dict[str, asyncio.Task[None]] = {}
        self._told: set[str] = set()
        self._pending: dict[str, int] = {}
        """Descriptors on their way, by process: what sends faster than the holder takes must not fill our table."""

    def put(self, process: Process, name: str | None, fds: list[int], *, polled: bool) -> None:
        if self._pending.get(process.id, 0) + len(fds) > PENDING_MOST:
            _close_all(fds)
            self._refuse(process, "it gives more descriptors at once than can be taken")
            return
        called = name if name is not None and given.fd_name(name) else UNNAMED
        new = [Kept(fd, called, polled) for fd in fds if _of_the_kernel(fd)]
        files = [fd for fd in fds if not _of_the_kernel(fd)]
        if files:
            self.close_after(process, files)
            self._refuse(process, "it gave a file to be kept, which it can open again itself")
        if new:
            self._pending[process.id] = self._pending.get(process.id, 0) + len(new)
            self.then(process.id, self._put(process, new))

    def remove(self, process: Process, name: str) -> None:
        self.then(process.id, self._change(process, lambda kept: [each for each in kept if each.name != name]))

    def close_after(self, process: Process, fds: list[int]) -> None:
        """When all that was said before is done: who waits for these to be closed may rely on it (BARRIER=1)."""
        if self._pending.get(process.id, 0) + len(fds) > PENDING_MOST:
            _close_all(fds)
            return
        self._pending[process.id] = self._pending.get(process.id, 0) + len(fds)
        self.then(process.id, self._closed(process.id, fds))

    async def fetch(self, process: Process) -> list[Kept]:
        """What is there for the next run; the caller closes it. Raises DisconnectedError."""
        await self.settled(process.id)
        self._told.discard(process.id)
        kept = await self._load(process.id)
        living = [each for each in kept if not _hung_up(each)]
        if len(living) < len(kept):
            await self._save(process.id, living)
            _close(set(kept) - set(living))
        return living

    def drop(self, id_: str) -> None:
        """It has ended for good."""
        self._told.discard(id_)
        self.then(id_, self._drop(id_))

    async def done(self) -> None:
        """Until nothing is left to do for anybody."""
        while self._work:
            await asyncio.wait(list(self._work.values()))

    async def settled(self, id_: str) -> None:
        """Until all is done that was asked for so far."""
        while (task := self._work.get(id_)) is not None:
            await asyncio.wait({task})

    def then(self, id_: str, work: Coroutine[object, object, None]) -> None:
        """Do it when all is done that was asked for before."""
        task: asyncio.Task[None] = asyncio.ensure_future(self._behind(self._work.get(id_), work))
        self._work[id_] = task
        task.add_done_callback(lambda done: self._done(id_, done))

    async def _behind(self, before: asyncio.Task[None] | None, work: Coroutine[object, object, None]) -> None:
        if before is not None:
            await asyncio.wait({before})
        await work

    def _done(self, id_: str, task: asyncio.Task[None]) -> None:
        if self._work.get(id_) is task:
            del self._work[id_]

    # --- one step each ------------------------------------------------------------------------------------------

    async def _put(self, process: Process, new: list[Kept]) -> None:
        most = process.row.spec.kept_fds_most
        lost: list[Kept] = []

        def with_new(kept: list[Kept]) -> list[Kept]:
            after = added(kept, new)
            if len(after) > most:
                after = [each for each in after if not _hung_up(each)]
            lost[:] = after[most:]
            return after[:most]

        try:
            if not process.row.ended or process.row.again:
                await self._change(process, with_new)
        except Refusal as error:
            self._refuse(process, f"the holder keeps no more: {error.message}")
        finally:
            _close(new)
            self._taken(process.id, len(new))
        if lost:
            self._refuse(process, f"more descriptors than it may have kept: {most}")

    def _refuse(self, process: Process, text: str) -> None:
        if process.id not in self._told:
            self._told.add(process.id)
            self.refused(process, text)

    async def _change(self, process: Process, change: Callable[[list[Kept]], list[Kept]]) -> None:
        """Raises Refusal."""
        id_ = process.id
        while True:
            try:
                before = await self._load(id_)
                after = change(before)
                try:
                    if after != before:
                        await self._save(id_, after)
                finally:
                    _close(before)
            except DisconnectedError:
                await self.holding.reachable()  # the next holder has what the one before had
                continue
            return

    async def _closed(self, id_: str, fds: list[int]) -> None:
        _close_all(fds)
        self._taken(id_, len(fds))

    def _taken(self, id_: str, count: int) -> None:
        left = self._pending.pop(id_, 0) - count
        if left > 0:
            self._pending[id_] = left

    async def _drop(self, id_: str) -> None:
        self.holding.drop(store_name(id_))

    # --- in the holder ------------------------------------------------------------------------------------------

    async def _load(self, id_: str) -> list[Kept]:
        fds = await self.holding.fetch(store_name(id_))
        if not fds:
            return []
        told = fds.pop(0)
        try:
            rows = json.loads(os.pread(told, os.fstat(told).st_size, 0))
        finally:
            os.close(told)
        if len(fds) != len(rows):
            _close_all(fds)
            raise DisconnectedError("descriptors were lost on their way: no room for them here")
        return [Kept(fd, name, polled) for fd, (name, polled) in zip(fds, rows, strict=True)]

    async def _save(self, id_: str, kept: list[Kept]) -> None:
        if not kept:
            self.holding.drop(store_name(id_))
            return
        told = os.memfd_create("aish-kept", os.MFD_CLOEXEC)
        try:
            os.write(told, json.dumps([(each.name, each.polled) for each in kept]).encode())
            await self.holding.store(store_name(id_), [told, *(each.fd for each in kept)])
        finally:
            os.close(told)


def store_name(id_: str) -> str:
    return f"fdstore.{id_}"


def added(kept: list[Kept], new: Iterable[Kept]) -> list[Kept]:
    """`new` behind what there is; what is there already under that name takes its place."""
    found = list(kept)
    for each in new:
        key = _identity(each)
        at = next((at for at, other in enumerate(found) if key is not None and _identity(other) == key), None)
        if at is None:
            found.append(each)
        else:
            found[at] = each
    return found


def _identity(kept: Kept) -> tuple[str, int, int, int] | None:
    """Equal for the same socket, pipe end or memfd under the same name; None: nobody can tell (an eventfd)."""
    if _link(kept.fd).startswith("anon_inode:"):
        return None
    status = os.fstat(kept.fd)
    return kept.name, status.st_dev, status.st_ino, fcntl.fcntl(kept.fd, fcntl.F_GETFL) & os.O_ACCMODE


def _of_the_kernel(fd: int) -> bool:
    """Whether it is of no file system but the kernel's own."""
    return _link(fd).startswith(("socket:", "pipe:", "anon_inode:", "/memfd:"))


def _link(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")


def _hung_up(kept: Kept) -> bool:
    poll = select.poll()
    poll.register(kept.fd, 0)
    return kept.polled and any(state & (select.POLLHUP | select.POLLERR) for _, state in poll.poll(0))


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _close(kept: Iterable[Kept]) -> None:
    for each in kept:
        os.close(each.fd)
