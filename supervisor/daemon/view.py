"""What ps, top and inspect show of a process: rows of the table as parts of messages. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.model import kind, label
from aish.model.sandbox import PROXY
from aish.sandbox.profile import doors
from aish.supervisor.daemon import traffic
from aish.wire.part import GpuPart, GpuProcessPart, ProcessPart
from aish.wire.spec import LaunchNote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aish.spi.gpu import GpuDevice, GpuSample
    from aish.supervisor.daemon.ledger import Account
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row
    from aish.wire.message import Snapshot


def process_part(process: Process, indexes: Callable[[Sequence[str]], list[int]], now_s: float) -> ProcessPart:
    """One row of ps. `indexes` turns device UUIDs into numbers."""
    row, usage = process.row, process.usage
    known = [used for used in process.device_use.values() if used is not None]
    sent_bytes, received_bytes = _passed(row)
    return ProcessPart(
        id=row.id,
        name=row.name,
        kind=row.spec.kind,
        state=process.word,
        lifecycle=row.lifecycle,
        ready=row.ready,
        holds=list(row.holds),
        activity=process.activity,
        parent=row.parent,
        pid=row.pid,
        adopted=row.adopted,
        argv=row.spec.argv,
        created_s=row.created_s,
        started_s=row.started_s,
        ended_s=row.ended_s if row.ended else None,
        exit=row.exit if row.ended or row.lifecycle in ("scheduled", "backoff", "parked") else None,
        reason=row.reason,
        doing=process.shown(now_s),
        restarts=row.restarts,
        cpu_percent=None if row.ended else usage.cpu_percent,
        cpu_seconds=row.cpu_seconds if row.ended else usage.cpu_seconds,
        rss_bytes=None if row.ended else usage.rss_bytes,
        vram_bytes=sum(known) if known else None,
        vram_quota_bytes=row.spec.vram_bytes,
        gpus=indexes(row.gpus),
        tokens=row.tokens,
        tokens_per_s=process.tokens_per_s,
        budget_tokens=row.spec.budget_tokens,
        model=row.switched or row.spec.model,
        labels=row.spec.labels,
        project=row.spec.project,
        digest=row.spec.digest,
        due_s=row.due_s,
        port=row.port,
        observe=row.spec.observe,
        sandbox=None if row.spec.sandbox is None else row.spec.sandbox.profile,
        parked=row.barred if row.parking else None,
        sent_bytes=sent_bytes,
        received_bytes=received_bytes,
    )


def _passed(row: Row) -> tuple[int | None, int | None]:
    """Bytes that it has sent and received through the egress proxy; None where that is not its way out."""
    if row.spec.sandbox is None or PROXY not in doors(row.spec.sandbox):
        return None, None
    return traffic.total(row.traffic)


def shown(process: Process, visible: set[str] | None, request: Snapshot) -> bool:
    """Whether ps lists it: those that have not ended; with `all` also ended ones and parts of aish, with
    `ended_since_s` those that have ended since; with `labels` those that have them."""
    row = process.row
    if visible is not None and process.id not in visible:
        return False
    if request.labels and not label.matches(row.spec.labels, request.labels):
        return False
    if row.spec.kind == kind.SYSTEM and not request.all:
        return False
    if request.ended_since_s is not None:
        return row.ended and (row.ended_s is None or row.ended_s >= request.ended_since_s)
    return request.all or not row.ended


def launch_note(process: Process) -> LaunchNote:
    row = process.row
    return LaunchNote(environ_names=row.environ_names, umask=row.umask, nice=row.nice, rlimits=row.rlimits)


def gpu_part(
    device: GpuDevice,
    driver: str,
    account: Account | None,
    sample: GpuSample | None,
    *,
    age_s: float | None,
    error: str | None,
    owner_of: Mapping[int, str],
    visible: set[str] | None,
) -> GpuPart:
    """One device. What belongs to processes that the caller may not see is shown as a stranger's."""
    processes = []
    for entry in sample.processes if sample is not None else ():
        owner = owner_of.get(entry.pid)
        if visible is not None and owner not in visible:
            owner = None
        processes.append(
            GpuProcessPart(pid=entry.pid, process=owner, vram_bytes=entry.vram_bytes, sm_percent=entry.sm_percent)
        )
    return GpuPart(
        index=device.index,
        uuid=device.uuid,
        name=device.name,
        driver=driver,
        memory_bytes=device.memory_bytes,
        used_bytes=sample.used_bytes if sample is not None else None,
        promised_bytes=account.promised_bytes if account is not None else 0,
        utilisation_percent=sample.utilisation_percent if sample is not None else None,
        power_w=sample.power_w if sample is not None else None,
        power_limit_w=sample.power_limit_w if sample is not None else None,
        temperature_c=sample.temperature_c if sample is not None else None,
        age_s=age_s,
        error=error,
        processes=processes,
    )
