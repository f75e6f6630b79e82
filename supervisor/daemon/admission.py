"""The queue in front of the holder: who may start now, who waits for a GPU and why.

Decisions are made in admit.plan and ledger.accounts; this is what feeds them and carries them out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aish.supervisor.daemon import admit, clock, ledger
from aish.wire.part import QueuePart

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.daemon.gpus import Gpus
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row
    from aish.supervisor.daemon.table import Table

LOOKING: Final = "looking for GPUs"


class Admission:
    """`admitted` and `refused` are the conductor's; `changed` says that a reason is another one now.

    `owners` maps pids to ids, as last swept.
    """

    def __init__(self, table: Table, gpus: Gpus, reserve_bytes: int, owners: Callable[[], dict[int, str]]) -> None:
        self.table, self.gpus, self.reserve_bytes, self._owners = table, gpus, reserve_bytes, owners
        self.admitted: Callable[[Process], None]
        self.refused: Callable[[Process, str], None]
        self.changed: Callable[[Process], None]

    def enqueue(self, process: Process) -> None:
        """Admit it now or keep it in the queue with its reason (`row.lifecycle` is then still queued)."""
        row = process.row
        if row.spec.vram_bytes is None:
            self.admitted(process)
            return
        row.queued_boot_s = row.queued_boot_s or clock.boot_s()
        row.reason = row.reason or LOOKING
        self.gpus.renew()
        self.evaluate()

    def queue(self) -> list[Process]:
        """Who waits for a GPU, oldest first. Who waits for its client after a take-over is not among them."""
        waiting = [
            process
            for process in self.table.alive()
            if process.row.lifecycle == "queued"
            and process.row.spec.vram_bytes is not None
            and process.resend_timer is None
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
        rooms = [account.room(self.reserve_bytes) for account in self.accounts()]
        for verdict in admit.plan(requests, rooms, self.gpus.trouble()):
            process = self.table.get(verdict.process)
            if process is None or process.row.lifecycle != "queued":
                continue
            match verdict:
                case admit.Grant(_, uuids):
                    process.row.gpus = list(uuids)
                    self.admitted(process)
                case admit.Never(_, reason):
                    self.refused(process, reason)
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
