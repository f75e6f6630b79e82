"""What the machine looked like in the last two minutes: samples in a bounded ring. Pure.

A sample is below 2 KB (32 strangers, 64 throttle counters at most) and there are 61 at most, so the ring stays below
128 KB; it dies with the daemon.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

SPAN_S: Final = 120.0
APART_S: Final = 2.0
"""Two samples are at least so far apart."""
MOST: Final = int(SPAN_S / APART_S) + 1
STRANGERS_MOST: Final = 32
THROTTLED_MOST: Final = 64


class Stranger(msgspec.Struct, frozen=True):
    """A process on a GPU that is none of ours."""

    gpu: int
    pid: int
    vram_bytes: int | None = None


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Times are seconds since the epoch; None: the kernel does not tell."""

    time_s: float
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    memory_stalled_percent: float | None = None
    """Of the last 10 s, in which some task waited for memory (PSI, some avg10)."""
    cpu_stalled_percent: float | None = None
    io_stalled_percent: float | None = None
    oom_kills: int | None = None
    """Of the whole machine, since its start."""
    killed_at_limits: int = 0
    """Those of them that were ended at a limit of memory of ours, from some time on."""
    strangers: tuple[Stranger, ...] = ()
    throttled: Mapping[str, int] = {}
    """id -> how often its group has used up its share of time, where it has one."""


class Ring:
    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=MOST)

    def due(self, now_s: float) -> bool:
        """Whether another one is wanted; a clock that was set back does not stop it."""
        return not self._samples or not 0 <= now_s - self._samples[-1].time_s < APART_S

    def add(self, sample: Sample) -> None:
        bounded = msgspec.structs.replace(
            sample,
            strangers=sample.strangers[:STRANGERS_MOST],
            throttled=dict(list(sample.throttled.items())[:THROTTLED_MOST]),
        )
        self._samples.append(bounded)
        while self._samples[0].time_s < sample.time_s - SPAN_S:
            self._samples.popleft()

    def samples(self, now_s: float) -> tuple[Sample, ...]:
        """Those of the last two minutes, oldest first."""
        return tuple(sample for sample in self._samples if sample.time_s >= now_s - SPAN_S)

    def first_since(self, since_s: float) -> Sample | None:
        """The oldest one that is not older than that."""
        return next((sample for sample in self._samples if sample.time_s >= since_s), None)

    def last(self) -> Sample | None:
        return self._samples[-1] if self._samples else None
