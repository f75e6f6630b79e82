"""Who is in the queue for GPUs, and who only looks so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from aish.supervisor.daemon.admission import Admission
from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.table import Table
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from aish.supervisor.daemon.gpus import Gpus


class NoGpus:
    """The drivers have answered: there are none."""

    known = True

    def start(self) -> None: ...
    def renew(self) -> None: ...
    def trouble(self) -> None: ...
    def devices(self) -> list[Any]:
        return []

    def samples(self) -> dict[str, Any]:
        return {}

    def lost(self) -> dict[str, str]:
        return {}


def queued(number: int, vram_bytes: int | None) -> Process:
    spec = SpecPart(argv=[b"x"], vram_bytes=vram_bytes)
    return Process(Row(id=f"p{number}", number=number, name=f"n{number}", spec=spec, created_s=0.0, targets=[1]))


def test_who_waits_for_its_client_is_neither_refused_nor_started() -> None:
    """After a daemon's death, a stage that waited for its descriptors was refused: 'no GPU was found'."""

    async def run() -> list[str]:
        table, said = Table(), []
        plain, with_gpu, asking = queued(1, None), queued(2, 1 << 30), queued(3, 1 << 30)
        for process in (plain, with_gpu, asking):
            table.add(process)
        loop = asyncio.get_running_loop()
        for process in (plain, with_gpu):
            process.resend_timer = loop.call_later(60, print)
        admission = Admission(table, cast("Gpus", NoGpus()), 0, dict)
        admission.admitted = lambda process: said.append(f"admitted {process.id}")
        admission.refused = lambda process, reason, word: said.append(f"refused {process.id}")
        admission.changed = lambda process: said.append(f"changed {process.id}")
        admission.evaluate()
        assert [part.process for part in admission.parts()] == ["p3"]
        for process in (plain, with_gpu):
            process.cancel_timers()
        return said

    assert asyncio.run(run()) == ["refused p3"]
