"""The measurements. Each takes a fresh driver in an empty folder and gives figures by name."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from typing import NamedTuple

from benches import machine
from benches.supervisor.driver import DEADLINE_S, Driver, Service
from benches.supervisor.ours import Ours
from benches.tables import Figures

CRASHED = 6
RESTARTED = 4
BARE_AT_ONCE = 16
LIVED_S = 1.2
"""Before it is killed: s6 and others start again at once only what lived a second."""
SETTLE_S = 3.0
_WRITER = """
import os, sys, time
count, size = int(sys.argv[1]), int(sys.argv[2])
block = (b"x" * 99 + b"\\n") * (size // 100)
begin = time.monotonic()
for _ in range(count):
    os.write(1, block)
with open(sys.argv[3], "w") as file:
    file.write(f"{begin} {time.monotonic()}")
"""


class Size(NamedTuple):
    """How much is done; `whole`: no driver's wish for less is heard."""

    jobs: int
    crowd: int
    log_bytes: int
    idle_s: float
    whole: bool = False

    def of(self, wanted: int, driver_most: int) -> int:
        return wanted if self.whole else min(wanted, driver_most)


def jobs(driver: Driver, size: Size) -> Figures:
    """Short jobs (a shell that appends a line): from the first request until all lines are there."""
    count = size.of(size.jobs, driver.jobs)
    done = f"{driver.folder}/done"
    services = [Service(f"job{number}", f"echo x >> {done}", kept=False) for number in range(count)]
    driver.up(services)
    begin = time.monotonic()
    driver.begin()
    machine.until(lambda: _size(done) >= 2 * count, DEADLINE_S, f"{count} jobs are done")
    figures: Figures = {"jobs_per_s": count / (time.monotonic() - begin)}
    if isinstance(driver, Ours):
        begin = time.monotonic()
        driver.one_by_one()
        figures["jobs_per_s_one_by_one"] = count / (time.monotonic() - begin)
        machine.until(lambda: _size(done) >= 4 * count, DEADLINE_S, f"{count} more jobs are done")
        begin = time.monotonic()
        _bare([f"{driver.folder}/{service.name}.sh" for service in services])
        figures["jobs_per_s_bare"] = count / (time.monotonic() - begin)
    if _size(done) != 2 * count * len(figures):
        raise RuntimeError(f"{driver.name}: {_size(done) // 2} runs of {count * len(figures)} jobs")
    return figures


def _bare(paths: list[str]) -> None:
    """The same jobs with nobody who keeps anything of them: what the machine can do at most."""
    running = 0
    for path in paths:
        os.posix_spawn(path, [path], dict(os.environ))
        running += 1
        if running == BARE_AT_ONCE:
            os.wait()
            running -= 1
    for _ in range(running):
        os.wait()


def restart(driver: Driver, size: Size) -> Figures:
    """From SIGKILL of a child until the next one has begun."""
    runs = Runs(driver, RESTARTED)
    driver.up(runs.services)
    driver.begin()
    runs.wait(RESTARTED)
    time.sleep(LIVED_S)
    taken = []
    for pid in [pid for _, pid in runs.all()]:
        before, begin = len(runs.all()), time.monotonic()
        machine.kill(pid, signal.SIGKILL)
        runs.wait(before + 1)
        taken.append((time.monotonic() - begin) * 1000)
    return {"restart_ms": sorted(taken)[len(taken) // 2]}


def logs(driver: Driver, size: Size) -> Figures:
    """A child that writes as fast as it can: from its first write until the log has all; and what was lost."""
    figures: Figures = {}
    lost = 0
    chunks = {"log_mb_per_s_8k": 8000, "log_mb_per_s_100": 100}
    writer = f"{driver.folder}/writer.py"
    with open(writer, "w", encoding="utf-8") as file:
        file.write(_WRITER)
    counts = {
        name: (size.log_bytes if chunk > 100 else size.log_bytes // 4) // chunk for name, chunk in chunks.items()
    }
    services = [
        Service(
            f"log{chunk}",
            f"while ! [ -e {driver.folder}/go{chunk} ]; do sleep 0.02; done; "
            f"exec {sys.executable} -I -S {writer} {counts[name]} {chunk} {driver.folder}/times{chunk}",
            kept=False,
            logged=True,
        )
        for name, chunk in chunks.items()
    ]
    driver.up(services)
    driver.begin()
    for name, chunk in chunks.items():
        total = counts[name] * chunk
        with open(f"{driver.folder}/go{chunk}", "w", encoding="ascii"):
            pass
        begin, end = _logged(driver, f"log{chunk}", f"{driver.folder}/times{chunk}", total)
        figures[name] = total / 1e6 / (end - begin)
        lost += total - driver.log_bytes(f"log{chunk}")
    figures["log_bytes_lost"] = lost
    return figures


def _logged(driver: Driver, name: str, times: str, total: int) -> tuple[float, float]:
    """When the first byte was written, and when the last was in the log (or none came any more)."""
    machine.until(lambda: _size(times) > 0, DEADLINE_S, "the writer is through")
    with open(times, encoding="ascii") as file:
        begin, end = map(float, file.read().split())
    have, since = driver.log_bytes(name), time.monotonic()
    while have < total and time.monotonic() - since < 1.0:
        now = driver.log_bytes(name)
        if now != have:
            have, since = now, time.monotonic()
            end = max(end, since)
        time.sleep(machine.LOOK_S)
    return begin, end


def crowd(driver: Driver, size: Size) -> Figures:
    """Many children that sleep: how long until all run, what the supervisor needs then, how long until all ended."""
    count = size.of(size.crowd, driver.crowd)
    runs = Runs(driver, count)
    driver.up(runs.services)
    begin = time.monotonic()
    driver.begin()
    runs.wait(count)
    figures: Figures = {"crowd": count, "start_s": time.monotonic() - begin}
    time.sleep(0.5)
    pids = [pid for _, pid in runs.all()]
    own = driver.own()
    figures["pss_mb"] = machine.pss_bytes(own) / 1e6
    used, begin = machine.cpu_ns(own), time.monotonic()
    time.sleep(size.idle_s)
    figures["idle_cpu_percent"] = (machine.cpu_ns(own) - used) / 1e7 / (time.monotonic() - begin)
    begin = time.monotonic()
    driver.stop()
    if not machine.wait_gone(pids, DEADLINE_S):
        raise TimeoutError(f"{driver.name}: {count} children do not end")
    figures["stop_s"] = time.monotonic() - begin
    return figures


def few(driver: Driver, size: Size, count: int) -> float:
    """What the supervisor needs with `count` children, in bytes."""
    runs = Runs(driver, count)
    driver.up(runs.services)
    driver.begin()
    runs.wait(count)
    time.sleep(0.5)
    return machine.pss_bytes(driver.own())


def crash(driver: Driver, size: Size, *, everything: bool) -> Figures:
    """SIGKILL of the supervisor (or of all its programs at once), of one child meanwhile; then it is started again.

    How many there are too many, and how many are missing, of six.
    """
    runs = Runs(driver, CRASHED)
    driver.up(runs.services)
    driver.begin()
    runs.wait(CRASHED)
    time.sleep(LIVED_S)
    own = driver.own() if everything else [driver.main()]
    for pid in own if everything else ():
        machine.kill(pid, signal.SIGSTOP)  # or one would start the next before it is killed itself
    for pid in own:
        machine.kill(pid, signal.SIGKILL)
    machine.kill(runs.all()[0][1], signal.SIGKILL)
    machine.wait_gone(own, 5.0)
    driver.again()
    time.sleep(SETTLE_S)
    alive = Counter(name for name, pid in runs.all() if machine.comm(pid) == "sleep")
    word = "all" if everything else "main"
    return {
        f"{word}_killed_too_many": sum(count - 1 for count in alive.values()),
        f"{word}_killed_missing": CRASHED - len(alive),
    }


class Runs:
    """Children that write down each start, then sleep."""

    def __init__(self, driver: Driver, count: int) -> None:
        self.path = f"{driver.folder}/runs"
        text = "echo {name} $$ >> {path}; exec sleep 86400"
        self.services = [
            Service(name, text.format(name=name, path=self.path)) for name in (f"child{i}" for i in range(count))
        ]

    def all(self) -> list[tuple[str, int]]:
        """(name, pid) of every start so far."""
        if not os.path.exists(self.path):
            return []
        with open(self.path, encoding="ascii") as file:
            lines = [line.split() for line in file.read().splitlines()]
        return [(name, int(pid)) for name, pid in lines]

    def wait(self, count: int) -> None:
        machine.until(lambda: self._lines() >= count, DEADLINE_S, f"{count} children have begun")

    def _lines(self) -> int:
        if not _size(self.path):
            return 0
        with open(self.path, "rb") as file:
            return file.read().count(b"\n")


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0
