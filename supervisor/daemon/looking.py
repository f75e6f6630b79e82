"""Snapshot, Inspect, Wait, Logs, Gpus: what only looks. A caller sees its own subtree."""

from __future__ import annotations

import asyncio
import math
import os
import platform
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.errors import InputError, UnavailableError
from aish.model import kind, state
from aish.model.spec import ORDERED
from aish.supervisor.daemon import adopting, authority, runs, view
from aish.supervisor.daemon.gpus import LOST
from aish.wire.message import Gpus, History, Inspect, Logs, Snapshot, Wait, WaitMany
from aish.wire.part import GpuPart
from aish.wire.reply import GpuList, Inspected, LogFiles, Runs, View, Waited, WaitedMany

if TYPE_CHECKING:
    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.connection import Connection
    from aish.supervisor.daemon.control import Control
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row
    from aish.supervisor.daemon.seats import Seats

FIRST_GPU_S: Final = 0.25
"""How long the first look waits for GPU drivers to be loaded."""
GPUS_S: Final = 3.0
LOOK_S: Final = 1.0
"""How long figures of now are waited for; then those that there are, with their age."""
SOONEST_S: Final = 0.1
WAITED_MOST: Final = 10_000
INSPECTED_EVENTS: Final = 50


class Looking:
    def __init__(self, daemon: Daemon, control: Control, seats: Seats) -> None:
        self.daemon = daemon
        self.seats = seats
        self.target = control.target

    # --- ps, top ------------------------------------------------------------------------------------------------

    async def snapshot(self, caller: Caller, request: Snapshot, connection: Connection) -> None:
        """One View, or with `every_s` one after another until the client goes."""
        authority.check(self.daemon.table, caller, "Snapshot")
        every_s = request.every_s
        if every_s is not None and not (math.isfinite(every_s) and every_s >= SOONEST_S):
            raise InputError(f"expected {SOONEST_S} seconds or more", field="every_s")
        sampler = self.daemon.sampler
        if not self.daemon.gpus.known:
            await self.daemon.gpus.wait_known(FIRST_GPU_S)
        if every_s is None:
            if request.figures:
                sampler.sample()
            connection.send(self._view(caller, request))
            return
        loop = asyncio.get_running_loop()
        with sampler.watched():
            due = loop.time()
            while True:
                connection.send(self._view(caller, request))
                await connection.flushed()
                due = max(due + every_s, loop.time())
                await asyncio.sleep(due - loop.time())

    def _view(self, caller: Caller, request: Snapshot) -> View:
        daemon = self.daemon
        visible = authority.visible(daemon.table, caller)
        machine = daemon.sampler.machine
        now_s = time.time()
        return View(
            time_s=now_s,
            host=platform.node(),
            cpu_percent=machine.cpu_percent,
            memory_used_bytes=machine.memory_used_bytes,
            memory_total_bytes=machine.memory_total_bytes,
            processes=[
                view.process_part(process, daemon.gpus.indexes, now_s)
                for process in daemon.table
                if view.shown(process, visible, request)
            ],
            gpus=self._gpus(visible),
            queue=[part for part in daemon.admission.parts() if visible is None or part.process in visible],
            alerts=daemon.alerts() if visible is None else [],
            gateway_url=daemon.gateway.url,
            daemon_pid=os.getpid(),
        )

    def _gpus(self, visible: set[str] | None) -> list[GpuPart]:
        daemon = self.daemon
        accounts = {account.device.uuid: account for account in daemon.admission.accounts()}
        owner_of = daemon.sampler.owner_of
        now = time.monotonic()
        return [
            view.gpu_part(
                device,
                driver.name,
                accounts.get(device.uuid),
                driver.samples.get(device.uuid),
                age_s=now - driver.seen_s[device.uuid] if device.uuid in driver.seen_s else None,
                error=driver.state if driver.state != "ok" else LOST if driver.lost(device.uuid) else None,
                owner_of=owner_of,
                visible=visible,
            )
            for driver, device in daemon.gpus.devices()
        ]

    async def gpus(self, caller: Caller, request: Gpus) -> GpuList:
        authority.check(self.daemon.table, caller, "Gpus")
        gpus = self.daemon.gpus
        if await gpus.wait_known(GPUS_S):
            gpus.look()
            await gpus.wait_known(LOOK_S)
        visible = authority.visible(self.daemon.table, caller)
        return GpuList(
            gpus=self._gpus(visible),
            queue=[part for part in self.daemon.admission.parts() if visible is None or part.process in visible],
            drivers={name: driver.state for name, driver in gpus.drivers.items()},
        )

    # --- one process --------------------------------------------------------------------------------------------

    async def inspect(self, caller: Caller, request: Inspect) -> Inspected:
        process = self.target(caller, "Inspect", request.target)
        daemon, row = self.daemon, process.row
        daemon.sampler.sample()
        logs = [os.fsencode(daemon.logs.path(row.id, stream)) for stream in ("out", "err")]
        out, err = (path if os.path.exists(path) else None for path in logs)
        return Inspected(
            process=view.process_part(process, daemon.gpus.indexes, time.time()),
            spec=row.spec,
            launch=view.launch_note(process),
            log_out=out,
            log_err=err,
            quota_tier="watchdog" if row.spec.vram_bytes is not None else None,
            limit_tier=daemon.reach.tier(row),
            stdout=adopting.output(row, 1),
            stderr=adopting.output(row, 2),
            unheld=daemon.launcher.unheld(row),
            sandbox_tier=row.sandbox_tier,
            sandbox_open=row.sandbox_open,
            traffic=row.traffic,
            children=[child.id for child in daemon.table.children(row.id)],
            attached=self.seats.count(row.id),
            events=list(daemon.recorder.latest(row.id, INSPECTED_EVENTS)),
        )

    async def history(self, caller: Caller, request: History) -> Runs:
        """Raises InputError."""
        if not 0 <= request.last <= runs.KEPT:
            raise InputError(f"expected 0 to {runs.KEPT}", field="last")
        process = self.target(caller, "History", request.target)
        row = process.row
        now = [] if row.runs_noted >= runs.number(row) else [runs.run_of(row, over=False)]
        return Runs(id=row.id, name=row.name, runs=[*now, *self.daemon.recorder.history(row, request.last)])

    async def wait(self, caller: Caller, request: Wait) -> Waited:
        """When it has ended or is ready. Raises InputError."""
        process = self.target(caller, "Wait", request.target)
        _check_wait(request)
        timed_out = False
        try:
            async with asyncio.timeout(request.timeout_s):
                while not (
                    _reached(process, request.until) or _hopeless(process, request) or _since(process, request)
                ):
                    await process.change()
        except TimeoutError:
            timed_out = True
        waited = await self._waited(process, timed_out=timed_out)
        return structs.replace(waited, hopeless=process.hopeless) if _hopeless(process, request) else waited

    async def wait_many(self, caller: Caller, request: WaitMany) -> WaitedMany:
        """When all of them have, or with `any` the first. Raises InputError."""
        _check_wait(request)
        if not 1 <= len(request.targets) <= WAITED_MOST:
            raise InputError(f"expected 1 to {WAITED_MOST} processes", field="targets")
        processes = [self.target(caller, "WaitMany", target) for target in request.targets]
        tasks = [asyncio.ensure_future(_reach(process, request.until)) for process in processes]
        try:
            _, left = await asyncio.wait(
                tasks,
                timeout=request.timeout_s,
                return_when=asyncio.FIRST_COMPLETED if request.any else asyncio.ALL_COMPLETED,
            )
        finally:
            for task in tasks:
                task.cancel()
        reached = [process for process, task in zip(processes, tasks, strict=True) if task not in left]
        if request.any:  # several may have, before they were asked about or since
            reached.sort(key=lambda process: _reached_s(process, request.until))
        return WaitedMany(
            waited=[await self._waited(process) for process in reached],
            timed_out=not reached if request.any else bool(left),
        )

    async def _waited(self, process: Process, *, timed_out: bool = False) -> Waited:
        row = process.row
        if row.ended and row.spec.pty:
            with suppress(UnavailableError):  # a silent holder: that it has ended is known all the same
                await self.daemon.conductor.sending.done()
        if row.ended and row.spec.sockets:
            await self.daemon.launcher.sockets.closed(row.id)
        self.daemon.recorder.flush()
        end = row.exit if row.ended else None
        reason = row.reason if end is not None and end.code is None and end.signal is None else None
        return Waited(id=row.id, state=process.word, exit=end, reason=reason, timed_out=timed_out)

    async def logs(self, caller: Caller, request: Logs, connection: Connection) -> None:
        process = self.target(caller, "Logs", request.target)
        logs, row = self.daemon.logs, process.row
        adopting.check_logged(row)
        fds: list[int] = []
        try:
            fds += [logs.read(row.id, "out", coming=not row.ended)]
            fds += [logs.read(row.id, "err", coming=not row.ended)]
            fds += [logs.read_index(row.id)] if request.index else []
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
        ordered = row.spec.log == ORDERED and not row.spec.pty
        told = LogFiles(
            id=row.id, name=row.name, ended=row.ended, pty=row.spec.pty, ordered=ordered, index=request.index,
            note=_beside_log(process, time.time()),
        )  # fmt: skip
        connection.send(told, fds)


