"""Why: what is known of a process is put together, and explained by the rules of aish.supervisor.daemon.why."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.errors import StorageError
from aish.model import kind, state
from aish.report import clean
from aish.supervisor.daemon import authority, clock, proc
from aish.supervisor.daemon.why.evidence import Device, Evidence, Holder
from aish.supervisor.daemon.why.explain import explain

if TYPE_CHECKING:
    from aish.spi.gpu import GpuDevice
    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.control import Control
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.logs import Stream
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row
    from aish.wire.message import Why
    from aish.wire.reply import Explained

EVENTS: Final = 200
RUNS: Final = 5
LOG_BYTES: Final = 8192
LOG_LINES: Final = 12
LINE_CHARS: Final = 300
OTHERS_MOST: Final = 64
UNSEEN: Final = "another process"
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")


class Explaining:
    def __init__(self, daemon: Daemon, control: Control) -> None:
        self.daemon = daemon
        self.target = control.target

    async def why(self, caller: Caller, request: Why) -> Explained:
        process = self.target(caller, "Why", request.target)
        daemon = self.daemon
        if not process.row.ended:
            daemon.sampler.sample()
            daemon.recall.look()
        return explain(self._evidence(caller, process))

    def _evidence(self, caller: Caller, process: Process) -> Evidence:
        daemon, row, now_s = self.daemon, process.row, time.time()
        visible = authority.visible(daemon.table, caller)
        parent = daemon.table.get(row.parent) if row.parent is not None else None
        waiting = [other for other in daemon.admission.queue() if row.lifecycle == state.QUEUED]
        before = waiting[: waiting.index(process)] if process in waiting else []
        ended = row.ended
        return Evidence(
            now_s=now_s,
            row=structs.replace(row),
            word=process.word,
            doing=process.shown(now_s),
            activity=process.activity,
            rss_bytes=None if ended else process.usage.rss_bytes,
            cpu_seconds=row.cpu_seconds if ended else process.usage.cpu_seconds,
            events=tuple(daemon.recorder.latest(row.id, EVENTS)),
            runs=tuple(daemon.recorder.history(row, RUNS)),
            others=self._others(row, visible),
            devices=self._devices(visible) if row.lifecycle == state.QUEUED else (),
            ahead=tuple(self._name(other, visible) for other in before),
            log=self._log(caller, process),
            samples=daemon.recall.ring.samples(now_s),
            knows_from_s=daemon.recall.since_s,
            parent=parent.row if parent is not None and _seen(parent, visible) else None,
            forks_refused=0 if ended else daemon.reach.forks_refused(process),
            restart_in_s=_left_s(row.restart_boot_s),
            next_run_s=row.due_s,
            kill_in_s=_due_s(process),
        )

    def _others(self, row: Row, visible: set[str] | None) -> dict[str, Row]:
        """By name and id: what it needs and what that needs, and who is above it."""
        table = self.daemon.table
        found: dict[str, Row] = {}
        todo = [need.name for need in row.spec.needs] + list(table.ancestors(row.id))
        while todo and len(found) < OTHERS_MOST:
            word = todo.pop()
            other = table.find(word)
            if word in found or other is None:
                continue
            if not _seen(other, visible):
                found[word] = structs.replace(other.row, reason=None)
                continue
            found[word] = found[other.id] = other.row
            todo += [need.name for need in other.row.spec.needs]
        return found

    def _name(self, process: Process, visible: set[str] | None) -> str:
        return f"{process.row.name} ({process.id})" if _seen(process, visible) else UNSEEN

    # --- GPUs ---------------------------------------------------------------------------------------------------

    def _devices(self, visible: set[str] | None) -> tuple[Device, ...]:
        daemon = self.daemon
        lost = daemon.gpus.lost()
        return tuple(
            Device(
                index=account.device.index,
                memory_bytes=account.device.memory_bytes,
                free_bytes=account.free_bytes,
                promised=tuple(self._promised(account.device.uuid, visible)),
                strangers=tuple(self._strangers(account.device)),
                trouble=lost.get(account.device.uuid),
            )
            for account in daemon.admission.accounts()
        )

    def _promised(self, uuid: str, visible: set[str] | None) -> list[Holder]:
        found = []
        for promise in self.daemon.admission.promises():
            process = self.daemon.table.get(promise.process)
            if process is not None and uuid in promise.uuids:
                held = max(promise.vram_bytes, promise.used.get(uuid) or 0)
                found.append(Holder(self._name(process, visible), held))
        return found

    def _strangers(self, device: GpuDevice) -> list[Holder]:
        sample = self.daemon.gpus.samples().get(device.uuid)
        owners = self.daemon.sampler.owner_of
        return [
            Holder(
                f"pid {entry.pid}" + (f" ({clean(name)})" if (name := proc.name(entry.pid)) else ""), entry.vram_bytes
            )
            for entry in (sample.processes if sample is not None else ())
            if entry.pid not in owners
        ]

    # --- its last words -----------------------------------------------------------------------------------------

    def _log(self, caller: Caller, process: Process) -> tuple[str, ...]:
        """The last lines of its stderr (of a terminal: of all) before the end that is asked about."""
        row = process.row
        related = authority.relation(self.daemon.table, caller, process)
        if not authority.decide("Logs", related) or row.spec.kind == kind.SYSTEM:
            return ()
        stream: Stream = "out" if row.spec.pty or row.spec.log == "ordered" else "err"
        begins = process.log_from.get(stream)
        over = row.ended or row.lifecycle == state.BACKOFF
        if not over and begins is None:
            return ()  # where its run began is not known (any more): what is there may be of this run
        try:
            fd = self.daemon.logs.read(row.id, stream)
        except StorageError:
            return ()
        try:
            until = os.fstat(fd).st_size if over else begins or 0
            start = max((begins or 0) if over else 0, until - LOG_BYTES)
            return last_lines(os.pread(fd, max(0, until - start), start), whole=start == (begins or 0) or start == 0)
        except OSError:
            return ()
        finally:
            os.close(fd)


def last_lines(data: bytes, *, whole: bool) -> tuple[str, ...]:
    """The last lines of a log, made harmless. Pure. `whole`: the first one is not the rest of another."""
    text = _ESCAPES.sub("", data.lstrip(b"\0").decode(errors="replace"))
    lines = text.split("\n")
    if not whole:
        lines = lines[1:]
    shown = [clean(line.rpartition("\r")[2].rstrip()[:LINE_CHARS]) for line in (line.rstrip("\r") for line in lines)]
    return tuple([line for line in shown if line.strip()][-LOG_LINES:])


def _seen(process: Process, visible: set[str] | None) -> bool:
    return visible is None or process.id in visible


def _left_s(boot_s: float | None) -> float | None:
    return None if boot_s is None else max(0.0, boot_s - clock.boot_s())


def _due_s(process: Process) -> float | None:
    """How long the grace still is."""
    timer = process.grace_timer
    if process.row.lifecycle != state.STOPPING or timer is None:
        return None
    left_s = timer.left_s()
    return left_s if left_s > 0 else None
