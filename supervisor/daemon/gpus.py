"""GPU drivers: each in a thread of its own, so that a call that hangs costs nothing but its own figures.

Drivers are loaded at the first need (entry point group `aish.gpu`, in the order of the settings). The last good
sample of each is kept with its time; a driver that fails or hangs says so and keeps its devices.
"""

from __future__ import annotations

import asyncio
import dataclasses
import queue
import threading
import time
from typing import TYPE_CHECKING, Final

from aish.spi.gpu import GpuError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib import metadata

    from aish.spi.gpu import GpuDevice, GpuDriver, GpuSample

DEADLINE_S: Final = 5.0
"""A call that takes longer counts as stuck."""
RELIST_S: Final = 60.0
RELIST_EMPTY_S: Final = 5.0
FRESH_S: Final = 1.0
"""A list of devices younger than this is good enough to refuse a request for ever."""
LOST: Final = "the device is lost"
GROUP: Final = "aish.gpu"


class DriverThread:
    """One driver. `state` is "ok" or why it has no devices; everything here is read and written by the loop."""

    def __init__(self, name: str, load: Callable[[], GpuDriver], changed: Callable[[], None]) -> None:
        self.name = name
        self.state = "loading"
        self.devices: Sequence[GpuDevice] = ()
        self.samples: dict[str, GpuSample] = {}
        self.sampled_s: float | None = None
        """Monotonic time of the last good sample."""
        self.seen_s: dict[str, float] = {}
        """When each device was last in a sample."""
        self.listed_s: float | None = None
        """When it was last asked for its devices."""
        self.renewing = True
        self.driver: GpuDriver | None = None
        self._load = load
        self._changed = changed
        self._busy_s: float | None = None
        self._work: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name=f"gpu-{name}", daemon=True).start()

    @property
    def stuck(self) -> bool:
        return self._busy_s is not None and time.monotonic() - self._busy_s > DEADLINE_S

    @property
    def trouble(self) -> str | None:
        """Why nothing new should go to its devices; None if all is well."""
        if self.stuck:
            return "does not answer"  # without the seconds: this is a reason that is shown, not a clock
        return None if self.state in ("ok", "no devices", "loading") else self.state

    def lost(self, uuid: str) -> str | None:
        """Why nothing new should go to this device, or what is wrong with its driver; None if all is well."""
        if self.trouble is not None:
            return f"{self.name}: {self.trouble}"
        return None if uuid in self.samples or self.sampled_s is None else f"{self.name}: {LOST}"

    def look(self) -> None:
        """Have figures of now, and new devices where there were none; `renewing` until they are there."""
        if self._busy_s is None:
            self.renewing = True
            self.ask("sample" if self.devices else "devices")

    def ask(self, what: str) -> None:
        """Have "devices" or "sample" called, unless a call is still under way."""
        if self._busy_s is not None:
            if self.stuck:
                self.state = f"has not answered for {time.monotonic() - self._busy_s:.0f} s"
            return
        self._busy_s = time.monotonic()
        if what == "devices":
            self.listed_s = self._busy_s
        self._work.put(what)

    def renew(self) -> None:
        """Have the devices listed again, unless that was done a moment ago."""
        fresh = self.listed_s is not None and time.monotonic() - self.listed_s <= FRESH_S
        if self._busy_s is None and (not fresh or not self.devices):  # cards may just have been made
            self.renewing = True
            self.ask("devices")

    def close(self) -> None:
        self._work.put(None)

    def _run(self) -> None:
        """The thread: one call at a time, its result handed to the loop."""
        driver: GpuDriver | None = None
        while True:
            what = self._work.get()
            if what is None:
                if driver is not None:
                    driver.close()
                return
            result: tuple[GpuDriver, Sequence[GpuDevice] | None, Sequence[GpuSample]] | str
            try:
                if driver is None:
                    driver = self._load()
                listed = driver.devices() if what == "devices" else None
                result = (driver, listed, driver.sample())
            except GpuError as error:
                result = str(error)
            except Exception as error:  # noqa: BLE001  a plugin's fault ends in its state, not in the daemon
                result = f"fault in the driver: {type(error).__name__}: {error}"
            try:
                self._loop.call_soon_threadsafe(self._told, result)
            except RuntimeError:
                return  # the loop is closed: the daemon is leaving

    def _told(self, result: tuple[GpuDriver, Sequence[GpuDevice] | None, Sequence[GpuSample]] | str) -> None:
        self._busy_s = None
        self.renewing = False
        if isinstance(result, str):
            self.state = result
        else:
            self.driver, listed, samples = result
            now = time.monotonic()
            if listed is not None:
                self.devices = tuple(listed)
            self.samples = {sample.uuid: sample for sample in samples}
            self.sampled_s = now
            self.seen_s |= dict.fromkeys(self.samples, now)
            self.state = "ok" if self.devices else "no devices"
        self._changed()


