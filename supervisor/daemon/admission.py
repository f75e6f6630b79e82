"""The queue in front of the holder: who may start now, who waits for another process or for a GPU, and why.

Decisions are made in needs.decide, admit.plan and ledger.accounts; this is what feeds them and carries them out.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aish.model import exit as exits
from aish.supervisor.daemon import admit, clock, ledger, needs
from aish.wire.part import QueuePart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aish.supervisor.daemon.gpus import Gpus
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row
    from aish.supervisor.daemon.table import Table
    from aish.wire.spec import NeedPart

LOOKING: Final = "looking for GPUs"


class Admission:
    """`admitted` and `refused` are the conductor's; `changed` says that a reason is another one now.

    `owners` maps pids to ids, as last swept.
    """

    def __init__(self, table: Table, gpus: Gpus, reserve_bytes: int, owners: Callable[[], dict[int, str]]) -> None:
        self.table, self.gpus, self.reserve_bytes, self._owners = table, gpus, reserve_bytes, owners
        self.admitted: Callable[[Process], None]
        self.refused: Callable[[Process, str, str], None]
        self.changed: Callable[[Process], None]
        self.group_waits: Callable[[Row], str | None]
        """Why the order of its group keeps it from starting now."""
        self._needing: dict[str, Process] = {}
        """Who waits for another process, by id."""
        self._looking_again = False
        self._timer: asyncio.TimerHandle | None = None

    def enqueue(self, process: Process) -> None:
        """Admit it now or keep it in the queue with its reason (`row.lifecycle` is then still queued)."""
        row = process.row
        if row.lifecycle != "queued":
            return  # stopped in the turn in which it was to be asked for
        if row.spec.needs or row.spec.group is not None:
            row.queued_boot_s = row.queued_boot_s or clock.boot_s()
            self._needing[process.id] = process
            self._look_again()
            return
        self._provided(process)

    def _provided(self, process: Process) -> None:
        """What it needs of others is there."""
        row = process.row
        if row.spec.vram_bytes is None:
            self.admitted(process)
            return
        row.queued_boot_s = row.queued_boot_s or clock.boot_s()
        row.reason = row.reason or LOOKING
        self.gpus.renew()
        self.evaluate()

    # --- other processes ----------------------------------------------------------------------------------------

    def happened(self, process: Process) -> None:
        """Something about a process is another: who waits for it looks again, once in this turn of the loop."""
        if self._needing and not self._looking_again:
            self._looking_again = True
            asyncio.get_running_loop().call_soon(self._look_again)

    def _look_again(self) -> None:
        self._looking_again = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        next_s: float | None = None
        for process in list(self._needing.values()):
            row = process.row
            if row.lifecycle != "queued":
                del self._needing[process.id]
                continue
            waited_s = clock.boot_s() - (row.queued_boot_s or clock.boot_s())
            match self._decide(row, waited_s):
                case needs.Met():
                    del self._needing[process.id]
                    row.reason = None
                    self._provided(process)
                case needs.Never(text):
                    del self._needing[process.id]
                    self.refused(process, text, exits.NEEDS)
                case needs.Waits(text, due_s):
                    if due_s is not None:
                        next_s = due_s - waited_s if next_s is None else min(next_s, due_s - waited_s)
                    if row.reason != text:
                        row.reason = text
                        self.changed(process)
        if next_s is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, next_s), self._look_again)

    def _decide(self, row: Row, waited_s: float) -> needs.Verdict:
        verdict = needs.decide(row.spec.needs, self._find, waited_s)
        behind = self.group_waits(row) if isinstance(verdict, needs.Met) else None
        return verdict if behind is None else needs.Waits(f"it waits for {behind}")

    def _find(self, name: str) -> Row | None:
        process = self.table.find(name)
        return process.row if process is not None else None

    def circle(self, name: str, wanted: Sequence[NeedPart]) -> list[str] | None:
        """See `needs.circle`."""
        return needs.circle(name, wanted, self._find)

    # --- GPUs ---------------------------------------------------------------------------------------------------

    def queue(self) -> list[Process]:
        """Who waits for a GPU, oldest first. Who waits for its client after a take-over is not among them."""
        waiting = [
            process
            for process in self.table.alive()
            if process.row.lifecycle == "queued"
            and process.row.spec.vram_bytes is not None
            and process.resend_timer is None
            and process.id not in self._needing
        ]
        return sorted(waiting, key=lambda process: (process.row.queued_boot_s or 0.0, process.row.number))

    def evaluate(self) -> None:
        """Decide on the whole queue. Called when something is asked for, ends, is limited, or a device changes."""
        queue = self.queue()
        if not queue:
            return
        self.gpus.start()
        if not self.gpus.known:
            return  # asked again when the drivers have answered
        requests = [
            admit.Request(process.id, process.row.spec.vram_bytes or 0, process.row.spec.gpu_count)
            for process in queue
        ]
        lost = self.gpus.lost()
        rooms = [account.room(self.reserve_bytes, lost.get(account.device.uuid)) for account in self.accounts()]
        for verdict in admit.plan(requests, rooms, self.gpus.trouble()):
            process = self.table.get(verdict.process)
            if process is None or process.row.lifecycle != "queued":
                continue
            match verdict:
                case admit.Grant(_, uuids):
                    process.row.gpus = list(uuids)
                    self.admitted(process)
                case admit.Never(_, reason):
                    self.refused(process, reason, exits.QUOTA)
                case admit.Waits(_, reason):
                    if process.row.reason != reason:
                        process.row.reason = reason
                        self.changed(process)

    def accounts(self) -> list[ledger.Account]:
        """What each device has promised and free."""
        devices = [device for _, device in self.gpus.devices()]
        return ledger.accounts(devices, self.gpus.samples(), self.promises(), self._owners(), self.reserve_bytes)

    def promises(self) -> list[ledger.Promise]:
        return [
            ledger.Promise(
                process.id,
                process.row.spec.vram_bytes,
                tuple(process.row.gpus),
                {uuid: process.device_use.get(uuid) for uuid in process.row.gpus},
            )
            for process in self.table.alive()
            if process.row.gpus and process.row.spec.vram_bytes is not None
        ]

    def parts(self) -> list[QueuePart]:
        """The queue as ps and top show it."""
        return [
            QueuePart(
                process=process.id,
                name=process.row.name,
                vram_bytes=process.row.spec.vram_bytes or 0,
                gpu_count=process.row.spec.gpu_count,
                reason=process.row.reason or LOOKING,
                since_s=_since_s(process.row),
            )
            for process in self.queue()
        ]


def _since_s(row: Row) -> float:
    return row.created_s if row.queued_boot_s is None else clock.wall_s(row.queued_boot_s)
