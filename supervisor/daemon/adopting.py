"""Adopt: a process that somebody else started becomes one of the table, without noticing.

Only the user may: what a supervised process starts is part of it anyway, and would get out of its limits as a process
of its own. Refused is whatever cannot be supervised like others: another user's, what is supervised already, the
caller's or the supervisor's own ancestors (they would be stopped with it), init.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.errors import ConflictError, NotFoundError, RefusedError, StorageError, UnavailableError
from aish.supervisor.daemon import authority, clock, proc, want
from aish.supervisor.daemon.ancestry import Peer
from aish.supervisor.daemon.foreground import at_terminal
from aish.supervisor.daemon.launcher import pidfd_name
from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.row import Row
from aish.supervisor.holder import kernel
from aish.wire.message import Adopt
from aish.wire.reply import Started
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.daemon import Daemon

_DEEPEST: Final = 4096
EXEC_S: Final = (0.002, 0.01, 0.05, 0.2)


class Status(NamedTuple):
    """What /proc/PID/status tells (proc(5))."""

    state: str
    thread_group: int
    users: frozenset[int]
    """Real, effective and saved."""
    umask: int


class Adopting:
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    async def adopt(self, caller: Caller, request: Adopt, caller_pid: int) -> Started:
        """Raises InputError, NotFoundError, ConflictError, RefusedError, LimitError, StorageError; then nothing has
        changed."""
        daemon = self.daemon
        authority.check(daemon.table, caller, "Adopt")
        await daemon.holding.there()
        known = daemon.table.by_token(request.token)
        if known is not None:
            return self._answer(known, existed=True)
        if daemon.ending.begun:
            raise ConflictError("the supervisor is shutting down", hint="try again in a moment")
        argv, cwd = await _command(request.pid)
        spec = SpecPart(
            argv=argv or [b"?"],
            cwd=cwd,
            name=request.name,
            labels=request.labels,
            limits=request.limits,
            stop_signal=request.stop_signal,
            grace_s=request.grace_s,
        )
        want.check_adopt(request, spec)
        status = self._status(request.pid, caller_pid)
        place = proc.stat(request.pid)
        ticks = place.start_ticks if place is not None else None
        fd = kernel.pidfd_of(request.pid, request.start_ticks or ticks)
        if fd is None or not argv:
            if fd is not None:
                os.close(fd)
            raise NotFoundError(f"process {request.pid} has just ended, or is part of the kernel")
        try:
            self._check_free(request.pid, fd)
            process = self._entered(request, spec, ticks or 0, status)
        except BaseException:
            os.close(fd)
            raise
        return await self._taken(process, fd)

    def _status(self, pid: int, caller_pid: int) -> Status:
        """Raises NotFoundError, ConflictError, RefusedError."""
        text = proc.read_text(f"/proc/{pid}/status")
        status = parse_status(text) if text is not None else None
        if status is None:
            raise NotFoundError(f"no process has the pid {pid}", hint="`ps -ef` lists what there is")
        if status.thread_group != pid:
            raise ConflictError(
                f"{pid} is a thread of process {status.thread_group}", hint=f"take that: --pid {status.thread_group}"
            )
        if pid == 1:
            raise RefusedError("process 1 is init: everything ends with it")
        if status.users != {os.getuid()}:
            raise RefusedError(f"process {pid} belongs to another user: it could not be stopped")
        if status.state in "ZX":
            raise ConflictError(f"process {pid} has ended; its parent has not asked how yet")
        if pid in self.daemon.holding.pids or pid == os.getpid():
            raise RefusedError(f"process {pid} is part of the supervisor itself")
        for whose, below in (("the supervisor", os.getpid()), ("this very command", caller_pid)):
            if pid == below or pid in ancestors(below):
                raise RefusedError(
                    f"process {pid} is an ancestor of {whose}: what stops the one ends the other",
                    hint="take what runs in it, not the shell or terminal itself",
                )
        return status

    def _check_free(self, pid: int, fd: int) -> None:
        """Raises ConflictError where it belongs to a supervised process, or may do so."""
        who = self.daemon.traced(Peer(pid, os.getuid(), fd))
        if who.standing == "nobody":
            raise ConflictError(f"process {pid} was started below a supervised one, and lost its parents")
        owner = self.daemon.table.get(who.id) if who.id is not None else None
        if owner is None:
            return
        row = owner.row
        what = "supervised already" if row.pid == pid else "part of one that is supervised already"
        raise ConflictError(f"process {pid} is {what}: {row.name} ({row.id})")

    def _entered(self, request: Adopt, spec: SpecPart, ticks: int, status: Status) -> Process:
        """In the journal and in the table. Raises InputError, ConflictError (its name), LimitError, StorageError."""
        daemon, pid = self.daemon, request.pid
        number = daemon.table.next_number
        row = Row(
            id=f"p{number}",
            number=number,
            name=daemon.table.new_name(request.name, os.fsdecode(spec.argv[0]), number=False),
            spec=spec,
            token=request.token,
            created_s=time.time(),
            started_s=clock.wall_s(ticks / clock.TICKS_PER_S),
            pid=pid,
            start_ticks=ticks,
            boot_id=daemon.boot_id,
            adopted=True,
            terminal=at_terminal(proc.read_text(f"/proc/{pid}/stat")),
            umask=status.umask,
            nice=_niceness(pid),
            logged=(False, False),
        )
        daemon.reach.prepare(row)
        try:
            daemon.recorder.promise(row, "adopted", pid=pid)
        except StorageError:
            daemon.reach.forget(row)
            raise
        process = Process(row)
        daemon.table.add(process)
        return process

    async def _taken(self, process: Process, fd: int) -> Started:
        """Watched from now on; by the next daemon, too, which is why the holder keeps the pidfd."""
        kept = os.dup(fd)
        try:
            self.daemon.conductor.adopted(process, fd)
            with suppress(UnavailableError):  # a silent holder gets it when it goes on
                await self.daemon.holding.silence.bounded(self.daemon.holding.store(pidfd_name(process.id), [kept]))
        finally:
            os.close(kept)
        self.daemon.recorder.flush()
        return self._answer(process, existed=False)

    def _answer(self, process: Process, *, existed: bool) -> Started:
        row = process.row
        return Started(id=row.id, name=row.name, state=process.word, pid=row.pid, reason=row.reason, existed=existed)


# --- /proc ----------------------------------------------------------------------------------------------------------


async def _command(pid: int) -> tuple[list[bytes], bytes]:
    """Its words and its folder. In the middle of an exec a process has no words for a moment."""
    for wait_s in EXEC_S:
        argv, cwd = proc.command(pid)
        if argv or proc.stat(pid) is None:
            break
        await asyncio.sleep(wait_s)
    return argv, cwd


def parse_status(text: str) -> Status | None:
    """Pure."""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    try:
        return Status(
            fields["State"].split()[0],
            int(fields["Tgid"]),
            frozenset(map(int, fields["Uid"].split()[:3])),
            int(fields.get("Umask", "0022"), 8),
        )
    except (KeyError, ValueError, IndexError):
        return None


def ancestors(pid: int, read: Callable[[int], proc.ProcStat | None] = proc.stat) -> set[int]:
    """The pids above it, as far as can be seen."""
    found: set[int] = set()
    while len(found) < _DEEPEST:
        place = read(pid)
        if place is None or place.parent <= 0 or place.parent in found:
            return found
        pid = place.parent
        found.add(pid)
    return found


def output(row: Row, number: int) -> bytes | None:
    """What an adopted one writes to: a path, or pipe:[…] and the like; None: it cannot be seen."""
    if not row.adopted or row.ended or row.pid is None:
        return None
    try:
        path = os.readlink(os.fsencode(f"/proc/{row.pid}/fd/{number}"))
    except OSError:
        return None
    place = proc.stat(row.pid)
    return path if place is not None and place.start_ticks == row.start_ticks else None


def check_logged(row: Row) -> None:
    """Raises ConflictError for one whose output goes elsewhere."""
    if not row.adopted:
        return
    places = [path for path in (output(row, 1), output(row, 2)) if path is not None]
    path = next((path for path in places if path.startswith(b"/") and path != b"/dev/null"), None)
    raise ConflictError(
        f"{row.name} ({row.id}) was adopted: what it writes goes where it went before, not to a log",
        hint=f"look at {path.decode(errors='backslashreplace')}" if path is not None else None,
    )


def _niceness(pid: int) -> int:
    """0 where it has just ended: its pidfd tells that in a moment."""
    try:
        return os.getpriority(os.PRIO_PROCESS, pid)
    except OSError:
        return 0
