"""Which waiting process gets which GPUs. Pure.

A request asks for `vram_bytes` on each of `gpu_count` devices. Among the devices where it fits, those with the least
free memory are taken (tightest fit), so that large holes stay whole. What could not fit even on empty devices is
refused at once, with the numbers.

The queue is first come, first served, and nobody starves: a request that does not fit now sets aside the devices
that it is most likely to get (those with the most free memory that are large enough), and a later one is admitted
only on other devices. Memory on a device set aside can therefore only become more until the first in line has it.
A device that its driver has lost gets nothing new; who needs it waits, and sets nothing aside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aish.model.size import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence


class Room(msgspec.Struct, frozen=True):
    """A device as the ledger sees it: `free_bytes` is not promised, not in use by others, not in reserve."""

    uuid: str
    index: int
    capacity_bytes: int
    """What could be promised on it if it were empty: memory less the reserve."""
    free_bytes: int
    lost: str | None = None
    """Why nothing new may go there for now."""


class Request(msgspec.Struct, frozen=True):
    process: str
    vram_bytes: int
    gpu_count: int = 1


class Grant(msgspec.Struct, frozen=True):
    process: str
    uuids: tuple[str, ...]


class Never(msgspec.Struct, frozen=True):
    process: str
    reason: str


class Waits(msgspec.Struct, frozen=True):
    process: str
    reason: str


Verdict = Grant | Never | Waits


def plan(queue: Sequence[Request], rooms: Sequence[Room], unknown: str | None = None) -> list[Verdict]:
    """A verdict for each request of the queue, oldest first.

    `unknown` says why the devices are not known at the moment (a driver that failed after it had devices): then
    nothing is refused for good, everything waits.
    """
    free = {room.uuid: room.free_bytes for room in rooms}
    aside: set[str] = set()
    verdicts: list[Verdict] = []
    for request in queue:
        never = impossible(request, rooms)
        if never is not None:
            verdicts.append(Waits(request.process, unknown) if unknown else Never(request.process, never))
            continue
        sound = [room for room in rooms if room.lost is None]
        lost = _lost_reason(request, rooms)
        if lost is not None:
            verdicts.append(Waits(request.process, lost))  # nothing is set aside: nobody knows how long it takes
            continue
        fitting = [room for room in sound if room.uuid not in aside and free[room.uuid] >= request.vram_bytes]
        if len(fitting) >= request.gpu_count:
            fitting.sort(key=lambda room: (free[room.uuid], room.index))
            chosen = fitting[: request.gpu_count]
            for room in chosen:
                free[room.uuid] -= request.vram_bytes
            verdicts.append(Grant(request.process, tuple(room.uuid for room in chosen)))
            continue
        verdicts.append(Waits(request.process, _wait_reason(request, sound, free, aside)))
        able = [room for room in sound if room.capacity_bytes >= request.vram_bytes and room.uuid not in aside]
        able.sort(key=lambda room: (-free[room.uuid], room.index))
        aside.update(room.uuid for room in able[: request.gpu_count])
    return verdicts


def impossible(request: Request, rooms: Sequence[Room]) -> str | None:
    """Why the request can never be met by these devices, with the numbers; None if it can."""
    if not rooms:
        return "no GPU was found: `aish gpu` says what the drivers answer"
    need = format_bytes(request.vram_bytes)
    able = sum(1 for room in rooms if room.capacity_bytes >= request.vram_bytes)
    if able == 0:
        largest = max(room.capacity_bytes for room in rooms)
        return f"needs {need} of VRAM, the largest device has {format_bytes(largest)}"
    if able < request.gpu_count:
        return f"needs {request.gpu_count} devices with {need} of VRAM each, there are {able}"
    return None


def _lost_reason(request: Request, rooms: Sequence[Room]) -> str | None:
    """Why the devices that are sound cannot do it, though all together could; None if they can."""
    able = [room for room in rooms if room.capacity_bytes >= request.vram_bytes]
    lost = [room for room in able if room.lost is not None]
    if len(able) - len(lost) >= request.gpu_count:
        return None
    return f"needs {format_bytes(request.vram_bytes)} of VRAM, GPU {lost[0].index} gets nothing new: {lost[0].lost}"


def _wait_reason(request: Request, rooms: Sequence[Room], free: dict[str, int], aside: set[str]) -> str:
    need = format_bytes(request.vram_bytes)
    many = f"{request.gpu_count} x {need}" if request.gpu_count > 1 else need
    able = [room for room in rooms if room.capacity_bytes >= request.vram_bytes]
    best = max(able, key=lambda room: free[room.uuid])
    fits = sum(1 for room in able if free[room.uuid] >= request.vram_bytes)
    if fits >= request.gpu_count:
        return f"needs {many} of VRAM; what is free is set aside for an earlier process in the queue"
    left = format_bytes(max(0, free[best.uuid]))
    return f"needs {many} of VRAM, GPU {best.index} has {left} of {format_bytes(best.capacity_bytes)} free"