def _beside_log(process: Process, now_s: float) -> str | None:
    """What its log does not hold: of a stage of a pipeline its output, of a model what the gateway found out of its
    server."""
    row = process.row
    if {1, 2} <= set(row.targets):
        return "its stdout and stderr are those of who started it, and not in its log"
    if row.ended or row.spec.kind != kind.MODEL or row.spec.route is None:
        return None
    told = process.trouble or (process.shown(now_s) if process.rest is not None else None)
    if row.spec.argv:
        return told
    return f"its server is at {row.spec.route.url}, what that writes is not known here" + (
        f"; {told}" if told else ""
    )


def _check_wait(request: Wait | WaitMany) -> None:
    """Raises InputError."""
    if request.until not in ("ended", "ready"):
        raise InputError("expected ended or ready", field="until")
    timeout_s = request.timeout_s
    if timeout_s is not None and not (math.isfinite(timeout_s) and timeout_s >= 0):
        raise InputError("expected a number of seconds", field="timeout_s")


async def _reach(process: Process, until: str) -> None:
    while not _reached(process, until):
        await process.change()


def _since(process: Process, request: Wait) -> bool:
    """Whether it ended, and was started again since."""
    return request.restarts is not None and process.row.restarts > request.restarts


def _hopeless(process: Process, request: Wait) -> bool:
    return request.give_up and request.until == "ready" and process.hopeless is not None


def _reached(process: Process, until: str) -> bool:
    row = process.row
    if row.ended:
        return True
    if until == "ended":
        return False
    return row.ready == state.YES if _told(row) else row.lifecycle == state.RUNNING


def _reached_s(process: Process, until: str) -> float:
    """When it reached that, for one that has."""
    row = process.row
    if row.ended or until == "ended":
        return row.ended_s or 0.0
    return (row.ready_s if _told(row) else row.started_s) or 0.0


def _told(row: Row) -> bool:
    """Whether it, or somebody who asks it, tells that it is ready."""
    return row.spec.kind == kind.MODEL or row.spec.ready is not None