class Gpus:
    """All drivers. `changed` is called after each answer."""

    def __init__(self, names: Sequence[str], changed: Callable[[], None]) -> None:
        self.names = tuple(names)
        self.drivers: dict[str, DriverThread] = {}
        self._changed = changed
        self._answers: set[asyncio.Future[None]] = set()

    @property
    def started(self) -> bool:
        return bool(self.drivers) or not self.names

    @property
    def known(self) -> bool:
        """Whether every driver has said what devices there are, or that it cannot, or is stuck."""
        return self.started and all(not driver.renewing or driver.stuck for driver in self.drivers.values())

    def start(self) -> None:
        """Load the drivers and ask for their devices; once."""
        if self.started:
            return
        from importlib import metadata  # costs a tenth of the start-up time

        found = {point.name: point for point in metadata.entry_points(group=GROUP)}
        for name in self.names:
            self.drivers[name] = DriverThread(name, _loader(name, found.get(name)), self._told)
        self.refresh()

    def refresh(self) -> None:
        """Ask every driver for a sample, now and then for its devices."""
        now = time.monotonic()
        for driver in self.drivers.values():
            again_s = RELIST_S if driver.devices else RELIST_EMPTY_S
            old = driver.listed_s is None or now - driver.listed_s > again_s
            driver.ask("devices" if old else "sample")

    def renew(self) -> None:
        """Before something is refused for want of a device: what devices are there now? Then `known` is False
        until they have answered."""
        self.start()
        for driver in self.drivers.values():
            driver.renew()

    def look(self) -> None:
        """Somebody looks at the devices themselves: have every driver asked at once. See `wait_known`."""
        self.start()
        for driver in self.drivers.values():
            driver.look()

    async def wait_known(self, timeout_s: float) -> bool:
        """Until every driver has answered once; False if that takes longer than `timeout_s`."""
        self.start()
        deadline = time.monotonic() + timeout_s
        while not self.known:
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._answers.add(answer)
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await answer
            except TimeoutError:
                return False
            finally:
                self._answers.discard(answer)
        return True

    def devices(self) -> list[tuple[DriverThread, GpuDevice]]:
        """Every device with its driver; numbers are made unique over all drivers."""
        found: list[tuple[DriverThread, GpuDevice]] = []
        taken: set[int] = set()
        for driver in self.drivers.values():
            for device in driver.devices:
                index = device.index if device.index not in taken else max(taken) + 1
                taken.add(index)
                found.append((driver, device if index == device.index else dataclasses.replace(device, index=index)))
        return found

    def samples(self) -> dict[str, GpuSample]:
        return {uuid: sample for driver in self.drivers.values() for uuid, sample in driver.samples.items()}

    def indexes(self, uuids: Sequence[str]) -> list[int]:
        """Their numbers; of devices that are gone none."""
        if not uuids:
            return []
        numbers = {device.uuid: device.index for _, device in self.devices()}
        return [numbers[uuid] for uuid in uuids if uuid in numbers]

    def trouble(self) -> str | None:
        """Why devices may be missing at the moment although a driver had some; None if all is well."""
        for driver in self.drivers.values():
            if driver.state not in ("ok", "no devices") and (driver.devices or driver.stuck):
                return f"{driver.name}: {driver.state}"
        return None

    def lost(self) -> dict[str, str]:
        """Devices that nothing new may go to, each with the reason."""
        found = {device.uuid: driver.lost(device.uuid) for driver, device in self.devices()}
        return {uuid: why for uuid, why in found.items() if why is not None}

    def environ(self, uuids: Sequence[str], vram_bytes: int | None) -> dict[str, str]:
        """Variables that confine a process to these devices."""
        variables: dict[str, str] = {}
        for driver in self.drivers.values():
            mine = [device.uuid for device in driver.devices if device.uuid in uuids]
            if mine and driver.driver is not None:
                variables |= driver.driver.environ(mine, vram_bytes)
        return variables

    def close(self) -> None:
        for driver in self.drivers.values():
            driver.close()

    def _told(self) -> None:
        for answer in self._answers:
            if not answer.done():
                answer.set_result(None)
        self._changed()


def _loader(name: str, point: metadata.EntryPoint | None) -> Callable[[], GpuDriver]:
    """What the driver's thread calls first. Raises GpuError where there is no such driver."""

    def load() -> GpuDriver:
        if point is None:
            raise GpuError(f"no driver is called {name}", hint="`aish doctor` lists the installed ones")
        driver: GpuDriver = point.load()()
        return driver

    return load
