"""Snapshot, Inspect, Wait, Logs, Events, Gpus: what only looks. A caller sees its own subtree."""

from __future__ import annotations

import asyncio
import math
import os
import platform
import time
from typing import TYPE_CHECKING, Final

from aish.errors import InputError
from aish.model import kind, state
from aish.model.spec import ORDERED
from aish.supervisor.daemon import authority, view
from aish.supervisor.daemon.gpus import LOST
from aish.wire.message import (
    EventList,
    Events,
    GpuList,
    Gpus,
    Inspect,
    Inspected,
    LogFiles,
    Logs,
    Snapshot,
    View,
    Wait,
    Waited,
)
from aish.wire.part import EventPart, GpuPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.connection import Connection
    from aish.supervisor.daemon.control import Control
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.seats import Seats

FIRST_GPU_S: Final = 0.25
"""How long the first look waits for GPU drivers to be loaded."""
GPUS_S: Final = 3.0
LOOK_S: Final = 1.0
"""How long figures of now are waited for; then those that there are, with their age."""
SOONEST_S: Final = 0.1
PAGE: Final = 500
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
        return View(
            time_s=time.time(),
            host=platform.node(),
            cpu_percent=machine.cpu_percent,
            memory_used_bytes=machine.memory_used_bytes,
            memory_total_bytes=machine.memory_total_bytes,
            processes=[
                view.process_part(process, daemon.gpus.indexes)
                for process in daemon.table
                if view.shown(process, visible, everything=request.all)
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
            process=view.process_part(process, daemon.gpus.indexes),
            spec=row.spec,
            launch=view.launch_note(process),
            log_out=out,
            log_err=err,
            quota_tier="watchdog" if row.spec.vram_bytes is not None else None,
            limit_tier=daemon.reach.layout.tier,
            unheld=daemon.reach.unheld(row.spec.limits),
            children=[child.id for child in daemon.table.children(row.id)],
            attached=self.seats.count(row.id),
            events=list(daemon.recorder.latest(row.id, INSPECTED_EVENTS)),
        )

    async def wait(self, caller: Caller, request: Wait) -> Waited:
        """When it has ended or is ready. Raises InputError."""
        process = self.target(caller, "Wait", request.target)
        if request.until not in ("ended", "ready"):
            raise InputError("expected ended or ready", field="until")
        timeout_s = request.timeout_s
        if timeout_s is not None and not (math.isfinite(timeout_s) and timeout_s >= 0):
            raise InputError("expected a number of seconds", field="timeout_s")
        timed_out = False
        try:
            async with asyncio.timeout(timeout_s):
                while not _reached(process, request.until):
                    await process.change()
        except TimeoutError:
            timed_out = True
        row = process.row
        if row.ended and row.spec.pty:
            await self.daemon.conductor.sending.done()
        self.daemon.recorder.flush()
        return Waited(id=row.id, state=process.word, exit=row.exit if row.ended else None, timed_out=timed_out)

    async def logs(self, caller: Caller, request: Logs, connection: Connection) -> None:
        process = self.target(caller, "Logs", request.target)
        logs, row = self.daemon.logs, process.row
        fds: list[int] = []
        try:
            fds += [logs.read(row.id, "out")]
            fds += [logs.read(row.id, "err")]
            fds += [logs.read_index(row.id)] if request.index else []
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
        ordered = row.spec.log == ORDERED and not row.spec.pty
        told = LogFiles(id=row.id, ended=row.ended, pty=row.spec.pty, ordered=ordered, index=request.index)
        connection.send(told, fds)

    # --- events -------------------------------------------------------------------------------------------------

    async def events(self, caller: Caller, request: Events, connection: Connection) -> None:
        """Pages of events; with `follow` for ever. The journal is the buffer: a slow reader holds up nobody."""
        authority.check(self.daemon.table, caller, "Events")
        only = None
        if request.target is not None:
            only = self.target(caller, "Events", request.target).id
        recorder = self.daemon.recorder
        news = asyncio.Event()

        def listen(_: EventPart) -> None:
            news.set()

        recorder.listeners.add(listen)
        try:
            number, first = max(0, request.since), True
            while True:
                news.clear()
                page = recorder.after(number, PAGE, only)
                if page or first or not request.follow:
                    connection.send(EventList(events=self._visible(caller, page)))
                    await connection.flushed()
                first = False
                if page:
                    number = page[-1].number
                if not request.follow:
                    return
                if len(page) < PAGE:
                    await news.wait()
        finally:
            recorder.listeners.discard(listen)

    def _visible(self, caller: Caller, page: Sequence[EventPart]) -> list[EventPart]:
        visible = authority.visible(self.daemon.table, caller)
        return [event for event in page if visible is None or event.process in visible]


def _reached(process: Process, until: str) -> bool:
    row = process.row
    if row.ended:
        return True
    if until == "ended":
        return False
    if row.spec.kind == kind.MODEL or row.spec.ready is not None:
        return row.ready == state.YES
    return row.lifecycle == state.RUNNING
