"""The GpuDriver of simulated cards. It keeps nothing: cards, holdings and faults are read at every call."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aish.errors import SourceError
from aish.plugins.simgpu import card as cards
from aish.plugins.simgpu import holding, load
from aish.spi.gpu import GpuDevice, GpuError, GpuProcess, GpuSample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aish.plugins.simgpu.card import Card, Rack
    from aish.plugins.simgpu.holding import Holding

JUNK_PID: Final = 4_194_305  # one above the largest pid that Linux hands out


class SimDriver:
    name = "simgpu"

    def __init__(self, folder: str | None = None, clock: Callable[[], float] = time.time) -> None:
        """`folder` None: where the environment says, at every call. `clock` gives seconds since the epoch."""
        self._folder = folder
        self._clock = clock

    def devices(self) -> Sequence[GpuDevice]:
        return [
            GpuDevice(index=card.index, uuid=card.uuid, name=card.name, memory_bytes=card.memory_bytes)
            for card in self._load().cards
        ]

    def sample(self) -> Sequence[GpuSample]:
        rack = self._load()
        if rack.faults.slow_s:
            time.sleep(rack.faults.slow_s)
        if rack.faults.sample_error is not None:
            raise GpuError(f"simulated fault: {rack.faults.sample_error}")
        holdings = holding.living(self._path()) if rack.cards else []
        now_s = self._clock()
        samples = []
        for card in rack.cards:
            if not rack.faults.loses(card):
                mine = [entry for entry in holdings if entry.uuid == card.uuid and entry.size_bytes > 0]
                samples.append(_sample(card, mine, now_s, junk=rack.faults.junk_processes))
        return samples

    def environ(self, uuids: Sequence[str], vram_bytes: int | None) -> dict[str, str]:
        """Tells a child its cards; `vram_bytes` is the watchdog's matter, as on a real card."""
        if not uuids:
            return {}
        return {cards.DIR_VARIABLE: self._path(), cards.DEVICE_VARIABLE: ",".join(uuids)}

    def close(self) -> None:
        pass

    def _path(self) -> str:
        return self._folder or cards.folder()

    def _load(self) -> Rack:
        try:
            return cards.load(self._path())
        except SourceError as error:
            raise GpuError(str(error), hint=error.hint) from error


def _sample(card: Card, holdings: Sequence[Holding], now_s: float, *, junk: bool) -> GpuSample:
    shares = load.shares_percent(card.uuid, {entry.pid: entry.busy_percent for entry in holdings}, now_s)
    processes = [
        GpuProcess(pid=entry.pid, vram_bytes=entry.size_bytes, sm_percent=round(shares[entry.pid], 1))
        for entry in holdings
    ]
    used_bytes = sum(entry.size_bytes for entry in holdings)
    utilisation = sum(shares.values())
    if junk:  # a pid that is nobody, memory and share that the driver does not tell, the same pid twice
        processes += [GpuProcess(pid=JUNK_PID), GpuProcess(pid=JUNK_PID, vram_bytes=None, sm_percent=0.0)]
    return GpuSample(
        uuid=card.uuid,
        used_bytes=used_bytes,
        utilisation_percent=round(utilisation, 1),
        power_w=load.power_w(card.uuid, card.power_limit_w, utilisation, now_s),
        power_limit_w=card.power_limit_w,
        temperature_c=load.temperature_c(card.uuid, sum(entry.busy_percent for entry in holdings), now_s),
        processes=tuple(processes),
    )
