"""Whose VRAM is whose: promises, measured use, strangers and the reserve of each device. Pure.

free = memory - reserve - promises - strangers, where a promise counts with what was declared or what is measured,
whichever is more, and strangers are all use that belongs to no process with a promise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aish.supervisor.daemon.admit import Room

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aish.spi.gpu import GpuDevice, GpuSample


class Promise(msgspec.Struct, frozen=True):
    """`vram_bytes` on each of these devices for a process, and what was last measured there (None: unknown)."""

    process: str
    vram_bytes: int
    uuids: tuple[str, ...]
    used: Mapping[str, int | None] = {}


class Account(msgspec.Struct, frozen=True):
    """One device. `strangers_bytes` is None where the driver does not tell what is in use."""

    device: GpuDevice
    promised_bytes: int
    strangers_bytes: int | None
    free_bytes: int

    def room(self, reserve_bytes: int, lost: str | None = None) -> Room:
        return Room(
            self.device.uuid,
            self.device.index,
            max(0, self.device.memory_bytes - reserve_bytes),
            self.free_bytes,
            lost,
        )


def accounts(
    devices: Sequence[GpuDevice],
    samples: Mapping[str, GpuSample],
    promises: Iterable[Promise],
    owner_of: Mapping[int, str],
    reserve_bytes: int = 0,
) -> list[Account]:
    """The account of every device, in the order of `devices`. `owner_of` maps pids to our processes' ids."""
    promises = list(promises)
    return [_account(device, samples.get(device.uuid), promises, owner_of, reserve_bytes) for device in devices]


def _account(
    device: GpuDevice,
    sample: GpuSample | None,
    promises: list[Promise],
    owner_of: Mapping[int, str],
    reserve_bytes: int,
) -> Account:
    here = {promise.process: promise for promise in promises if device.uuid in promise.uuids}
    promised = sum(promise.vram_bytes for promise in here.values())
    taken = sum(max(promise.vram_bytes, promise.used.get(device.uuid) or 0) for promise in here.values())
    strangers = None
    if sample is not None and sample.used_bytes is not None:
        ours = sum(promise.used.get(device.uuid) or 0 for promise in here.values())
        foreign = sum(entry.vram_bytes or 0 for entry in sample.processes if owner_of.get(entry.pid, "") not in here)
        unmeasured = sum(promise.vram_bytes for promise in here.values() if promise.used.get(device.uuid) is None)
        # What the driver attributes to nobody is first taken to be that of our processes it does not measure.
        strangers = foreign + max(0, sample.used_bytes - ours - foreign - unmeasured)
    free = device.memory_bytes - reserve_bytes - taken - (strangers or 0)
    return Account(device, promised, strangers, free)


def use_by_process(samples: Iterable[GpuSample], owner_of: Mapping[int, str]) -> dict[str, dict[str, int | None]]:
    """process id -> device UUID -> bytes in use by it and its descendants; None where the driver does not tell.

    `owner_of` maps the pids of supervised processes and their descendants to ids.
    """
    use: dict[str, dict[str, int | None]] = {}
    for sample in samples:
        for entry in sample.processes:
            owner = owner_of.get(entry.pid)
            if owner is None:
                continue
            devices = use.setdefault(owner, {})
            before = devices.get(sample.uuid, 0)
            known = before is not None and entry.vram_bytes is not None
            devices[sample.uuid] = (before or 0) + (entry.vram_bytes or 0) if known else None
    return use
